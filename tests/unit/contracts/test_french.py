"""Days, months and numbers as every page writes them."""

from datetime import date

import pytest

from services.contracts.french import french_day, french_month, short_number


@pytest.mark.parametrize(
    ("day", "told"),
    [(date(2026, 3, 1), "1er mars 2026"), (date(2024, 2, 29), "29 février 2024"), (date(2026, 8, 31), "31 août 2026")],
)
def test_only_the_first_of_a_month_is_an_ordinal(day: date, told: str) -> None:
    """As French has it."""
    assert french_day(day) == told


def test_a_month_of_a_report_has_its_name() -> None:
    """The first and the last of a year."""
    assert [french_month(month) for month in ("2026-01", "2026-12")] == ["janvier 2026", "décembre 2026"]


def test_a_number_for_the_phone_is_its_last_eight_digits() -> None:
    """The first ones are a time, which two of a minute share."""
    assert short_number("019ab7c4-5d6e-7f80-9a1b-2c3d4e5f6071") == "4E5F-6071"
