"""How every page writes a day, a month, and the number of a referral or a visit."""

from datetime import date

_MONTHS = (
    "janvier février mars avril mai juin juillet août septembre octobre novembre décembre".split()  # noqa: SIM905 - shorter so
)


def day_and_month(day: date) -> tuple[str, str]:
    """`("1er", "mars")`."""
    return "1er" if day.day == 1 else str(day.day), _MONTHS[day.month - 1]


def french_day(day: date) -> str:
    """`1er mars 2026`."""
    return f"{' '.join(day_and_month(day))} {day.year}"


def french_month(month: str) -> str:
    """`mars 2026`, of `2026-03`."""
    year, _, number = month.partition("-")
    return f"{_MONTHS[int(number) - 1]} {year}"


def short_number(identifier: object) -> str:
    """What people tell each other by phone of an identifier: its last eight digits, which chance alone made."""
    last = str(identifier).replace("-", "")[-8:].upper()
    return f"{last[:4]}-{last[4:]}"
