"""Counting days, naming rows, and what may be published."""

from datetime import UTC, date, datetime
from itertools import product

import pytest

from services.contracts.codes import (
    AgeBand,
    Channel,
    DeclineReason,
    Mode,
    Need,
    Outcome,
    Public,
    ReferralOutcome,
    Sex,
    VisitClass,
)
from services.reporting import domain
from services.reporting.domain import By, bucket_label, last_twelve_months, paris_day, publish, published_total


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
    assert {*DeclineReason, *ReferralOutcome} <= set(domain.REASON_LABELS)


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


def test_the_timeline_tells_in_french() -> None:
    """Codes become sentences; partners and sites have their names, unknown ones their ids."""
    names = {"cnaf": "Caf", "fs-roye": "France services Roye"}
    visit = {
        "needs": [{"code": "demander-une-aide", "outcome": "to-refer"}, {"code": "numerique", "outcome": "resolved"}]
    }
    assert domain.timeline_sentence("visit", "fs-roye", visit, names) == (
        "Visite (France services Roye)\u00a0: Demander une aide (logement, famille, prime d’activité) (à orienter)"
        "\u202f; Être aidé avec le numérique (résolu au guichet)"
    )
    proposal = {"need": "demander-une-aide", "partner": "cnaf", "category": "operator", "chosen": None}
    shown = domain.timeline_sentence(
        "orientation", None, {"proposals": [{**proposal, "desk_first": False, "unmet": False}]}, names
    )
    assert shown.endswith("→ Caf (Opérateur)")
    sent = {"partner": "cnaf", "need": "demander-une-aide"}
    assert domain.timeline_sentence("referral-sent", None, sent, names).startswith("Orientation envoyée à Caf")
    declined = {"to_state": "declined", "reason": "no-capacity", "appointment_day": None}
    assert domain.timeline_sentence("referral-declined", None, declined, names) == (
        "Orientation déclinée par le partenaire\u00a0: plus de place"
    )
    accepted = {"to_state": "accepted", "reason": None, "appointment_day": "2026-12-01"}
    assert domain.timeline_sentence("referral-accepted", None, accepted, names).endswith(
        "rendez-vous le 1er décembre 2026"
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"unmet": True, "desk_first": True, "partner": None}, "aucun partenaire disponible"),
        ({"desk_first": True, "partner": None}, "réponse au guichet"),
        ({"chosen": "plie"}, "→ plie"),
    ],
)
def test_a_proposal_says_what_became_of_it(changes: dict[str, object], words: str) -> None:
    """Nobody found, an answer at the desk, or the partner that the agent chose instead."""
    proposal = {"need": "logement", "partner": "cd", "category": "department", "desk_first": False, "unmet": False}
    codes = {"proposals": [proposal | {"chosen": None} | changes]}
    assert domain.timeline_sentence("orientation", None, codes, {}).endswith(words)
