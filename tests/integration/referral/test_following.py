"""What whoever sent a referral, and whoever got it, reads of it."""

from concurrent.futures import ThreadPoolExecutor
from threading import Thread
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select

from services.chassis.errors import Rejected
from services.chassis.tokens import Caller
from services.contracts.codes import Need
from services.referral import board, queries, toward_sites
from services.referral.forms import ReferralForm, ReferralsQuery, ReferralView
from services.referral.page_forms import BoardQuery
from services.referral.tables import referrals
from tests.support.office import AGENT, COUNTER, HELPS, THEN, TRACE, Desk, partner, proposed

APPOINTMENT = {"at": "2026-11-26T09:00:00+01:00", "place": "3 rue de l’Église, Roye", "contact": "Mme N’Diaye"}


def seen(desk: Desk, by: Caller, referral: UUID) -> ReferralView | None:
    """A referral as a caller lists it."""
    page = queries.list_referrals(ReferralsQuery(), by, desk.app)
    return next((one for one in page.referrals if one.referral_id == referral), None)


@pytest.mark.parametrize("by", [AGENT, COUNTER, partner(HELPS)])
def test_an_answer_is_read_by_who_sent_and_who_gave_it(desk: Desk, by: Caller) -> None:
    """With its appointment and its words, which the database keeps sealed."""
    referral = desk.open()
    desk.answer(
        referral, partner(HELPS), "accepted", appointment=APPOINTMENT, note="Apporter un CV", story_sufficient=True
    )
    found = seen(desk, by, referral)
    assert found is not None
    (answer,) = found.answers
    assert answer.appointment is not None
    assert (answer.status, answer.note, answer.story_sufficient) == ("accepted", "Apporter un CV", True)
    assert (answer.appointment.place, answer.appointment.contact) == (APPOINTMENT["place"], APPOINTMENT["contact"])
    assert answer.appointment.at.isoformat() == APPOINTMENT["at"]
    assert (found.case is None) == (by.role == "partner")


def test_nobody_else_reads_it(desk: Desk) -> None:
    """Neither another partner nor another site."""
    referral = desk.open()
    assert [seen(desk, by, referral) for by in (partner(THEN), Caller("site", "fs-roye", "x"))] == [None, None]


def test_each_open_referral_says_who_owes_what_by_when(desk: Desk) -> None:
    """The partner while it is open, then nobody; and it is overdue once the day has passed."""
    referral, told = desk.open(), []
    for status, more in (("received", {}), ("accepted", {}), ("on-hold", {}), ("completed", {"outcome": "helped"})):
        told.append(seen(desk, AGENT, referral))
        desk.answer(referral, partner(HELPS), status, **more)
    told.append(seen(desk, AGENT, referral))
    owed = [one.next and (one.next.owner, one.next.action, str(one.next.before)[:10]) for one in told if one]
    assert owed == [
        (HELPS, "acknowledge", "2026-11-25"),
        (HELPS, "answer", "2026-12-20"),
        (HELPS, "begin", "2026-12-11"),
        (HELPS, "resume", "2026-12-11"),
        None,
    ]


def test_a_date_that_has_passed_is_overdue(desk: Desk) -> None:
    """From the second after the end of that day in Paris."""
    referral = desk.open()
    overdue = []
    for days in (5, 1):
        desk.clock.move(days=days)
        found = seen(desk, AGENT, referral)
        assert found is not None
        assert found.next is not None
        overdue.append(found.next.overdue)
    assert overdue == [False, True]


def test_what_waits_for_an_agreement_is_its_sites_to_do(desk: Desk) -> None:
    """And so is what everybody has left."""
    waiting, lonely = desk.open(proposed(agreed=())), desk.open(proposed(agreed=("local",)))
    desk.answer(lonely, partner(HELPS), "declined", reason="no-capacity")
    told = [seen(desk, AGENT, one) for one in (waiting, lonely)]
    assert [one.next and (one.next.owner, one.next.action) for one in told if one] == [
        ("fs-moreuil", "obtain-agreement"),
        ("fs-moreuil", "reorient"),
    ]


def test_the_chain_is_its_sites_to_see(desk: Desk) -> None:
    """The site follows it from one recipient to the next; the next one learns how many, not who."""
    first = desk.open()
    desk.answer(first, partner(HELPS), "declined", reason="no-capacity")
    second = desk.row(first).next_id
    before, after = seen(desk, AGENT, first), seen(desk, AGENT, second)
    assert before is not None
    assert after is not None
    assert (before.next_referral, after.previous, after.bounces) == (second, first, 1)
    theirs = seen(desk, partner(THEN), second)
    assert theirs is not None
    assert (theirs.previous, theirs.next_referral, theirs.case, theirs.bounces) == (None, None, None, 1)
    assert HELPS not in theirs.model_dump_json()


def test_who_declined_does_not_learn_whether_somebody_took_over(desk: Desk) -> None:
    """The same is shown to it in both cases."""
    told = []
    for agreed in (("local", "operator"), ("local",)):
        referral = desk.open(proposed(agreed=agreed))
        desk.answer(referral, partner(HELPS), "declined", reason="no-capacity")
        assert (desk.row(referral).next_id is None) == (agreed == ("local",))
        found = seen(desk, partner(HELPS), referral)
        assert found is not None
        told.append(found.model_dump(exclude={"referral_id": True, "links": True, "answers": {0: {"answer_id"}}}))
    assert told[0] == told[1]


@pytest.mark.parametrize("end", ["person", "entered-in-error", "time"])
def test_what_was_never_sent_is_shown_to_no_partner(desk: Desk, end: str) -> None:
    """The person did not agree: neither a withdrawal nor the end makes it known, in list, on page or by an answer."""
    referral = desk.open(proposed(agreed=()))
    if end == "time":
        desk.clock.move(days=31)
        desk.ring()
    else:
        desk.withdraw(referral, AGENT, end)
    assert desk.row(referral).state != "awaiting-agreement"
    assert seen(desk, partner(HELPS), referral) is None
    board_ = board.inbox(BoardQuery(), partner(HELPS), desk.app, desk.office.network)
    assert (board_.ended, sum(board_.totals.values())) == ([], 0)
    with pytest.raises(Rejected) as refusal:
        desk.answer(referral, partner(HELPS), "accepted")
    assert refusal.value.status == 404
    assert desk.told(HELPS) == []
    assert seen(desk, AGENT, referral) is not None


def test_nothing_that_two_partners_hold_joins_their_files(desk: Desk) -> None:
    """Neither the time, told to the minute, nor the milliseconds of an identifier: of those the hour alone is there."""
    desk.clock.move(seconds=37.123456)
    referral = desk.open()
    desk.answer(referral, partner(HELPS), "declined", reason="no-capacity")
    events = [*desk.events(HELPS), *desk.events(THEN)]
    assert {event.time.second + event.time.microsecond for event in events} == {0}
    ids = [UUID(event.id) for event in events] + [referral, desk.row(referral).next_id]
    assert {(one.int >> 80) % 3_600_000 for one in ids} == {0}
    assert len(set(ids)) == len(ids)
    for by in (partner(HELPS), partner(THEN)):
        (one,) = queries.list_referrals(ReferralsQuery(), by, desk.app).referrals
        assert (one.sent_at.second, one.changed_at.microsecond) == (0, 0)


def test_a_note_to_a_site_is_read_there_and_by_its_sender(desk: Desk) -> None:
    """And by nobody else, not even the case's site."""
    about = desk.open()
    values: dict[str, Any] = {"site": "fs-roye", "need": Need.DECLARER_REVENUS, "about": about, "note": "Seul en ligne"}
    form = ReferralForm(referral_id=UUID(int=7), agreed=True, **values)
    toward_sites.send(form, partner(HELPS), desk.app, desk.office.network, TRACE)
    notes = [seen(desk, by, UUID(int=7)) for by in (Caller("agent", "fs-roye", "x"), partner(HELPS), AGENT)]
    assert [one and one.note for one in notes] == ["Seul en ligne", "Seul en ligne", None]


@pytest.mark.parametrize("action", ["answer", "withdraw"])
def test_nobody_waits_for_what_is_not_theirs(desk: Desk, action: str) -> None:
    """While its partner answers, a stranger is refused at once, as for a number that nobody has."""
    referral, stranger = desk.open(), partner(THEN)

    def refusal(number: UUID) -> Rejected:
        with pytest.raises(Rejected) as refused:
            desk.answer(number, stranger, "received") if action == "answer" else desk.withdraw(number, stranger)
        return refused.value

    with ThreadPoolExecutor(1) as pool, desk.app.work() as work:
        work.execute(select(referrals).where(referrals.c.id == referral).with_for_update())
        right, wrong = (pool.submit(refusal, number).result(timeout=5) for number in (referral, uuid4()))
    assert (right.status, right.detail) == (wrong.status, wrong.detail)
    assert right.status == 404


def test_of_a_hundred_answers_at_once_one_wins(desk: Desk) -> None:
    """Fifty accept and fifty decline: one state, one step, one event; every other is refused by its name."""
    referral, results = desk.open(), []

    def give(number: int) -> None:
        said = {"status": "accepted"} if number % 2 else {"status": "declined", "reason": "no-capacity"}
        try:
            results.append(desk.answer(referral, partner(HELPS), **said))
        except Rejected as refusal:
            results.append(str(refusal.status))

    threads = [Thread(target=give, args=(number,)) for number in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    state = desk.row(referral).state
    assert sorted(results) == ["409"] * 99 + [state]
    assert [each for each, event in desk.trail(referral) if event is None] == ["sent", state]
    assert desk.told(HELPS)[1:] == [f"Referral{state.capitalize()}"]


def test_an_answer_and_the_clock_at_once(desk: Desk) -> None:
    """At the very end of its time a referral is answered or expires, never both."""
    ids = [desk.open() for _ in range(20)]
    desk.clock.move(days=30, hours=13.49)  # some seconds before midnight

    refusals = []

    def answer(one: UUID) -> None:
        desk.clock.move(seconds=3)
        try:
            desk.answer(one, partner(HELPS), "accepted")
        except Rejected as refusal:
            refusals.append(refusal.status)

    threads = [Thread(target=answer, args=(one,)) for one in ids] + [Thread(target=desk.ring) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    desk.ring()
    states = {tuple(state for state, event in desk.trail(one) if event is None)[1:] for one in ids}
    assert states <= {("accepted",), ("expired",)}
    assert set(refusals) <= {409}
