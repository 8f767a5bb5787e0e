"""What the clock does by itself: reminders, calls to named contacts, expiry."""

from typing import Any

from sqlalchemy import Row, select, update

from services.chassis.app import App, Work
from services.contracts.codes import ReferralState
from services.network import Network
from services.referral import steps
from services.referral.calendar import is_holiday_in
from services.referral.domain import clocks
from services.referral.tables import referrals

# How often whoever serves looks whose time has come; each time as long as there are some.
EVERY_SECONDS = 5
_AT_ONCE = 100


def ring(app: App, network: Network) -> int:
    """Do whatever is due for every referral whose time has come; how many steps were taken. Raises Unavailable."""
    done = 0
    while taken := _ring_some(app, network):
        done += taken
    return done


def _ring_some(app: App, network: Network) -> int:
    """One transaction; replicas share the work, and what somebody answers just now is left for the next round."""
    with app.work() as work:
        waiting = select(referrals).where(referrals.c.wake_at <= work.now).order_by(referrals.c.wake_at)
        rows = work.execute(waiting.limit(_AT_ONCE).with_for_update(skip_locked=True)).all()
        for row in rows:
            _act(row, work, network)
    return len(rows)


def is_over(row: Row[Any], work: Work, network: Network) -> bool:
    """Whether a referral's time has run out, although the clock has not come to it yet."""
    clock = steps.clocks_of(row.partner, network)
    end = clocks.ends_at(steps.standing_of(row), clock, is_holiday_in(row.department))
    return end is not None and end <= work.now


def _coming(row: Row[Any], network: Network) -> tuple[Any, clocks.Act] | None:
    clock = steps.clocks_of(row.partner, network)
    return clocks.agenda(steps.standing_of(row), clock, is_holiday_in(row.department))


def _act(row: Row[Any], work: Work, network: Network) -> None:
    """Take the one step whose time has come; what comes after it is set by the step."""
    coming, state = _coming(row, network), ReferralState(row.state)
    if coming is None or coming[0] > work.now:
        # Written by an earlier release, or its partner's clocks have been changed since.
        at = coming[0] if coming else None
        work.execute(update(referrals).where(referrals.c.id == row.id).values(wake_at=at))
        return
    reason = clocks.waiting_for(state)
    # Whoever was asleep for long catches up with the end, not with every reminder before it.
    act = clocks.Act.EXPIRE if is_over(row, work, network) else coming[1]
    moves = steps.Moves(work, network)
    if act is clocks.Act.REMIND:
        step = steps.Step(state, steps.SYSTEM, event="reminded")
        moves.take(row, step, reminders=row.reminders + 1)
    elif act is clocks.Act.ESCALATE:
        step = steps.Step(state, steps.SYSTEM, reason, event="escalated")
        moves.take(row, step, escalations=row.escalations + 1)
    else:
        now = moves.take(row, steps.Step(ReferralState.EXPIRED, steps.SYSTEM, reason))
        if state is not ReferralState.AWAITING_AGREEMENT:
            moves.hand_on(now, reason)
