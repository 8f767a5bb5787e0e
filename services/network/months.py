"""Calendar months: a sheet is kept up for six of them, a notice is given three of them ahead."""

from calendar import monthrange
from datetime import date


def later(day: date, months: int) -> date:
    """The same day so many months later, or the last of that month; a renewal may be longer than there are years."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    if year > date.max.year:
        return date.max
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))
