"""Time as the counters live it: days, deadlines and retention are those of Paris, whatever the clocks do at night."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

PARIS = ZoneInfo("Europe/Paris")


def paris(instant: datetime) -> datetime:
    """An aware instant as the clocks there show it."""
    return instant.astimezone(PARIS)


def paris_day(instant: datetime) -> date:
    """The calendar day of an aware instant."""
    return paris(instant).date()
