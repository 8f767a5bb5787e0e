"""Retention on a moved clock: nothing a day early, nothing kept a day late, in Paris days."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from sqlalchemy import insert, update

from services.chassis.errors import Rejected
from services.chassis.settings import Settings
from services.chassis.tables import vault_keys
from services.contracts.codes import Need
from services.intake import agreements, journal, retention, rights, search, stories
from services.intake.call import Call
from services.intake.case_forms import AgreementPut, StoryPut
from services.intake.forms import PersonForm
from services.intake.tables import accesses, cases, sent_referrals, visits
from tests.support.counter import Counter, somebody

STORY = "canary: left school in march"
NOTHING: dict[str, dict[str, int]] = {"cases": {}, "anonymous_texts": {}, "accesses": {}}


@pytest.fixture(autouse=True)
def settings(counter: Counter, tmp_path: Path) -> Settings:
    """Give the counter a journal of its own."""
    counter.app.settings = Settings(state=tmp_path / "state")
    journal.check(counter.app.settings)
    return counter.app.settings


def left(counter: Counter) -> set[UUID]:
    """The cases that are there."""
    return {row.id for row in counter.rows(cases)}


@pytest.mark.parametrize(
    ("met", "goes"),
    [
        pytest.param("2026-11-20T09:00+01:00", "2028-11-20T00:00+01:00", id="any day"),
        pytest.param("2024-02-29T23:50+01:00", "2026-03-01T00:00+01:00", id="a leap day"),
        pytest.param("2026-02-28T23:50+01:00", "2028-02-28T00:00+01:00", id="the day before a leap day to come"),
        pytest.param("2026-03-28T23:50+01:00", "2028-03-28T00:00+02:00", id="summer time by then"),
        pytest.param("2026-10-25T02:30+01:00", "2028-10-25T00:00+02:00", id="the hour that came twice"),
        pytest.param("2026-07-01T00:10+02:00", "2028-07-01T00:00+02:00", id="still June in UTC"),
    ],
)
def test_a_case_goes_at_midnight_of_the_day_two_years_later(counter: Counter, met: str, goes: str) -> None:
    """A minute before, it is there; then it is erased as if an agent had asked for it, with texts and key."""
    counter.clock.at = datetime.fromisoformat(met).astimezone(UTC)
    case = counter.opened(story=STORY)
    anonymous = counter.record(None, story=STORY)
    counter.clock.at = datetime.fromisoformat(goes).astimezone(UTC) - timedelta(minutes=1)
    assert retention.due(counter.app) == NOTHING
    assert retention.run(counter.app) == NOTHING
    assert left(counter) == {case}
    counter.clock.move(minutes=1)
    month = met[:7]
    expected = NOTHING | {"cases": {month: 1}, "anonymous_texts": {month: 1}}
    assert retention.due(counter.app) == expected
    assert left(counter) == {case}
    assert retention.run(counter.app) == expected
    assert left(counter) == set()
    assert [(row.visit_id, row.free_text_sealed) for row in counter.rows(visits)] == [(anonymous.visit_id, None)]
    assert counter.rows(vault_keys) == []
    assert [each.data["reason"] for each in counter.told("CaseErased")] == ["retention"]
    assert retention.run(counter.app) == NOTHING


def test_the_last_contact_of_any_of_them_counts(counter: Counter) -> None:
    """Of cases that are read as one, and whatever the order of arrival; then all of them go."""
    start = counter.clock.at
    first, second = counter.opened(), counter.opened(somebody("Lefevre", "Amelie"))
    counter.merged(first, second)
    counter.clock.move(days=100)
    counter.record(None, case=str(second))
    counter.clock.at = start.replace(year=2028) + timedelta(days=99)
    assert retention.run(counter.app) == NOTHING
    counter.clock.move(days=1)
    assert sum(retention.run(counter.app)["cases"].values()) == 2
    assert left(counter) == set()


ACTS: dict[str, Callable[[UUID, Call], object]] = {
    "gives an agreement": lambda case, call: agreements.give(case, "local", AgreementPut(), call),
    "takes one back": lambda case, call: agreements.withdraw(case, "operator", call),
    "objects": lambda case, call: agreements.stop(case, "objection", call),
    "has it limited": lambda case, call: agreements.stop(case, "restriction", call),
    "objects no more": lambda case, call: agreements.resume(case, "objection", call),
    "has the identity put right": lambda case, call: rights.correct_person(case, PersonForm(**somebody()), call),
}


@pytest.mark.parametrize("act", [pytest.param(act, id=name) for name, act in ACTS.items()])
def test_what_a_person_does_at_a_counter_is_a_contact(counter: Counter, act: Callable[[UUID, Call], object]) -> None:
    """Also without a visit: from that Paris day on, under whichever of joined cases it is done."""
    start, case = counter.clock.at, counter.opened(agreement={"recipients": ["operator"]})
    counter.clock.move(minutes=1)
    joined = counter.opened()
    counter.merged(case, joined)
    counter.clock.at = start.replace(year=2028, month=11, day=18, hour=23, minute=30)  # the 19th, in Paris
    act(joined, counter.call())
    counter.clock.at = start.replace(year=2030, month=11, day=18)
    assert retention.run(counter.app)["cases"] == {}
    counter.clock.move(days=1)
    retention.run(counter.app)
    assert left(counter) == set()


def test_a_story_put_right_is_a_contact(counter: Counter) -> None:
    """The person read it over."""
    visit = counter.record(somebody(), story=STORY)
    counter.clock.move(days=700)
    rights.correct_story(visit.visit_id, StoryPut(story="Autre chose."), counter.call())
    counter.clock.move(days=700)
    assert retention.run(counter.app)["cases"] == {}
    assert left(counter) == {visit.case}


def test_what_an_agent_does_alone_is_no_contact(counter: Counter) -> None:
    """Looking, reading, and what was refused to be noted."""
    start, case = counter.clock.at, counter.opened()
    counter.clock.move(days=700)
    counter.found(somebody())
    search.confirm(case, counter.call())
    stories.of_case(case, counter.call())
    agreements.listed(case, counter.call())
    with pytest.raises(Rejected):
        agreements.give(case, "nobody", AgreementPut(), counter.call())
    counter.clock.at = start.replace(year=2028)
    retention.run(counter.app)
    assert left(counter) == set()


@pytest.mark.parametrize(("state", "counts"), [("accepted", True), ("expired", False), ("sent", False)])
def test_an_answer_is_a_contact(counter: Counter, state: str, counts: bool) -> None:  # noqa: FBT001 - a parameter
    """A partner's answer shows that the case lives; what the clock does to a referral does not."""
    start, case = counter.clock.at, counter.opened()
    with counter.app.database.begin() as connection:
        connection.execute(
            insert(sent_referrals).values(
                referral_id=uuid4(),
                case_id=case,
                need=Need.LOGEMENT,
                state=state,
                step=2,
                at=start + timedelta(days=50),
            )
        )
    counter.clock.at = start.replace(year=2028)
    assert retention.due(counter.app)["cases"] == ({} if counts else {"2026-11": 1})
    assert retention.run(counter.app)["cases"] == ({} if counts else {"2026-11": 1})
    counter.clock.move(days=49)
    assert retention.run(counter.app)["cases"] == {}
    counter.clock.move(days=1)
    assert sum(retention.run(counter.app)["cases"].values()) == counts
    assert left(counter) == set()


def test_the_exchange_trace_is_kept_36_months(counter: Counter) -> None:
    """Longer than its case, under the digest; to the day."""
    start, case = counter.clock.at, counter.opened()
    counter.found(somebody())
    counter.clock.at = start.replace(year=2028)
    retention.run(counter.app)
    assert left(counter) == set()
    assert [(row.action, row.case_id) for row in counter.rows(accesses)] == [("found", None), ("erased", None)]
    counter.clock.at = start.replace(year=2029, month=11, day=19, hour=22, minute=59)
    assert retention.run(counter.app) == NOTHING
    counter.clock.move(minutes=1)
    assert retention.due(counter.app) == NOTHING | {"accesses": {"2026-11": 1}}
    assert retention.run(counter.app) == NOTHING | {"accesses": {"2026-11": 1}}
    assert [row.action for row in counter.rows(accesses)] == ["erased"]
    counter.clock.at = start.replace(year=2031)
    retention.run(counter.app)
    assert counter.rows(accesses) == []
    assert case not in left(counter)


def test_many_go_in_one_run_each_for_itself(counter: Counter, settings: Settings) -> None:
    """One that cannot go keeps no other: it is asked again an hour later."""
    gone = {counter.opened(somebody("Martin", f"Paul{'a' * number}")) for number in range(12)}
    kept = counter.opened()
    with counter.app.database.begin() as connection:
        today = counter.clock.at.date()
        connection.execute(
            update(cases).where(cases.c.id.in_(gone)).values(last_contact_on=today - timedelta(days=800))
        )
    assert sum(retention.run(counter.app)["cases"].values()) == 12
    assert left(counter) == {kept}
    assert len(list(journal.entries(settings))) == 12
