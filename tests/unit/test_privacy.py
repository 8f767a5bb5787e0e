"""What docs/privacy promises: each duration is the one that the code counts with, and no gap is left unmarked."""

import re
from datetime import timedelta
from pathlib import Path

import pytest

from services.chassis import outside, sessions
from services.chassis.settings import Settings
from services.contracts import keeping
from services.intake import queries
from services.intake.domain.days import GUARDIAN_UNTIL

FOLDER = Path(__file__).parents[2] / "docs" / "privacy"
PAGES = sorted(FOLDER.glob("*.md"))
SETTINGS = Settings()
_HOUR = timedelta(hours=1)
# What the documents call it, and what the code does.
DURATIONS = {
    f"{keeping.CASE_YEARS * 12} mois": "le dossier",
    f"{keeping.TRACE_YEARS * 12} mois": "la trace",
    f"{SETTINGS.ledger_days} jours": "`RELAIS_LEDGER_DAYS`",
    f"{SETTINGS.parked_days} jours": "`RELAIS_PARKED_DAYS`",
    f"{outside.REPLIES_MILLISECONDS // 86_400_000} jours": "réponses",
    f"{queries.FOUND_FOR // _HOUR} heures": "confirmé",
    f"{sessions.SESSION_VALID // _HOUR} heures": "session",
    f"{GUARDIAN_UNTIL} ans": "autorité parentale",
}
# Of the law, where the code counts nothing.
OF_THE_LAW = {"1 mois", "2 mois", "12 mois", "72 heures", "2 ans", "3 ans", "520 jours", "2 jours"}


def text_of(page: Path) -> str:
    """A page on one line, emphasis away."""
    return re.sub(r"\s+", " ", page.read_text(encoding="utf-8").replace("*", ""))


@pytest.mark.parametrize("duration", DURATIONS)
def test_each_duration_of_the_code_has_its_row(duration: str) -> None:
    """With what it is about, in the table of durations."""
    rows = (FOLDER / "README.md").read_text(encoding="utf-8").splitlines()
    (row,) = [row for row in rows if row.startswith(f"| {duration} |")]
    assert DURATIONS[duration] in row


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_page_names_another_duration(page: Path) -> None:
    """Neither one that the code does not keep to, nor one that the table of sources lacks."""
    named = set(re.findall(r"(?<![\d.-])\d+ (?:mois|jours|heures|ans)\b", text_of(page)))
    assert named <= {*DURATIONS, *OF_THE_LAW}


def test_the_inbox_is_kept_for_as_long_as_the_register_says() -> None:
    """The ledger, what is parked, and 30 days."""
    assert f"{SETTINGS.ledger_days + SETTINGS.parked_days + 30} jours" in text_of(FOLDER / "registre.md")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_network_has_to_decide_is_marked_in_one_way(page: Path) -> None:
    """So that nobody overlooks a gap; an ellipsis or « XX » would be one."""
    text = text_of(page)
    assert not re.search(r"\bXX+\b|\bTODO\b|_{3,}|\?\?", text)
    assert text.count("À COMPLÉTER") == text.count("[À COMPLÉTER")


def test_the_notice_fits_on_a_page() -> None:
    """At most 560 words in sentences that are short: eleven words on average at most."""
    told = text_of(FOLDER / "notice-guichet.md").partition("Les textes :")[0]
    words = re.findall(r"[\w’-]+", told)
    sentences = [each for each in re.split(r"[.!?;:](?: |$)", told) if len(each.split()) > 1]
    assert len(words) < 560
    assert len(words) / len(sentences) < 11
