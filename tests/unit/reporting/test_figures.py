"""Counting days, naming rows, and what may be published."""

from datetime import UTC, date, datetime
from itertools import product

import pytest

from services.contracts.codes import (
    AgeBand,
    Channel,
    Mode,
    Need,
    Outcome,
    Public,
    Sex,
    VisitClass,
)
from services.contracts.paris import paris_day
from services.reporting.domain.figures import (
    By,
    bucket_label,
    last_twelve_months,
    publish,
    publish_days,
    published_total,
)


@pytest.mark.parametrize(
    ("instant", "day"),
    [
        (datetime(2026, 7, 1, 21, 59, tzinfo=UTC), date(2026, 7, 1)),
        (datetime(2026, 7, 1, 22, 0, tzinfo=UTC), date(2026, 7, 2)),
        (datetime(2026, 12, 31, 23, 0, tzinfo=UTC), date(2027, 1, 1)),
    ],
)
def test_a_day_is_a_day_in_paris(instant: datetime, day: date) -> None:
    """Midnight in Paris is 22:00 UTC in summer and 23:00 in winter."""
    assert paris_day(instant) == day


def test_twelve_months_end_today_and_hold_each_date_once() -> None:
    """Both ends are included, leap days too."""
    assert last_twelve_months(date(2026, 11, 22)) == (date(2025, 11, 23), date(2026, 11, 22))
    assert last_twelve_months(date(2024, 2, 29)) == (date(2023, 3, 1), date(2024, 2, 29))
    assert last_twelve_months(date(2025, 2, 28)) == (date(2024, 2, 29), date(2025, 2, 28))


@pytest.mark.parametrize(
    ("by", "key", "label"),
    [
        (By.DAY, "2026-11-01", "1er novembre 2026"),
        (By.WEEK, "2026-W07", "Semaine 7 de 2026"),
        (By.MONTH, "2026-03", "mars 2026"),
        (By.SITE, "hem", "France services Hem"),
        (By.SITE, "gone", "gone"),
        (By.NEED, "logement", "Se loger ou garder son logement"),
        (By.AGE_BAND, "18-20", "18 à 20 ans"),
        (By.AGE_BAND, "<16", "Moins de 16 ans"),
        (By.QUARTER, None, "Non renseigné"),
        (By.QUARTER, "Trois Fermes", "Trois Fermes"),
    ],
)
def test_rows_have_french_labels(by: By, key: str | None, label: str) -> None:
    """Codes and dates are words for whoever reads; what is not known stays as it is."""
    assert bucket_label(by, key, {"hem": "France services Hem"}) == label


def test_every_code_has_a_label() -> None:
    """A code added to the contracts without a label here would be shown raw."""
    for by, codes in (
        (By.NEED, Need),
        (By.OUTCOME, Outcome),
        (By.PUBLIC, Public),
        (By.CHANNEL, Channel),
        (By.MODE, Mode),
        (By.AGE_BAND, AgeBand),
        (By.SEX, Sex),
        (By.CLASS, VisitClass),
    ):
        assert all(bucket_label(by, code, {}) != code.value for code in codes)


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0"),
        (1, "10 ou moins"),
        (10, "10 ou moins"),
        (11, "10"),
        (15, "20"),
        (8489, "8\u202f490"),
        (7623, "7\u202f620"),
    ],
)
def test_published_counts(count: int, text: str) -> None:
    """One to ten is hidden, the rest rounded to ten."""
    assert publish(count).text == text


def test_totals_say_nothing_that_the_cells_do_not() -> None:
    """Whatever hidden counts are behind the same cells, the published total is the same: nothing to subtract from."""
    for visible in (11, 14, 23, 996):
        totals = {
            published_total([publish(visible), publish(one), publish(other)]).text
            for one, other in product(range(1, 11), repeat=2)
        }
        assert len(totals) == 1


def test_totals_of_one_cell_or_none() -> None:
    """A single count is its own total: it is not made more precise, nor less."""
    assert published_total([publish(0), publish(4)]) == publish(4)
    assert published_total([publish(37)]) == publish(37)
    assert published_total([]).text == "0"


@pytest.mark.parametrize(
    ("days", "text"),
    [
        (0.0, "moins d’un jour"),
        (0.4, "moins d’un jour"),
        (0.5, "1 jour"),
        (1.4, "1 jour"),
        (1.5, "2 jours"),
        (1234.0, "1\u202f234 jours"),
    ],
)
def test_published_delays_are_whole_days(days: float, text: str) -> None:
    """Halves up; less than a half is less than a day."""
    assert publish_days(days).text == text
