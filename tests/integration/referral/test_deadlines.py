"""What the clock does by itself, on a real database and a clock that is moved."""

from datetime import timedelta
from threading import Thread

import pytest
from sqlalchemy import text, update

from services.chassis.errors import Rejected
from services.contracts.codes import Category, Need
from services.contracts.orientation import Recipient
from services.network.schema import Clocks
from services.referral.tables import IS_OPEN, referrals
from tests.support.office import AGENT, HELPS, NETWORK, THEN, Desk, partner, proposed


def test_a_silent_partner(desk: Desk) -> None:
    """Reminded twice, its contact called, expired, and the next recipient has the same story: each told once."""
    first = desk.open()
    for days, steps in ((9, 0), (1, 0), (1, 1), (9, 0), (1, 2), (8, 0), (2, 1)):
        desk.clock.move(days=days)
        assert (days, desk.ring()) == (days, steps)
    assert desk.trail(first) == [
        ("sent", None),
        ("sent", "reminded"),
        ("sent", "reminded"),
        ("sent", "escalated"),
        ("expired", None),
        ("expired", "rerouted"),
    ]
    second = desk.row(first).next_id
    assert desk.told() == [
        "ReferralSent",
        "ReferralReminded",
        "ReferralReminded",
        "ReferralEscalated",
        "ReferralExpired",
        "ReferralRerouted",
        "ReferralSent",
    ]
    assert desk.told(HELPS) == [
        "ReferralSent",
        "ReferralReminded",
        "ReferralReminded",
        "ReferralEscalated",
        "ReferralExpired",
    ]
    assert desk.told(THEN) == ["ReferralSent"]
    taken_over, left = desk.row(second), desk.row(first)
    assert (taken_over.partner, taken_over.state, taken_over.bounces, taken_over.previous) == (THEN, "sent", 1, first)
    assert (taken_over.case_id, taken_over.visit_id) == (left.case_id, left.visit_id)
    assert (left.state, left.due_at, left.wake_at) == ("expired", None, None)
    (sent,) = desk.documents("ReferralSent", recipient=THEN)
    assert str(first) not in str(sent)
    assert HELPS not in str(sent)


def test_nobody_is_left_after_the_last(desk: Desk) -> None:
    """Two silent partners: two bounces, and the sender is the one to act."""
    desk.open()
    for _ in range(2):
        desk.clock.move(days=31)
        desk.ring()
    with desk.app.read() as connection:
        rows = connection.execute(text("SELECT state, bounces, next_id IS NULL FROM referrals ORDER BY change")).all()
    assert sorted(map(tuple, rows)) == [("expired", 0, False), ("expired", 1, True)]


def test_an_answer_stops_the_reminders(desk: Desk) -> None:
    """Who accepted is not asked for an acceptance, and is asked for news after fifteen business days."""
    referral = desk.open()
    desk.clock.move(days=5)
    desk.answer(referral, partner(HELPS), "accepted")
    desk.clock.move(days=16)
    assert desk.ring() == 0
    assert desk.trail(referral) == [("sent", None), ("accepted", None)]
    desk.clock.move(days=10)
    desk.ring()
    assert desk.trail(referral)[-1] == ("accepted", "escalated")


@pytest.mark.parametrize("status", ["accepted", "declined", "received"])
def test_nothing_answers_what_has_expired(desk: Desk, status: str) -> None:
    """Neither after the clock has said so, nor in the seconds before it comes to it: the refusal names the state."""
    referral = desk.open()
    desk.clock.move(days=31)
    for _ in range(2):
        with pytest.raises(Rejected) as refusal:
            desk.answer(
                referral, partner(HELPS), status, **({"reason": "other", "note": "…"} if status == "declined" else {})
            )
        assert (refusal.value.status, "« expired »" in refusal.value.detail) == (409, True)
        desk.ring()
    assert desk.row(referral).state == "expired"


def test_whoever_slept_for_long_catches_up_at_once(desk: Desk) -> None:
    """After forty days without the service there is one end, and no shower of reminders before it."""
    referral = desk.open()
    desk.clock.move(days=40)
    desk.ring()
    assert [event for _, event in desk.trail(referral)] == [None, None, "rerouted"]


def test_one_reminder_stands_for_those_that_an_outage_swallowed(desk: Desk) -> None:
    """After twenty-five days: one reminder and the call, and the rhythm goes on from there."""
    referral = desk.open()
    desk.clock.move(days=25)
    desk.ring()
    assert [event for _, event in desk.trail(referral)] == [None, "reminded", "escalated"]
    assert desk.row(referral).reminders == 2


def test_a_referral_that_a_bug_hits_holds_up_no_other(desk: Desk) -> None:
    """It is left for an hour, and the one behind it rings."""
    broken, sound = desk.open(), desk.open()
    with desk.app.work() as work:
        values = {"fallbacks": '[{"agreed": true}]', "wake_at": desk.clock.now()}
        work.execute(update(referrals).where(referrals.c.id == broken).values(values))
    desk.clock.move(days=31)
    desk.ring()
    assert (desk.row(broken).state, desk.row(sound).state) == ("sent", "expired")
    assert desk.row(broken).wake_at == desk.clock.now() + timedelta(hours=1)


def test_clocks_that_were_shortened_leave_nobody_in_between(desk: Desk) -> None:
    """Until it rings next, a referral can be answered and withdrawn; then the new clock holds."""
    answered, silent = desk.open(), desk.open()
    quick = Clocks(reception=1, reminder=3, escalation=4, expiry=6)
    own = NETWORK.partner(HELPS)
    assert own is not None
    others = [each for each in NETWORK.partners if each.id != HELPS]
    desk.with_network(partners=(*others, own.model_copy(update={"clocks": quick})))
    desk.clock.move(days=8)
    assert desk.ring() == 0
    assert desk.answer(answered, partner(HELPS), "accepted") == "accepted"
    desk.clock.move(days=3)
    desk.ring()
    assert desk.row(silent).state == "expired"


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00Z", "9999-12-31T23:00:00Z", "2029-01-01T09:00:00+01:00"])
def test_an_appointment_that_cannot_be_meant_is_refused(desk: Desk, at: str) -> None:
    """422 naming the field; next week is fine, and so is last week."""
    referral = desk.open()
    with pytest.raises(Rejected) as refusal:
        desk.answer(referral, partner(HELPS), "accepted", appointment={"at": at})
    assert (refusal.value.status, refusal.value.errors[0]["pointer"]) == (422, "/appointment/at")
    assert (
        desk.answer(referral, partner(HELPS), "accepted", appointment={"at": "2026-11-17T09:00:00+01:00"}) == "accepted"
    )


def test_two_clocks_ring_once(desk: Desk) -> None:
    """Replicas that look at the same moment share the work."""
    ids = [desk.open() for _ in range(30)]
    desk.clock.move(days=11)
    threads = [Thread(target=desk.ring) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [desk.trail(one) for one in ids] == [[("sent", None), ("sent", "reminded")]] * 30


def test_what_an_earlier_release_wrote_gets_its_clock(desk: Desk) -> None:
    """Its rows ring at once, nothing happens, and the times are right from then on."""
    referral = desk.open()
    with desk.app.work() as work:
        values = {"since": desk.clock.now(), "wake_at": None, "due_at": None, "state": "accepted"}
        work.execute(update(referrals).where(referrals.c.id == referral).values(values))
    assert desk.ring() == 1
    assert [event for _, event in desk.trail(referral)] == [None]
    assert desk.row(referral).wake_at == desk.row(referral).due_at > desk.clock.now() + timedelta(days=20)
    assert desk.ring() == 0


def test_clocks_of_the_partners_own(desk: Desk) -> None:
    """A partner whose file says three days is reminded on the third, the next recipient by its own clock."""
    quick = Clocks(reception=1, reminder=3, escalation=4, expiry=6)
    others = [each for each in NETWORK.partners if each.id != HELPS]
    own = NETWORK.partner(HELPS)
    assert own is not None
    desk.with_network(partners=(*others, own.model_copy(update={"clocks": quick})))
    referral = desk.open()
    assert desk.row(referral).due_at.date().isoformat() == "2026-11-23"
    desk.clock.move(days=7)
    desk.ring()
    assert desk.row(desk.row(referral).next_id).wake_at > desk.clock.now() + timedelta(days=9)


def test_a_withdrawn_referral_rings_no_more(desk: Desk) -> None:
    """Whom it was sent to is told to stop, and nobody is asked again."""
    referral = desk.open()
    desk.withdraw(referral, AGENT, "person")
    desk.clock.move(days=60)
    assert desk.ring() == 0
    assert desk.told(HELPS) == ["ReferralSent", "ReferralWithdrawn"]


def test_what_waits_for_an_agreement_ends_quietly(desk: Desk) -> None:
    """No partner hears of it, and nobody else gets it."""
    referral = desk.open(proposed(agreed=()))
    desk.clock.move(days=31)
    desk.ring()
    assert desk.trail(referral) == [("awaiting-agreement", None), ("expired", None)]
    assert desk.told(HELPS) == desk.told(THEN) == []


def test_a_hundred_thousand_clocks_cost_little_until_they_ring(desk: Desk) -> None:
    """Looking for what is due reads an index of due times, not the referrals."""
    desk.open()
    with desk.app.read() as connection:
        connection.execute(text("SET enable_seqscan = off"))
        due = "coalesce(wake_at, opened_at)"
        asked = f"EXPLAIN SELECT * FROM referrals WHERE {IS_OPEN} AND {due} <= now() ORDER BY {due} LIMIT 1"  # noqa: S608 - ours
        assert "referrals_to_wake" in str(connection.execute(text(asked)).all())


def test_a_referral_in_alsace_has_its_holidays(desk: Desk) -> None:
    """By the département that it is addressed in: Good Friday is no business day there."""
    desk.clock.at = desk.clock.at.replace(year=2026, month=4, day=2)
    dates = []
    for department in ("80", "67"):
        one = Recipient(partner=THEN, category=Category.OPERATOR, department=department)
        dates.append(desk.row(desk.open(proposed(one, need=Need.CHERCHER_UN_EMPLOI))).due_at.date().isoformat())
    assert dates == ["2026-04-08", "2026-04-09"]
