"""A referral's clocks: when silence is overdue, what the clock does next, and when. Days are Paris days."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import StrEnum

from services.contracts.codes import ReferralState, Waiting
from services.contracts.paris import PARIS, paris_day
from services.referral.domain.life import OPEN, UNANSWERED

# An accepted referral without any news ends after so many calls to the partner's named contact, at the next one.
CALLS = 3
S = ReferralState
IsHoliday = Callable[[date], bool]


@dataclass(frozen=True, slots=True)
class Clocks:
    """A partner's clocks in days, `reception` and `stalled` in business days. The defaults are published practice."""

    reception: int = 3
    reminder: int = 10
    escalation: int = 20
    expiry: int = 30
    stalled: int = 15


@dataclass(frozen=True, slots=True)
class Standing:
    """Where an open referral stands: its state, since when its clock runs, and what the clock has done since then."""

    state: ReferralState
    since: datetime
    reminders: int = 0
    escalations: int = 0


class Act(StrEnum):
    """What the clock does."""

    REMIND = "remind"
    ESCALATE = "escalate"
    EXPIRE = "expire"


def end_of(day: date) -> datetime:
    """The last second of a day in Paris."""
    return datetime.combine(day, time(23, 59, 59), PARIS)


def after_days(since: datetime, days: int) -> datetime:
    """The end of the n-th day after `since`."""
    return end_of(paris_day(since) + timedelta(days=days))


def after_business_days(since: datetime, days: int, is_holiday: IsHoliday) -> datetime:
    """The end of the n-th business day after `since`; weekends and holidays do not count."""
    day, left = paris_day(since), days
    while left:
        day += timedelta(days=1)
        if day.weekday() < 5 and not is_holiday(day):  # noqa: PLR2004 - Saturday is 5
            left -= 1
    return end_of(day)


def due(standing: Standing, clocks: Clocks, is_holiday: IsHoliday) -> datetime | None:
    """By when the next action is owed; None when none is. After it, the referral is overdue."""
    if standing.state not in OPEN:
        return None
    if standing.state is S.SENT:
        return after_business_days(standing.since, clocks.reception, is_holiday)
    if standing.state in {S.RECEIVED, S.AWAITING_AGREEMENT}:
        return after_days(standing.since, clocks.expiry)
    return after_business_days(standing.since, clocks.stalled, is_holiday)


def ends_at(standing: Standing, clocks: Clocks, is_holiday: IsHoliday) -> datetime | None:
    """When it expires unless somebody moves first; None when it has ended already."""
    if standing.state not in OPEN:
        return None
    if standing.state in UNANSWERED | {S.AWAITING_AGREEMENT}:
        return after_days(standing.since, clocks.expiry)
    return after_business_days(standing.since, clocks.stalled * (CALLS + 1), is_holiday)


def agenda(standing: Standing, clocks: Clocks, is_holiday: IsHoliday) -> tuple[datetime, Act] | None:
    """What the clock does next unless somebody moves first, and when; None when it has nothing to do any more.

    Unanswered: reminders at their rhythm, one call to the named contact, expiry. Taken on and without news: calls at
    their rhythm, and the end where the one after the third would be. Without the person's agreement: expiry.
    """
    end, since = ends_at(standing, clocks, is_holiday), standing.since
    if end is None:
        return None
    coming = [(end, Act.EXPIRE)]
    if standing.state in UNANSWERED:
        coming.append((after_days(since, clocks.reminder * (standing.reminders + 1)), Act.REMIND))
        if not standing.escalations:
            coming.append((after_days(since, clocks.escalation), Act.ESCALATE))
    elif standing.state is not S.AWAITING_AGREEMENT and standing.escalations < CALLS:
        calls = standing.escalations + 1
        coming.append((after_business_days(since, clocks.stalled * calls, is_holiday), Act.ESCALATE))
    return min(coming, key=lambda each: each[0])


def plausible(appointment: datetime, now: datetime) -> bool:
    """Whether an appointment may be meant: one of last month may be told late, one in three years is a slip."""
    return now - timedelta(days=31) <= appointment <= now + timedelta(days=731)


def waiting_for(state: ReferralState) -> Waiting | None:
    """What a referral in this state waits for from its partner."""
    if state is S.SENT:
        return Waiting.RECEPTION
    if state is S.RECEIVED:
        return Waiting.ANSWER
    return Waiting.NEWS if state in OPEN - {S.AWAITING_AGREEMENT} else None
