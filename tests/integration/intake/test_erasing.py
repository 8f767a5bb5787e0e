"""An erased case: gone from every table of intake but for digests; written down in the journal before it is gone."""

import re
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from services.chassis.app import Work
from services.chassis.errors import Rejected, Unavailable
from services.chassis.settings import Settings
from services.chassis.tables import vault_keys
from services.contracts.coarse import digest
from services.contracts.codes import Category, Need
from services.contracts.envelope import CloudEvent
from services.contracts.referral import ReferralSent
from services.intake import erasing, journal, stories
from services.intake.queries import Group
from services.intake.tables import accesses, cases, visits
from tests.support.counter import OTHER, SITE, Counter, somebody
from tests.support.databases import dump
from tests.support.office import MORNING

STORY = "canary: left school in march"
AGREED = {"recipients": ["local"], "sensitive": True, "form": "oral"}


@pytest.fixture
def settings(counter: Counter, tmp_path: Path) -> Settings:
    """Give the counter a journal of its own."""
    counter.app.settings = Settings(state=tmp_path / "state")
    journal.check(counter.app.settings)
    return counter.app.settings


def everything(counter: Counter) -> str:
    """Every table's rows, but the work that is left for the ledger and the ledger itself."""
    tables = dump(counter.app.database.engine.url.render_as_string(hide_password=False))
    return "\n".join(text for name, text in tables.items() if name not in {"forgetting", "outbox"})


def sent(counter: Counter, case: UUID, visit_id: UUID, **changes: Any) -> UUID:  # noqa: ANN401 - any field
    """Intake hears that a referral left; its id."""
    facts = {"partner": "mission-locale-santerre", "category": Category.LOCAL, "site": SITE, "department": "80"}
    data = ReferralSent(
        referral_id=uuid4(), visit_id=visit_id, case=case, need=Need.LOGEMENT, reason="r", due_at=MORNING, step=1,
        **(facts | changes),
    )  # fmt: skip
    event = CloudEvent[ReferralSent](
        data=data, id=str(uuid4()), type=data.TYPE, source="/relais/referral", time=MORNING
    )
    with counter.app.work() as work:
        stories.remember_sent(event, work)
    return data.referral_id


@pytest.mark.usefixtures("settings")
def test_nothing_is_left_but_digests(counter: Counter) -> None:
    """Visits, texts, agreements, referrals, the key; another's case is untouched."""
    visit = counter.record(somebody(), story=STORY, agreement=AGREED)
    stays = counter.opened(somebody("Martin", "Paul"), story=STORY)
    assert visit.case is not None
    referral = sent(counter, visit.case, visit.visit_id)
    sent(counter, visit.case, visit.visit_id, partner="fs-roye", category=Category.SITE, sender="ccas-moreuil")
    before = everything(counter)
    ids = [visit.case, visit.visit_id, referral]
    assert all(str(one) in before for one in ids)
    answer = erasing.erase(visit.case, counter.call())
    assert (answer.erased, answer.partners) == (True, ["ccas-moreuil", "mission-locale-santerre"])
    after = everything(counter)
    assert not any(str(one) in after for one in ids)
    assert [row.id for row in counter.rows(cases)] == [stays]
    assert [row.case_id for row in counter.rows(visits)] == [stays]
    assert {row.owner for row in counter.rows(vault_keys)} == {stays}
    (told,) = counter.told("CaseErased")
    assert told.data["case"] == str(visit.case)
    assert told.data["opened_at"] == MORNING.isoformat().replace("+00:00", "Z")


@pytest.mark.usefixtures("settings")
def test_the_trace_stays_under_the_digest(counter: Counter) -> None:
    """Who looked, when, and who had it erased: without the case's id and without the referral's."""
    case = counter.opened()
    stories.of_case(case, counter.call())
    before = counter.rows(accesses)
    erasing.erase(case, counter.call())
    rows = counter.rows(accesses)
    assert {row.erased for row in rows} == {digest(case)}
    assert {(row.case_id, row.referral_id) for row in rows} == {(None, None)}
    assert sorted(row.action for row in rows) == sorted(["erased", *(row.action for row in before)])
    with pytest.raises(Exception, match="append-only"), counter.app.work() as work:
        work.execute(text("UPDATE accesses SET org = 'x'"))


@pytest.mark.usefixtures("settings")
def test_all_that_is_read_as_one_is_erased_as_one(counter: Counter) -> None:
    """Whichever of them is named; with one secret, so that their counts stay together."""
    first, second = counter.opened(), counter.opened(somebody("Lefevre", "Amelie"))
    counter.merged(first, second)
    erasing.erase(second, counter.call())
    assert counter.rows(cases) == []
    told = counter.told("CaseErased")
    assert {each.data["case"] for each in told} == {str(first), str(second)}
    assert len({each.data["secret"] for each in told}) == 1


@pytest.mark.usefixtures("settings")
def test_who_was_joined_once_stays(counter: Counter) -> None:
    """They were found to be two persons: only the trail of it goes."""
    first, second = counter.opened(), counter.opened(somebody("Lefevre", "Amelie"))
    counter.merged(first, second)
    counter.parted(first, second)
    erasing.erase(first, counter.call())
    assert [row.id for row in counter.rows(cases)] == [second]
    assert str(first) not in everything(counter)


@pytest.mark.usefixtures("settings")
def test_what_was_told_while_they_were_joined_goes_with_the_case_that_it_named(counter: Counter) -> None:
    """Of two persons taken for one, the other's case keeps nothing of it once they are parted."""
    kept = counter.opened(somebody(), story="Hers.")
    counter.clock.move(minutes=1)
    gone = counter.opened(somebody("Martin", "Paul"))
    counter.merged(kept, gone)
    told = counter.record(somebody("Martin", "Paul"), case=str(gone), story=STORY)
    counter.parted(kept, gone)
    assert [one.text for one in stories.of_case(kept, counter.call()).stories] == ["Hers."]
    assert [one.text for one in stories.of_case(gone, counter.call()).stories] == [STORY]
    erasing.erase(gone, counter.call())
    assert [row.case_id for row in counter.rows(visits)] == [kept]
    assert str(told.visit_id) not in everything(counter)


@pytest.mark.usefixtures("settings")
@pytest.mark.parametrize("change", ["joined", "parted"])
def test_a_case_that_changes_meanwhile_is_not_erased(
    counter: Counter, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    """Nobody asked for what was joined to it just now: 409 that says so; asked again, it goes as it is by then."""
    case = counter.opened()
    counter.clock.move(minutes=1)
    other = counter.opened(somebody("Martin", "Paul"))
    if change == "parted":
        counter.merged(case, other)
    lock = erasing.lock

    def change_first(work: Work, wanted: UUID) -> Group | None:
        counter.merged(case, other) if change == "joined" else counter.parted(case, other)
        return lock(work, wanted)

    with monkeypatch.context() as patched:
        patched.setattr(erasing, "lock", change_first)
        with pytest.raises(Rejected) as refused:
            erasing.erase(case, counter.call())
    assert (refused.value.status, "a changé" in (refused.value.detail or "")) == (409, True)
    assert {row.id for row in counter.rows(cases)} == {case, other}
    assert counter.told("CaseErased") == []
    erasing.erase(case, counter.call())
    assert {row.id for row in counter.rows(cases)} == ({other} if change == "parted" else set())


@pytest.mark.usefixtures("settings")
def test_another_site_cannot_and_nobody_can_twice(counter: Counter) -> None:
    """Both are answered as if there were no such case."""
    case = counter.opened()
    for site in (OTHER, SITE):
        if site == SITE:
            erasing.erase(case, counter.call())
        with pytest.raises(Rejected) as refused:
            erasing.erase(case, counter.call(site))
        assert refused.value.status == 404


@pytest.mark.usefixtures("settings")
def test_of_two_at_once_one_erases(counter: Counter) -> None:
    """The other finds nothing: one event, one line."""
    case = counter.opened()

    def once(_number: int) -> bool:
        try:
            return erasing.erase(case, counter.call()).erased
        except Rejected:
            return False

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(once, range(4))) == [False, False, False, True]
    assert len(counter.told("CaseErased")) == 1


@pytest.mark.usefixtures("settings")
def test_a_visit_of_it_sent_again_is_not_recorded(counter: Counter) -> None:
    """410, whatever is in it now; the same id at another site is another visit."""
    visit = counter.record(somebody(), story=STORY)
    assert visit.case is not None
    erasing.erase(visit.case, counter.call())
    for changes in ({"story": STORY}, {"story": None}):
        with pytest.raises(Rejected) as refused:
            counter.record(somebody(), visit_id=str(visit.visit_id), **changes)
        assert refused.value.status == 410
    assert counter.rows(visits) == []
    counter.record(somebody(), visit_id=str(visit.visit_id), site=OTHER)
    assert len(counter.rows(visits)) == 1


def test_the_journal_says_when_and_names_nobody(counter: Counter, settings: Settings) -> None:
    """A line for each case."""
    case = counter.opened()
    erasing.erase(case, counter.call())
    lines = journal.path_of(settings).read_text().splitlines()
    assert lines == [f"2026-11-20 {sha256(case.bytes).hexdigest()} request"]
    assert journal.path_of(settings).stat().st_mode & 0o077 == 0


def test_what_cannot_be_written_down_is_not_erased(counter: Counter, settings: Settings) -> None:
    """503 to the agent, and nothing has changed; the service does not start either."""
    case = counter.opened(story=STORY)
    before = everything(counter)
    journal.path_of(settings).unlink()
    journal.path_of(settings).mkdir()
    with pytest.raises(Unavailable):
        erasing.erase(case, counter.call())
    assert everything(counter) == before
    assert counter.told("CaseErased") == []
    with pytest.raises(journal.JournalError, match="RELAIS_ERASURES_FILE"):
        erasing.catch_up(counter.app)


def test_a_restored_database_forgets_at_the_start(counter: Counter, settings: Settings) -> None:
    """What the journal names and it still has; alone, where it was joined with another by then; once."""
    case, other = counter.opened(story=STORY), counter.opened(somebody("Lefevre", "Amelie"))
    counter.merged(case, other)
    journal.append(settings, [digest(case), digest(uuid4())], "request", MORNING)
    assert erasing.catch_up(counter.app) == 1
    assert [(row.id, row.merged_into) for row in counter.rows(cases)] == [(other, None)]
    assert [each.data["case"] for each in counter.told("CaseErased")] == [str(case)]
    assert str(case) not in everything(counter)
    assert erasing.catch_up(counter.app) == 0


def test_a_line_that_was_cut_off_is_no_line(counter: Counter, settings: Settings) -> None:
    """The machine ended while it was written: then nothing was erased by it; the next line is whole."""
    case = counter.opened()
    journal.append(settings, [digest(case)], "request", MORNING)
    path = journal.path_of(settings)
    path.write_text(path.read_text() + "2026-11-20 00ff")
    assert [each.digest for each in journal.entries(settings)] == [digest(case)]
    journal.append(settings, [digest(uuid4())], "retention", MORNING)
    assert len(list(journal.entries(settings))) == 2
    assert re.search("retention$", path.read_text().strip())


def test_without_a_journal_nothing_is_to_be_caught_up_with(counter: Counter, settings: Settings) -> None:
    """A first start makes the file."""
    counter.opened()
    journal.path_of(settings).unlink()
    assert erasing.catch_up(counter.app) == 0
    assert journal.path_of(settings).exists()
