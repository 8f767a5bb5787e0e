"""Agreements over several visits, and over cases that are one person's: what counts for which, and what is told."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from services.chassis.errors import Rejected
from services.intake import agreements
from services.intake.tables import accesses
from services.intake.tables import agreements as table
from tests.support.counter import Counter, somebody
from tests.support.decisions import agreed, agreement, delete, given, put, yeses

HELPS = "mission-locale-santerre"
CHILD = somebody(birth_date="2013-05-17")


def test_at_a_visit_what_was_taken_back_since_counts_no_more(counter: Counter) -> None:
    """A visit of the morning that arrives in the evening; a later agreement ends the withdrawal, and says so."""
    case, morning = counter.opened(), counter.clock.now()
    counter.clock.move(hours=2)
    delete(counter, case, HELPS)
    late = morning + timedelta(hours=1)
    counter.record(case=str(case), occurred_at=late.isoformat(), agreement=agreement(HELPS, "operator", sensitive=True))
    assert agreed(counter)[-1] == ["operator"]
    counter.record(case=str(case), occurred_at=late.isoformat(), agreement=agreement(HELPS, sensitive=True))
    assert (agreed(counter)[-1], counter.told("VisitRecorded")[-1].data["sensitive"]) == ([], False)
    assert yeses(counter) == []
    counter.clock.move(hours=1)
    now = counter.clock.now().isoformat()
    counter.record(case=str(case), occurred_at=late.isoformat(), agreement=agreement(HELPS, given_at=now))
    assert agreed(counter)[-1] == [HELPS]
    assert yeses(counter) == [(case, HELPS, False, counter.clock.now())]
    (row,) = counter.rows(table, recipient=HELPS)
    assert (row.withdrawn_at, row.withdrawn_for) == (None, None)


def test_what_a_visit_agreed_to_counts_for_that_visit(counter: Counter) -> None:
    """It is told by the visit alone; the next one says itself to whom the person agrees."""
    case = counter.opened(agreement=agreement(HELPS, sensitive=True))
    counter.record(case=str(case))
    assert agreed(counter) == [[HELPS], []]
    assert yeses(counter) == []


def test_a_yes_said_again_after_the_visit_is_the_case_s(counter: Counter) -> None:
    """Whoever finds it noted by a visit and still sees a referral wait says it again: told once, as it was said."""
    case, first = counter.opened(agreement=agreement(HELPS)), counter.clock.now()
    counter.clock.move(hours=1)
    views = [put(counter, case, HELPS) for _ in range(2)]
    assert [each.given_at for view in views for each in view.agreements] == [first, first]
    assert yeses(counter) == [(case, HELPS, False, first)]
    assert [row.action for row in counter.rows(accesses)] == ["agreement-given"]
    counter.clock.move(hours=1)
    counter.record(case=str(case), agreement=agreement(HELPS, sensitive=True))
    put(counter, case, HELPS, sensitive=True)
    put(counter, case, HELPS, sensitive=True)
    assert yeses(counter)[1:] == [(case, HELPS, True, counter.clock.now())]


def test_a_yes_said_again_is_that_of_each_joined_case(counter: Counter) -> None:
    """Each as it was noted there, and nothing of another recipient."""
    one, first = counter.opened(agreement=agreement(HELPS, "operator")), counter.clock.now()
    counter.clock.move(hours=1)
    two, second = counter.opened(agreement=agreement(HELPS)), counter.clock.now()
    counter.merged(one, two)
    put(counter, one, HELPS)
    assert sorted(yeses(counter)) == sorted([(one, HELPS, False, first), (two, HELPS, False, second)])


def test_of_joined_cases_the_youngest_decides(counter: Counter) -> None:
    """What the person agreed to alone as an adult at another counter ends when the cases are joined, and is told."""
    child = counter.opened(CHILD)
    counter.clock.move(minutes=1)
    grown = counter.opened(agreement=agreement(HELPS))
    counter.record(case=str(grown), agreement=agreement("operator", by="guardian"))
    counter.merged(child, grown)
    assert given(agreements.listed(child, counter.call())) == {HELPS: False, "operator": True}
    told = [event.data for event in counter.told("AgreementWithdrawn")]
    assert {(one["case"], one["recipient"], one["reason"]) for one in told} == {
        (str(child), HELPS, "withdrawn"),
        (str(grown), HELPS, "withdrawn"),
    }
    with pytest.raises(Rejected):
        counter.record(case=str(grown), age_band="30-54", agreement=agreement(HELPS))


def test_a_visit_of_a_joined_case_agrees_for_that_case_alone(counter: Counter) -> None:
    """For both while they are joined; parted, what the other's person took back stays so, here and elsewhere."""
    one = counter.opened(agreement=agreement(HELPS))
    delete(counter, one, HELPS)
    counter.clock.move(minutes=1)
    two = counter.opened()
    counter.merged(one, two)
    counter.clock.move(minutes=1)
    counter.record(case=str(two), agreement=agreement(HELPS))
    assert agreed(counter)[-1] == [HELPS]
    assert given(agreements.listed(one, counter.call())) == {HELPS: True}
    assert [event.data["case"] for event in counter.told("AgreementGiven")] == [str(two)]
    counter.parted(one, two)
    assert [given(agreements.listed(case, counter.call())) for case in (one, two)] == [{HELPS: False}, {HELPS: True}]


def test_joined_cases_are_decided_for_together(counter: Counter) -> None:
    """The latest of either counts; each step is told of both; an objection in one is one in both."""
    one = counter.opened(agreement=agreement(HELPS))
    counter.clock.move(minutes=1)
    two = counter.opened(agreement=agreement("operator"))
    delete(counter, two, HELPS)
    head = counter.merged(one, two).case
    assert head == one
    assert given(agreements.listed(one, counter.call())) == {HELPS: False, "operator": True}
    counter.clock.move(minutes=1)
    put(counter, two, HELPS)
    assert {event.data["case"] for event in counter.told("AgreementGiven")} == {str(one), str(two)}
    assert given(agreements.listed(one, counter.call()))[HELPS]
    counter.clock.move(minutes=1)
    three = counter.opened()
    agreements.stop(three, "objection", counter.call())
    assert not agreements.listed(one, counter.call()).objected
    counter.merged(three, one)
    view = agreements.listed(two, counter.call())
    assert (view.objected, set(given(view).values())) == (True, {False})
    told = [event.data for event in counter.told("AgreementWithdrawn") if event.data["reason"] == "objection"]
    assert {(each["case"], each["recipient"]) for each in told} >= {(str(one), HELPS), (str(two), HELPS)}


def test_two_batches_that_meet_the_same_persons_both_go_through(counter: Counter) -> None:
    """In whatever order each names them: what each says of agreements is written, whoever waits for whom."""
    cases = [
        counter.opened(somebody("Martin", f"Paul{'a' * number}"), agreement=agreement("state")) for number in range(8)
    ]
    orders = (cases, cases[::-1])
    with ThreadPoolExecutor(2) as pool:
        for recipient in ("operator", "department", "local", HELPS, "france-travail"):
            bodies = [
                [counter.body(case=str(case), agreement=agreement(recipient)) for case in order] for order in orders
            ]
            list(pool.map(lambda some: counter.record_together(*some), bodies))
    assert len(agreed(counter)) == 8 + 5 * 16
    assert len(counter.rows(table)) == 8 * 6
