"""What a person decides after a visit, and what becomes of the referrals: in whatever order it is heard of."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from itertools import permutations, product
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text, update

from services.chassis import outbox
from services.chassis.recalling import RELAYED
from services.chassis.tokens import Caller
from services.contracts.codes import Category, Need, ReferralState
from services.contracts.envelope import CloudEvent
from services.contracts.orientation import OrientationProposed, Recipient
from services.referral import handlers, queries
from services.referral.forms import EventsQuery, ReferralsQuery
from services.referral.tables import referrals
from tests.support.house import eventually
from tests.support.office import AGENT, HELPS, MORNING, RECIPIENTS, SITE, THEN, Desk, partner, proposed

S = ReferralState
NOON, LATER = MORNING + timedelta(hours=2), MORNING + timedelta(hours=3)
CAP = Recipient(partner="cap-emploi-80", category=Category.LOCAL, department="80")


def case_of(desk: Desk, referral: UUID) -> UUID:
    """The case that it is of."""
    return UUID(str(desk.row(referral).case_id))


def relayed(desk: Desk) -> None:
    """Let the relay have published all that is there."""
    with desk.app.read() as connection:
        outbox.move(connection, RELAYED, 10**6)


def waiting(desk: Desk, *recipients: Recipient) -> UUID:
    """Open a referral that nobody has agreed to; its id."""
    return desk.open(proposed(*recipients, agreed=()))


@pytest.mark.parametrize("recipient", [HELPS, "local"])
def test_what_waited_for_the_agreement_leaves(desk: Desk, recipient: str) -> None:
    """Told inside and to the partner as sent, with clocks that begin now; the agreement is its own step."""
    referral = waiting(desk)
    desk.clock.move(days=3)
    desk.decide(case_of(desk, referral), recipient, given=True, at=desk.clock.now())
    row = desk.row(referral)
    assert (row.state, row.step, row.never_sent, row.agreed_at) == (S.SENT, 2, False, desk.clock.now())
    assert desk.trail(referral) == [("awaiting-agreement", None), ("sent", None)]
    (told,) = desk.documents("ReferralSent")
    (view,) = desk.documents("ReferralSent", recipient=HELPS)
    assert (told["step"], told["case"], told["due_at"]) == (2, str(row.case_id), view["due_at"])
    assert "case" not in view
    assert row.due_at > desk.clock.now()
    assert row.wake_at > desk.clock.now()
    (listed,) = queries.list_referrals(ReferralsQuery(), partner(HELPS), desk.app).referrals
    assert listed.sent_at == desk.clock.now()
    assert desk.answer(referral, partner(HELPS), "accepted") == S.ACCEPTED


def test_others_agreements_send_nothing(desk: Desk) -> None:
    """Another recipient's, another case's."""
    referral = waiting(desk)
    desk.decide(case_of(desk, referral), THEN, given=True, at=NOON)
    desk.decide(uuid4(), HELPS, given=True, at=NOON)
    assert desk.row(referral).state == S.AWAITING_AGREEMENT
    assert (desk.told(HELPS), desk.told()) == ([], ["ReferralHeld"])


def test_health_takes_an_explicit_agreement(desk: Desk) -> None:
    """Where the partner's name tells it, where the need does, and where an earlier release did not write it down."""
    for reveals in (False, True, None):
        first = CAP if reveals is False else RECIPIENTS[0]
        referral = waiting(desk, first)
        with desk.app.work() as work:
            work.execute(update(referrals).where(referrals.c.id == referral).values(reveals_health=reveals))
        case = case_of(desk, referral)
        desk.decide(case, "local", given=True, at=NOON)
        assert desk.row(referral).state == S.AWAITING_AGREEMENT
        desk.decide(case, "local", given=True, sensitive=True, at=LATER)
        assert desk.row(referral).state == S.SENT


def test_what_ran_out_is_not_sent(desk: Desk) -> None:
    """After thirty days without an agreement it is the clock's to end."""
    referral = waiting(desk)
    desk.clock.move(days=31)
    desk.decide(case_of(desk, referral), HELPS, given=True, at=desk.clock.now())
    assert desk.row(referral).state == S.AWAITING_AGREEMENT
    assert desk.ring() == 1
    assert desk.row(referral).state == S.EXPIRED


def test_an_open_referral_is_withdrawn_and_the_partner_told(desk: Desk) -> None:
    """From every open state, by id or category, for the reason `person`; what the partner was told has an end."""
    before = {"sent": [], "received": ["received"], "accepted": ["accepted"]}
    for place, state in enumerate(("sent", "received", "accepted", "in-progress", "on-hold")):
        referral = desk.open()
        for each in before.get(state, ["accepted", state]):
            desk.answer(referral, partner(HELPS), each)
        relayed(desk)
        desk.decide(case_of(desk, referral), (HELPS, "local")[place % 2], given=False, at=NOON)
        assert (desk.row(referral).state, desk.row(referral).never_sent) == (S.WITHDRAWN, False)
        assert desk.told(HELPS)[-1] == "ReferralWithdrawn"
        told = list(desk.documents("ReferralWithdrawn"))[-1]
        assert (told["reason"], told["from_state"]) == ("person", state)
    assert desk.told(THEN) == []


@pytest.mark.parametrize("told_by", ["need", "partner", "an earlier release"])
def test_an_agreement_to_health_no_more_takes_back_what_tells_it(desk: Desk, told_by: str) -> None:
    """Before it is delivered nobody outside hears of it, afterwards the partner is told to stop."""
    mdph = Recipient(partner="mdph-80", category=Category.DEPARTMENT, department="80")
    to = mdph if told_by == "partner" else RECIPIENTS[0]
    for delivered in (False, True):
        visit = proposed(to, agreed=(to.partner,))
        (proposal,) = visit.proposals
        proposals = (proposal.model_copy(update={"sensitive": told_by == "need"}),)
        referral = desk.open(visit.model_copy(update={"sensitive": True, "proposals": proposals}))
        if told_by == "an earlier release":
            with desk.app.work() as work:
                work.execute(update(referrals).where(referrals.c.id == referral).values(reveals_health=None))
        assert desk.row(referral).state == S.SENT
        case = case_of(desk, referral)
        desk.decide(case, to.partner, given=True, sensitive=True, at=NOON)
        assert desk.row(referral).state == S.SENT
        if delivered:
            relayed(desk)
        desk.decide(case, to.category, given=True, at=LATER)
        assert (desk.row(referral).state, desk.row(referral).never_sent) == (S.WITHDRAWN, not delivered)
        assert desk.told(to.partner) == (["ReferralSent", "ReferralWithdrawn"] if delivered else [])


def test_an_agreement_to_health_no_more_takes_back_nothing_else(desk: Desk) -> None:
    """What tells nothing of it stays; and what a partner sent to a site, which never tells it of a case."""
    referral = desk.open()
    back = desk.send(HELPS, about=referral)
    case = case_of(desk, referral)
    for name in (HELPS, "local", SITE, "site"):
        desk.decide(case, name, given=True, at=NOON)
    assert desk.row(back).case_id == case
    assert [desk.row(each).state for each in (referral, back)] == [S.SENT, S.SENT]


def test_what_waits_stays_waiting(desk: Desk) -> None:
    """Nothing was agreed to, so that nothing is taken back; the site may still ask."""
    referral = waiting(desk)
    desk.decide(case_of(desk, referral), HELPS, given=False, at=NOON)
    assert desk.row(referral).state == S.AWAITING_AGREEMENT
    assert desk.told() == ["ReferralHeld"]


def test_a_later_visits_referral_stays(desk: Desk) -> None:
    """A withdrawal that arrives late withdraws only what was agreed to before it."""
    referral = desk.open(proposed().model_copy(update={"occurred_at": LATER}))
    desk.decide(case_of(desk, referral), HELPS, given=False, at=NOON)
    assert desk.row(referral).state == S.SENT


def test_in_any_order_it_comes_to_the_same(desk: Desk) -> None:
    """The visit, an agreement and a withdrawal, each once or again: the person's latest decision stands.

    What was sent and then withdrawn has ended so, and does not come back; anything else is as the latest says.
    """
    for order, twice, last_given, names in product(
        permutations(range(3)), (False, True), (False, True), ((HELPS, HELPS), ("local", HELPS), (HELPS, "local"))
    ):
        visit = proposed(agreed=(HELPS,))
        case, opened = visit.case, list[UUID]()
        assert case
        for place in order * (1 + twice):
            if place == 0:
                opened += [] if opened else [desk.open(visit)]
            else:
                given, at = (not last_given, NOON) if place == 1 else (last_given, LATER)
                desk.decide(case, names[place - 1], given=given, at=at)
            relayed(desk)
        row = desk.row(opened[0])
        was_open_when_withdrawn = order.index(0) < order.index(1 if last_given else 2)
        known = (order, twice, last_given, names)
        if last_given:
            overtaken = order.index(2) < order.index(1)
            assert row.state == (S.WITHDRAWN if was_open_when_withdrawn and not overtaken else S.SENT), known
        else:
            assert row.state == (S.WITHDRAWN if was_open_when_withdrawn else S.AWAITING_AGREEMENT), known


def test_the_next_one_is_never_somebody_withdrawn_meanwhile(desk: Desk) -> None:
    """A refusal goes on to whom the person agreed to by now: no more to one, newly to another."""
    third = Recipient(partner="departement-80", category=Category.DEPARTMENT, department="80")
    chain = (*RECIPIENTS, third)
    referral = desk.open(proposed(*chain, agreed=("local", "operator")))
    case = case_of(desk, referral)
    desk.decide(case, THEN, given=False, at=NOON)
    desk.decide(case, "department", given=True, at=NOON)
    desk.answer(referral, partner(HELPS), "declined", reason="no-capacity")
    next_id = desk.row(referral).next_id
    assert desk.row(next_id).partner == third.partner
    assert desk.row(next_id).agreed_at == NOON
    assert desk.told(THEN) == []


def test_after_silence_neither(desk: Desk) -> None:
    """The clock asks, too."""
    referral = desk.open()
    desk.decide(case_of(desk, referral), "operator", given=False, at=NOON)
    desk.clock.move(days=31)
    while desk.ring():
        pass
    assert (desk.row(referral).state, desk.row(referral).next_id) == (S.EXPIRED, None)


def test_an_objection_withdraws_whatever_is_open(desk: Desk) -> None:
    """All categories are withdrawn from: agreements with single partners before it count no more."""
    case = uuid4()
    first = desk.open(proposed(RECIPIENTS[0], agreed=(HELPS,)).model_copy(update={"case": case}))
    second = desk.open(proposed(RECIPIENTS[1], agreed=(THEN,)).model_copy(update={"case": case}))
    relayed(desk)
    for category in Category:
        desk.decide(case, category, given=False, at=NOON)
    assert {desk.row(each).state for each in (first, second)} == {S.WITHDRAWN}
    assert desk.told(HELPS) == desk.told(THEN) == ["ReferralSent", "ReferralWithdrawn"]


def test_before_delivery_nobody_outside_hears_of_it(desk: Desk) -> None:
    """It is gone from the ledger; the site sees it withdrawn, the partner sees nothing, by no way."""
    referral = desk.open()
    desk.decide(case_of(desk, referral), HELPS, given=False, at=NOON)
    assert (desk.row(referral).state, desk.row(referral).never_sent) == (S.WITHDRAWN, True)
    assert desk.told(HELPS) == []
    assert desk.told() == ["ReferralSent", "ReferralWithdrawn"]
    assert queries.list_referrals(ReferralsQuery(), partner(HELPS), desk.app).referrals == []
    (seen,) = queries.list_referrals(ReferralsQuery(), AGENT, desk.app).referrals
    assert seen.state == S.WITHDRAWN
    assert desk.withdraw(referral, AGENT, "entered-in-error") == S.ENTERED_IN_ERROR
    assert desk.told(HELPS) == []


@pytest.mark.parametrize("way", ["events", "list"])
def test_a_partner_that_has_read_it_is_told(desk: Desk, way: str) -> None:
    """Over HTTP it may have seen what its queue never brought: it is told to stop."""
    referral, reader = desk.open(), partner(HELPS)
    if way == "events":
        assert queries.list_events(EventsQuery(), reader, desk.app).events
    else:
        assert queries.list_referrals(ReferralsQuery(), reader, desk.app).referrals
    desk.decide(case_of(desk, referral), HELPS, given=False, at=NOON)
    assert not desk.row(referral).never_sent
    assert desk.told(HELPS) == ["ReferralWithdrawn"]
    queries.list_referrals(ReferralsQuery(), Caller("agent", THEN, "x"), desk.app)


def test_a_withdrawal_waits_for_whoever_is_opening(desk: Desk) -> None:
    """A batch that has read what was decided before it is seen by it: nothing slips through between them."""
    data = proposed()
    assert data.case
    told = {"id": "x", "source": "/relais/orientation", "type": data.TYPE, "time": MORNING}
    event = CloudEvent[OrientationProposed].model_validate({**told, "data": data})
    with ThreadPoolExecutor(1) as pool:
        with desk.app.work() as work:
            handlers.open_referrals([event], work, desk.office.network)
            later = pool.submit(desk.decide, data.case, HELPS, given=False, at=NOON)
            eventually(lambda: locks_waited_for(desk) == 1)
        later.result(timeout=10)
    with desk.app.read() as connection:
        assert connection.execute(referrals.select()).one().state == S.WITHDRAWN


def locks_waited_for(desk: Desk) -> int:
    """How many transactions wait for a lock of ours."""
    with desk.app.read() as connection:
        waiting_ = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
        return connection.scalar(waiting_) or 0


def test_joined_cases_are_decided_for_together(desk: Desk) -> None:
    """What was withdrawn in either counts for both once they are joined, and no more once they are parted."""
    head, merged = uuid4(), uuid4()
    desk.decide(merged, "local", given=False, at=NOON)
    referral = desk.open(proposed().model_copy(update={"case": head}))
    relayed(desk)
    assert desk.row(referral).state == S.SENT
    desk.join(head, merged)
    assert desk.row(referral).state == S.WITHDRAWN
    again = desk.open(proposed().model_copy(update={"case": head}))
    assert desk.row(again).state == S.AWAITING_AGREEMENT
    desk.clock.move(minutes=1)
    desk.join(head, merged, joined=False)
    apart = desk.open(proposed().model_copy(update={"case": head}))
    assert desk.row(apart).state == S.SENT


def test_a_site_sees_the_case_that_both_are_read_with(desk: Desk) -> None:
    """The newest of joinings and partings counts, in whatever order they are heard of."""
    referral, head = desk.open(), uuid4()
    case = case_of(desk, referral)

    def shown() -> UUID | None:
        return queries.list_referrals(ReferralsQuery(), AGENT, desk.app).referrals[0].case

    assert shown() == case
    desk.join(head, case)
    assert shown() == head
    desk.clock.move(minutes=1)
    desk.join(head, case, joined=False)
    desk.clock.move(minutes=-1)
    desk.join(head, case)
    assert shown() == case


def test_fallbacks_say_since_when_they_are_agreed_to(desk: Desk) -> None:
    """So that a withdrawal before the visit is none of theirs."""
    referral = desk.open(proposed(need=Need.LOGEMENT))
    (fallback,) = json.loads(desk.row(referral).fallbacks)
    assert (fallback["agreed"], datetime.fromisoformat(fallback["agreed_at"])) == (True, MORNING)
    desk.decide(case_of(desk, referral), "operator", given=False, at=MORNING - timedelta(days=1))
    desk.answer(referral, partner(HELPS), "declined", reason="no-capacity")
    assert desk.row(desk.row(referral).next_id).partner == THEN


def test_what_was_signed_before_a_withdrawal_counts_no_more(desk: Desk) -> None:
    """A visit of today may bring a form of the day before yesterday: of decisions the latest counts, not the visit."""
    signed = proposed().model_copy(update={"agreed": (HELPS,), "agreed_at": MORNING - timedelta(days=2)})
    assert signed.case is not None
    desk.decide(signed.case, "local", given=False, at=MORNING - timedelta(days=1))
    assert desk.row(desk.open(signed)).state == "awaiting-agreement"
    later = signed.model_copy(update={"orientation_id": uuid4(), "agreed_at": MORNING})
    assert desk.row(desk.open(later)).state == "sent"
