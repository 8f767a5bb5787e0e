"""Public holidays of the département that a referral is addressed in (Code du travail, art. L3133-1 and L3134-13).

Alsace and Moselle have two more than the rest (Good Friday and 26 December), overseas départements others.
"""

from collections.abc import Callable
from datetime import date
from functools import cache

import holidays

# Looked up at the start: that loads the whole world's calendars, which the first referral would wait for.
_France = type(holidays.country_holidays("FR"))
_SUBDIVISIONS = {"67": "6AE", "68": "6AE", "975": "PM", "977": "BL", "978": "MF"}
_SAME = frozenset({"57", "971", "972", "973", "974", "976"})


@cache
def is_holiday_in(department: str) -> Callable[[date], bool]:
    """Whether a day is a public holiday in a département (INSEE code)."""
    subdivision = department if department in _SAME else _SUBDIVISIONS.get(department)
    known = _France(subdiv=subdivision)
    return lambda day: day in known
