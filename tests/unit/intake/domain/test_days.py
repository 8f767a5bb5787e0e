"""Ages, and when a visit may be recorded."""

from datetime import UTC, date, datetime, timedelta

import pytest

from services.contracts.codes import AgeBand
from services.contracts.paris import paris_day
from services.intake.domain import days

NOW = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)


def test_a_live_visit_is_of_this_week() -> None:
    """Seven days back, five minutes ahead; history may be as old as it is, and never ahead."""
    week, ahead, second = timedelta(days=7), timedelta(minutes=5), timedelta(seconds=1)
    assert days.timing_problem(NOW - week, NOW, live=True) is None
    assert "history" in (days.timing_problem(NOW - week - second, NOW, live=True) or "")
    assert days.timing_problem(NOW - 100 * week, NOW, live=False) is None
    assert days.timing_problem(NOW + ahead, NOW, live=True) is None
    assert days.timing_problem(NOW + ahead + second, NOW, live=False)


def test_the_day_is_the_counters_even_in_the_night_the_clocks_change() -> None:
    """Half past midnight in Paris is yesterday in UTC, in summer and in winter time."""
    assert paris_day(datetime(2026, 10, 24, 22, 30, tzinfo=UTC)) == date(2026, 10, 25)
    assert paris_day(datetime(2026, 10, 25, 23, 30, tzinfo=UTC)) == date(2026, 10, 26)
    assert paris_day(datetime(2026, 10, 25, 22, 30, tzinfo=UTC)) == date(2026, 10, 25)


ZOE = date(2007, 3, 14)
LEAP = date(2008, 2, 29)


@pytest.mark.parametrize(
    ("birth_date", "day", "age"),
    [
        (ZOE, date(2025, 3, 13), 17),
        (ZOE, date(2025, 3, 14), 18),
        (ZOE, date(2007, 3, 14), 0),
        (ZOE, date(2007, 3, 13), -1),
        (LEAP, date(2026, 2, 28), 17),
        (LEAP, date(2026, 3, 1), 18),
        (LEAP, date(2028, 2, 28), 19),
        (LEAP, date(2028, 2, 29), 20),
        (date(1926, 11, 21), date(2026, 11, 20), 99),
    ],
)
def test_an_age_is_in_whole_years(birth_date: date, day: date, age: int) -> None:
    """A year older from the birthday on; born on 29 February, on 1 March where there is no 29th."""
    assert days.age_on(day, birth_date) == age


@pytest.mark.parametrize(
    ("age_band", "youngest", "oldest"),
    [("<16", 0, 15), ("16-17", 16, 17), ("18-20", 18, 20), ("21-25", 21, 25), ("26-29", 26, 29), ("30-54", 30, 54),
     ("55-64", 55, 64), ("65+", 65, 120)],
)  # fmt: skip
def test_a_band_holds_its_ages_and_no_other(age_band: str, youngest: int, oldest: int) -> None:
    """From the day of the first birthday in it to the eve of the first one after it."""
    band, day = AgeBand(age_band), date(2026, 11, 20)
    first, last = day.replace(year=2026 - youngest), date(2026 - oldest - 1, 11, 21)
    assert days.age_problem(band, first, day) is None
    assert days.age_problem(band, last, day) is None
    assert days.age_problem(band, first + timedelta(days=1), day)
    assert bool(days.age_problem(band, last - timedelta(days=1), day)) is (band is not AgeBand.FROM_65)


def test_every_band_is_known_and_an_unknown_age_contradicts_nothing() -> None:
    """Each age from birth on is in exactly one band, `unknown` left aside."""
    day = date(2026, 11, 20)
    for age in range(121):
        fitting = [band for band in AgeBand if not days.age_problem(band, day.replace(year=2026 - age), day)]
        assert len(fitting) == 2
        assert AgeBand.UNKNOWN in fitting


def test_the_reason_for_a_wrong_band_tells_no_birth_date() -> None:
    """Neither the date nor the age: answers are kept by others."""
    told = days.age_problem(AgeBand.FROM_65, ZOE, date(2026, 11, 20)) or ""
    assert "date de naissance" in told
    assert not any(character.isdigit() for character in told)


@pytest.mark.parametrize(
    ("birth", "expected"),
    [
        (date(2011, 11, 21), True),
        (date(2011, 11, 20), False),
        (date(2011, 11, 19), False),
        (date(1990, 1, 1), False),
    ],
)
def test_before_fifteen_a_guardian_agrees(birth: date, *, expected: bool) -> None:
    """Until the day before the fifteenth birthday (loi 78-17, art. 45)."""
    assert days.needs_guardian(birth, date(2026, 11, 20)) == expected


def test_who_was_born_on_a_leap_day_is_fifteen_on_the_first_of_march() -> None:
    """Where there is no 29 February."""
    assert days.needs_guardian(date(2012, 2, 29), date(2027, 2, 28))
    assert not days.needs_guardian(date(2012, 2, 29), date(2027, 3, 1))
