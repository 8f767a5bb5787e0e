"""What the clock does by itself: reminders, calls to named contacts, expiry."""

import time
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, func, select, text, update

from services.chassis import logs
from services.chassis.app import App, Work
from services.chassis.errors import Unavailable
from services.contracts.codes import ReferralState
from services.network import Network
from services.referral import decided, steps
from services.referral.calendar import is_holiday_in
from services.referral.domain import clocks
from services.referral.tables import IS_OPEN, referrals

# How often whoever serves looks whose time has come, and how long it is at it: whoever stops waits for no more.
EVERY_SECONDS = 5
_SECONDS_AT_ONCE = 2
# A referral that a bug hits holds up no other, and is tried again.
_AGAIN = timedelta(hours=1)
_TIME = func.coalesce(referrals.c.wake_at, referrals.c.opened_at)

log = logs.get(__name__)


def ring(app: App, network: Network) -> int:
    """Do what is due for the referrals whose time has come, each by itself; how many rang. Raises Unavailable.

    Replicas share the work. What is left after two seconds waits for the next time.
    """
    rung, began = 0, time.monotonic()
    while time.monotonic() - began < _SECONDS_AT_ONCE:
        row = None
        try:
            with app.work() as work:
                decided.hold(work)
                waiting = select(referrals).where(text(IS_OPEN), work.now >= _TIME).order_by(_TIME)
                row = work.execute(waiting.limit(1).with_for_update(skip_locked=True)).first()
                if row is None:
                    break
                _act(row, work, network)
        except Unavailable:
            raise
        except Exception as error:
            if row is None:
                raise
            log.error("clock failed", referral_id=str(row.id), reason=logs.reason_of(error))  # noqa: TRY400
            _set(app, row.id, app.clock.now() + _AGAIN)
        rung += 1
    return rung


def _set(app: App, referral_id: UUID, at: datetime) -> None:
    with app.work() as work:
        work.execute(update(referrals).where(referrals.c.id == referral_id).values(wake_at=at))


def is_over(row: Row[Any], work: Work, network: Network) -> bool:
    """Whether a referral's time has run out, although the clock, which is due, has not come to it yet.

    By clocks that were shortened since it was set, nothing has: they count from when it rings next.
    """
    clock = steps.clocks_of(row.partner, network)
    end = clocks.ends_at(steps.standing_of(row), clock, is_holiday_in(row.department))
    return end is not None and end <= work.now and (row.wake_at or row.opened_at) <= work.now


def _coming(standing: clocks.Standing, row: Row[Any], network: Network) -> tuple[datetime, clocks.Act] | None:
    clock = steps.clocks_of(row.partner, network)
    return clocks.agenda(standing, clock, is_holiday_in(row.department))


def _act(row: Row[Any], work: Work, network: Network) -> None:
    """Take the one step whose time has come; what comes after it is set by the step."""
    coming, state = _coming(steps.standing_of(row), row, network), ReferralState(row.state)
    if coming is None or coming[0] > work.now:
        # Written by an earlier release, or its partner's clocks have been changed since.
        clock = steps.clocks_of(row.partner, network)
        due_at, wake_at = steps.times(steps.standing_of(row), clock, row.department)
        work.execute(update(referrals).where(referrals.c.id == row.id).values(due_at=due_at, wake_at=wake_at))
        return
    reason = clocks.waiting_for(state)
    # Whoever was asleep for long catches up with the end, not with every reminder before it.
    act = clocks.Act.EXPIRE if is_over(row, work, network) else coming[1]
    moves = steps.Moves(work, network)
    if act is clocks.Act.REMIND:
        step = steps.Step(state, steps.SYSTEM, event="reminded")
        moves.take(row, step, reminders=_reminders(row, work, network))
    elif act is clocks.Act.ESCALATE:
        step = steps.Step(state, steps.SYSTEM, reason, event="escalated")
        moves.take(row, step, escalations=row.escalations + 1)
    else:
        now = moves.take(row, steps.Step(ReferralState.EXPIRED, steps.SYSTEM, reason))
        if state is not ReferralState.AWAITING_AGREEMENT:
            moves.hand_on(now, reason)


def _reminders(row: Row[Any], work: Work, network: Network) -> int:
    """How many reminders there should have been by now: one stands for those that an outage swallowed."""
    standing = replace(steps.standing_of(row), escalations=1)
    while (coming := _coming(standing, row, network)) and coming[1] is clocks.Act.REMIND and coming[0] <= work.now:
        standing = replace(standing, reminders=standing.reminders + 1)
    return standing.reminders
