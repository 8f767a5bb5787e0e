"""How long what is about a person is kept: counted in calendar days of Paris, whatever the clocks do at night."""

from datetime import date, datetime, time, timedelta

from services.contracts.paris import PARIS

# Since the last contact; and the exchange trace, 36 months (CRPA, R. 114-9-1 and following).
CASE_YEARS, TRACE_YEARS = 2, 3


def over(today: date, years: int) -> date:
    """The last day whose time is over: what is of it, or of a day before, goes today.

    So many years later, on the same day of the calendar; what is of a 29 February goes on 1 March.
    """
    if (today.month, today.day) == (2, 29):
        return date(today.year - years, 2, 29 if _is_leap(today.year - years) else 28)
    return today.replace(year=today.year - years)


def end_of(day: date) -> datetime:
    """The first instant that is not of that day any more."""
    return datetime.combine(day + timedelta(days=1), time(0), PARIS)


def _is_leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
