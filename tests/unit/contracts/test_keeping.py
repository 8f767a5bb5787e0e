"""How long is how long: calendar days of Paris, leap days and the nights when clocks change included."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest

from services.contracts import keeping
from services.contracts.paris import paris_day


@pytest.mark.parametrize(
    ("of", "goes"),
    [
        ((2026, 11, 20), (2028, 11, 20)),
        ((2024, 2, 28), (2026, 2, 28)),
        ((2024, 2, 29), (2026, 3, 1)),
        ((2024, 3, 1), (2026, 3, 1)),
        ((2026, 2, 28), (2028, 2, 28)),
        ((2026, 3, 1), (2028, 3, 1)),
        ((2026, 12, 31), (2028, 12, 31)),
    ],
)
def test_a_case_goes_on_the_same_day_two_years_later(of: tuple[int, int, int], goes: tuple[int, int, int]) -> None:
    """Not a day early, not a day late; of a 29 February on 1 March."""
    day = date(*goes)
    assert (
        keeping.over(day - timedelta(days=1), keeping.CASE_YEARS) < date(*of) <= keeping.over(day, keeping.CASE_YEARS)
    )


def test_each_day_of_eight_years_goes_once_and_in_order() -> None:
    """No day is left behind, whatever the calendar."""
    start = date(2023, 1, 1)
    days = [keeping.over(start + timedelta(days=number), keeping.TRACE_YEARS) for number in range(8 * 366)]
    assert days == sorted(days)
    assert all(later - earlier <= timedelta(days=2) for earlier, later in pairwise(days))


@pytest.mark.parametrize(
    ("day", "ends"),
    [
        pytest.param(date(2026, 3, 28), datetime(2026, 3, 28, 23, tzinfo=UTC), id="before a day of 23 hours"),
        pytest.param(date(2026, 3, 29), datetime(2026, 3, 29, 22, tzinfo=UTC), id="a day of 23 hours"),
        pytest.param(date(2026, 10, 25), datetime(2026, 10, 25, 23, tzinfo=UTC), id="a day of 25 hours"),
    ],
)
def test_a_day_ends_at_midnight_in_paris(day: date, ends: datetime) -> None:
    """Whatever the clock did that night."""
    assert keeping.end_of(day) == ends
    assert paris_day(ends - timedelta(microseconds=1)) == day
    assert paris_day(ends) == day + timedelta(days=1)
