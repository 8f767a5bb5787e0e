"""Stories on a real PostgreSQL: intake hears of referrals in any order, and decides at the very read."""

from concurrent.futures import ThreadPoolExecutor
from itertools import permutations
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Connection
from sqlalchemy import event as sql

from services.chassis.errors import Rejected
from services.contracts.codes import Need, ReferralState
from services.contracts.reporting import CaseRead
from services.intake import agreements, queries, search, stories
from services.intake.tables import accesses, sent_referrals
from tests.support import readers
from tests.support.counter import OTHER, SITE, Counter
from tests.support.readers import ELSE, HELPS, STORY

S = ReferralState


def test_steps_may_come_in_any_order_and_again(counter: Counter) -> None:
    """Whatever comes first, and twice: the state is that of the highest step."""
    case, visit = readers.told_by(counter)
    readers.agree(counter, case, "local")
    for order in permutations(range(3)):
        sent = readers.sending(case, visit)
        told = [sent, readers.step(sent, S.ACCEPTED, 2), readers.step(sent, S.COMPLETED, 3)]
        for place in order:
            readers.hear(counter, told[place])
        assert readers.reading(counter, sent.referral_id) is None
        still_open = readers.sending(case, visit)
        told = [still_open, readers.step(still_open, S.RECEIVED, 2), readers.step(still_open, S.ACCEPTED, 3)]
        for place in (*order, *order):
            readers.hear(counter, told[place])
        assert readers.reading(counter, still_open.referral_id) is not None


def test_a_batch_is_one_statement(counter: Counter) -> None:
    """However many referrals leave at once: the rows go together."""
    case, visit = readers.told_by(counter)
    said: list[str] = []
    listener = lambda *told: said.append(told[2])  # noqa: E731 - SQLAlchemy tells the statement third
    sql.listen(counter.app.database.engine, "before_cursor_execute", listener)
    readers.hear(counter, *(readers.sending(case, visit) for _ in range(2)))
    assert len(said) == 1
    readers.hear(counter, *(readers.sending(case, visit) for _ in range(200)))
    assert len(said) == 1, "many go by COPY, past SQLAlchemy"
    sql.remove(counter.app.database.engine, "before_cursor_execute", listener)
    assert len(counter.rows(sent_referrals)) == 202


def test_of_somebody_unknown_nothing_is_kept(counter: Counter) -> None:
    """A partner sent somebody to a site whom no case tells of."""
    sent = readers.sending(uuid4(), uuid4()).model_copy(update={"case": None, "visit_id": None})
    readers.hear(counter, sent, readers.step(sent, S.RECEIVED))
    assert not counter.rows(sent_referrals)


def test_a_partner_gets_its_own_fields_only(counter: Counter) -> None:
    """Who it is, the stories, and the one need: no case, no visit, no minute, no other partner, nothing of health."""
    case, visit = readers.told_by(counter)
    readers.agree(counter, case, "local")
    sent = readers.sending(case, visit)
    readers.hear(counter, sent)
    view = readers.reading(counter, sent.referral_id)
    assert view is not None
    assert (view.case, view.referral_id, view.person.given_name) == (None, sent.referral_id, "Zoé")
    assert [one.text for one in view.stories] == [STORY]
    assert view.facts["publics"] == ["rsa"]
    assert view.facts["needs"] == [{"code": readers.NEED, "obstacles": ["mobilite"], "label": None}]
    assert not view.notes, "its obstacle tells of health"
    written = view.model_dump_json()
    for unwanted in (str(case), str(visit), ELSE, "logement", "Bail", "MDPH", "rqth", "sante", "10:30", '"sex"'):
        assert unwanted not in written, unwanted


def test_health_goes_along_when_the_person_said_so(counter: Counter) -> None:
    """Only with an explicit agreement: then notes, publics and obstacles of this need, and still not of the others."""
    case, visit = readers.told_by(counter)
    readers.agree(counter, case, HELPS, sensitive=True)
    sent = readers.sending(case, visit)
    readers.hear(counter, sent)
    view = readers.reading(counter, sent.referral_id)
    assert view is not None
    assert view.facts["publics"] == ["rsa", "rqth"]
    assert view.facts["needs"] == [{"code": readers.NEED, "obstacles": ["mobilite", "sante"], "label": None}]
    assert [one.text for one in view.notes] == ["La voiture est en panne."]
    assert "MDPH" not in view.model_dump_json()


def test_what_is_withheld_is_said_of_everybody(counter: Counter) -> None:
    """Said of those alone who have a health fact, the sentence would tell it."""
    told = []
    for publics, needs in ((["rqth"], None), ([], [{"code": readers.NEED, "outcome": "to-refer"}])):
        case, visit = readers.told_by(counter, publics=publics, **({"needs": needs} if needs else {}))
        readers.agree(counter, case, "local")
        sent = readers.sending(case, visit)
        readers.hear(counter, sent)
        view = readers.reading(counter, sent.referral_id)
        assert view is not None
        told.append(view.withheld)
    assert told[0] == told[1]
    assert any("santé" in each for each in told[0])


def test_two_partners_have_nothing_in_common_but_what_was_told(counter: Counter) -> None:
    """Two views of one person: equal are only names, dates, places and words that the person told."""
    case, visit = readers.told_by(counter)
    views = []
    for to in (HELPS, ELSE):
        readers.agree(counter, case, to)
        sent = readers.sending(case, visit, to, need=Need.LOGEMENT if to == ELSE else readers.NEED)
        readers.hear(counter, sent)
        view = readers.reading(counter, sent.referral_id, to)
        assert view is not None
        views.append(view.model_dump(mode="json"))
    common = {name for name in views[0] if views[0][name] == views[1][name] and views[0][name]}
    assert common == {"person", "stories", "withheld"}
    assert [set(one) - {"text", "site", "occurred_at"} for one in views[0]["stories"]] == [{"visit_id", "need"}]
    assert views[0]["stories"][0]["visit_id"] is None
    assert views[0]["stories"][0]["occurred_at"] == "2026-11-20T00:00:00+01:00"


def test_whose_very_name_reveals_health_needs_an_explicit_yes(counter: Counter) -> None:
    """The MDPH gets nobody but for a disability."""
    case, visit = readers.told_by(counter)
    sent = readers.sending(case, visit, "mdph-80", need=Need.LOGEMENT)
    readers.hear(counter, sent)
    readers.agree(counter, case, "mdph-80")
    assert readers.reading(counter, sent.referral_id, "mdph-80") is None
    readers.agree(counter, case, "mdph-80", sensitive=True)
    assert readers.reading(counter, sent.referral_id, "mdph-80") is not None


def test_a_withdrawal_counts_at_the_next_read(counter: Counter) -> None:
    """Whatever referral does about it, and whenever."""
    case, visit = readers.told_by(counter)
    readers.agree(counter, case, "local")
    sent = readers.sending(case, visit)
    readers.hear(counter, sent)
    assert readers.reading(counter, sent.referral_id) is not None
    counter.clock.move(minutes=1)
    agreements.withdraw(case, "local", counter.call())
    assert readers.reading(counter, sent.referral_id) is None


def test_stories_of_joined_cases_are_read_as_one(counter: Counter) -> None:
    """Oldest first, under the case that both are read with; parted, each is for itself again."""
    older, visit = readers.told_by(counter)
    counter.clock.move(days=1)
    newer = counter.opened(story="Encore une fois.", site=OTHER)
    counter.found({"family_name": "Lefèvre", "given_name": "Amélie", "birth_date": "1984-05-17"})
    search.confirm(newer, counter.call())
    counter.merged(older, newer)
    for case, site in ((older, SITE), (newer, OTHER)):
        view = stories.of_case(case, counter.call(site))
        assert (view.case, [one.text for one in view.stories]) == (older, [STORY, "Encore une fois."])
    readers.agree(counter, older, "local")
    sent = readers.sending(newer, visit)
    readers.hear(counter, sent)
    view_of_partner = readers.reading(counter, sent.referral_id)
    assert view_of_partner is not None
    assert len(view_of_partner.stories) == 2
    counter.parted(older, newer)
    assert [one.text for one in stories.of_case(older, counter.call()).stories] == [STORY]


def test_a_site_that_does_not_know_the_case_reads_nothing(counter: Counter) -> None:
    """The same refusal for a case that is not there."""
    case, _ = readers.told_by(counter)
    refused = []
    for wanted in (case, uuid4()):
        with pytest.raises(Rejected) as error:
            stories.of_case(wanted, counter.call(OTHER))
        refused.append((error.value.status, error.value.detail))
    assert refused[0] == refused[1]
    assert refused[0][0] == 404


def test_every_read_is_in_the_log_with_its_referral(counter: Counter) -> None:
    """Refused ones are not: nobody has read anything."""
    case, visit = readers.told_by(counter)
    sent = readers.sending(case, visit)
    readers.hear(counter, sent)
    assert readers.reading(counter, sent.referral_id) is None
    assert not counter.rows(accesses, action="story-read")
    readers.agree(counter, case, "local")
    readers.reading(counter, sent.referral_id)
    stories.of_case(case, counter.call())
    rows = counter.rows(accesses, action="story-read")
    assert [(row.org, row.role, row.case_id, row.referral_id) for row in rows] == [
        (HELPS, "partner", case, sent.referral_id),
        (SITE, "agent", case, None),
    ]


def test_who_read_a_timeline_is_in_the_log_too(counter: Counter) -> None:
    """As reporting tells it."""
    case, _ = readers.told_by(counter)
    read = CaseRead(case=case, referral_id=None, org=OTHER, role="agent", subject="agent:x")
    with counter.app.work() as work:
        stories.remember_read(readers.event(counter, read), work)
    (row,) = counter.rows(accesses, action="case-read")
    assert (row.case_id, row.org, row.subject, row.at) == (case, OTHER, "agent:x", counter.clock.now())


def test_a_story_told_again_is_seen_in_the_event(counter: Counter) -> None:
    """True when the case had one, false for its first, null where none was told or nobody was named."""
    case = counter.opened()
    counter.record(case=case)
    counter.record(case=case, story="La première.")
    counter.record(case=case, story="La deuxième.")
    counter.record(case=case)
    counter.record(story="Personne.")
    readers.told_by(counter)
    told = [one.data["retold"] for one in counter.told("VisitRecorded")]
    assert told == [None, None, False, True, None, None, False]


@pytest.mark.parametrize("reader", ["partner", "agent"])
def test_cases_parted_while_they_are_read(counter: Counter, monkeypatch: pytest.MonkeyPatch, reader: str) -> None:
    """Who turned out to be somebody else, and objects: nothing of it is read, on whichever side of the parting."""
    case, visit = readers.told_by(counter)
    counter.clock.move(minutes=1)
    other = counter.opened(story="L’histoire d’une autre.")
    counter.merged(case, other)
    readers.agree(counter, case, "local")
    sent = readers.sending(case, visit)
    readers.hear(counter, sent)
    found = queries.group_of
    parted: list[queries.Group | None] = []

    def group_of(connection: Connection, wanted: UUID) -> queries.Group | None:
        group = found(connection, wanted)
        if not parted:
            parted.append(group)
            counter.clock.move(minutes=1)
            counter.parted(case, other)
            agreements.stop(other, "objection", counter.call())
        return group

    monkeypatch.setattr(queries, "group_of", group_of)
    view = stories.of_case(case, counter.call()) if reader == "agent" else readers.reading(counter, sent.referral_id)
    assert [len(group.members) for group in parted if group] == [2]
    assert view is not None, "its own person agreed, and does not object"
    assert [one.text for one in view.stories] == [STORY]


def test_cases_are_not_parted_before_they_are_read(counter: Counter) -> None:
    """What is decided and what is shown are of one group: who parts it waits for the reader."""
    case, _ = readers.told_by(counter)
    counter.clock.move(minutes=1)
    other = counter.opened()
    counter.merged(case, other)
    with ThreadPoolExecutor(1) as pool:
        with counter.app.work() as work:
            group = queries.known_and_held(work, case, SITE)
            parting = pool.submit(counter.parted, case, other)
            with pytest.raises(TimeoutError):
                parting.result(timeout=0.5)
            assert queries.group_of(work.connection, case) == group
        assert not parting.result(timeout=10).joined
