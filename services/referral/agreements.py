"""What a person decides after a visit: referrals that were waiting for it leave, others are withdrawn.

The decisions are noted first, each if it is newer than what is known; then every open referral of the case is compared
with them. So it comes to the same in whatever order the events of a visit and of its agreements arrive.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, or_, select, text
from sqlalchemy.dialects import postgresql

from services.chassis import recalling
from services.chassis.app import Work
from services.contracts import consent
from services.contracts.codes import ReferralState, WithdrawReason
from services.contracts.envelope import CloudEvent
from services.contracts.intake import AgreementGiven, AgreementWithdrawn
from services.contracts.referral import ReferralSent
from services.network import Network
from services.referral import deadlines, decided, steps
from services.referral.domain import life
from services.referral.domain.life import Side
from services.referral.tables import IS_OPEN, agreements, referrals

S = ReferralState


def decide(
    events: Sequence[CloudEvent[AgreementGiven]] | Sequence[CloudEvent[AgreementWithdrawn]],
    work: Work,
    network: Network,
) -> None:
    """Note what was decided, and let the cases' referrals follow it."""
    decided.hold(work, alone=True)
    for event in events:
        _note(event.data, work)
    settle({event.data.case: event.traceparent for event in events}, work, network)


def settle(cases: Mapping[UUID, str | None], work: Work, network: Network) -> None:
    """Compare the open referrals of these cases, and of those joined to them, with what was decided.

    `cases`: each with the trace of what it is done for. The caller holds what people decided, alone.
    """
    since = decided.of(work, decided.joined_to(work, cases.keys()))
    # All of them before the first step: whoever answers locks its referral, and then waits for its number.
    wanted = select(referrals).where(referrals.c.case_id.in_(since.keys()), text(IS_OPEN))
    rows = work.execute(wanted.order_by(referrals.c.id).with_for_update()).all()
    moves = steps.Moves(work, network)
    for row in rows:
        decision = consent.deciding(since.get(row.case_id, {}), (row.partner, row.category))
        if decision is None:
            continue
        work.traceparent = cases.get(row.case_id, next(iter(cases.values())))
        if row.state == S.AWAITING_AGREEMENT:
            _send(row, decision, moves, network)
        elif is_taken_back(row, decision, network):
            _withdraw(row, moves)


def is_taken_back(row: Row[Any], decision: consent.Decision, network: Network) -> bool:
    """Whether the person, who had agreed to this referral, has since decided otherwise."""
    return not _covers(decision, row, network) and decision.at >= (row.agreed_at or row.opened_at)


def _note(told: AgreementGiven | AgreementWithdrawn, work: Work) -> None:
    given = isinstance(told, AgreementGiven)
    values = {"given": given, "sensitive": isinstance(told, AgreementGiven) and told.sensitive, "at": told.at}
    statement = postgresql.insert(agreements).values(case_id=told.case, recipient=told.recipient, **values)
    newer = statement.excluded.at > agreements.c.at
    if not given:
        newer = or_(newer, statement.excluded.at == agreements.c.at)
    work.execute(statement.on_conflict_do_update(index_elements=["case_id", "recipient"], set_=values, where=newer))


def _covers(decision: consent.Decision, row: Row[Any], network: Network) -> bool:
    """Whether it agrees to this referral. One that a partner sent to a site about a case tells nothing of health."""
    partner = network.partner(row.partner)
    told = row.sender is None and row.reveals_health is not False
    return decision.covers(reveals_health=told or (partner is not None and partner.reveals_health))


def _send(row: Row[Any], decision: consent.Decision, moves: steps.Moves, network: Network) -> None:
    """Send what waited, if this covers it. Its clocks begin now; what ran out meanwhile is the clock's to end."""
    partner = network.partner(row.partner)
    if partner is None or not life.may(Side.PERSON, ReferralState(row.state), S.SENT):
        return
    if deadlines.is_over(row, moves.work, network):
        return
    if _covers(decision, row, network):
        # It begins for whom it is addressed to.
        begun = {"agreed_at": decision.at, "opened_at": moves.work.now}
        moves.take(row, steps.Step(S.SENT, steps.SYSTEM), **begun)


def _withdraw(row: Row[Any], moves: steps.Moves) -> None:
    """Take it back. Of what has not left yet nobody outside is told."""
    first = ReferralSent.TYPE
    gone = row.sender is None and recalling.recall(moves.work.connection, row.partner, str(row.id), first)
    never_sent = {"never_sent": True} if gone else {}
    moves.take(row, steps.Step(S.WITHDRAWN, steps.SYSTEM, WithdrawReason.PERSON), **never_sent)
