"""The pages of a case: the story first, then what waits for whom, then all that happened."""

from collections.abc import Iterator, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any

from services.chassis.pages import environment
from services.contracts.codes import (
    AGE_BAND_LABELS,
    NEED_LABELS,
    OBSTACLE_LABELS,
    PUBLIC_LABELS,
    REFERRAL_STATE_LABELS,
)
from services.contracts.french import french_day, short_number
from services.contracts.paris import paris, paris_day
from services.reporting.case_forms import CaseTimeline, ReferralCase

Names = Mapping[str, str]
_TEMPLATES = environment(Path(__file__).parent / "templates")
_REGIMES = {"general": "Régime général", "msa": "MSA"}
_SEXES = {"F": "Femme", "M": "Homme"}


def _day(at: datetime | str) -> str:
    """The day in Paris; what intake writes is a text."""
    try:
        instant = at if isinstance(at, datetime) else datetime.fromisoformat(at)
    except ValueError:
        return str(at)
    return french_day(paris_day(instant))


def _birth(day: str) -> str:
    try:
        return french_day(date.fromisoformat(day))
    except ValueError:
        return day


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _moment(at: datetime) -> str:
    local = paris(at)
    return f"{_day(at)} à {local.hour}\u00a0h\u00a0{local.minute:02}"


def _label(labels: Mapping[Any, str], code: str) -> str:
    return labels.get(code, code)


def _facts(facts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Declared facts in words, those that this release knows; what was not said is left out."""
    if age := facts.get("age_band"):
        yield "Âge", _label(AGE_BAND_LABELS, age)
    if sex := facts.get("sex"):
        yield "Sexe", _label(_SEXES, sex)
    if publics := facts.get("publics"):
        yield "Situation déclarée", ", ".join(_label(PUBLIC_LABELS, each) for each in publics)
    if commune := facts.get("commune"):
        yield "Commune (code INSEE)", str(commune)
    if department := facts.get("department"):
        yield "Département", str(department)
    if quarter := facts.get("quarter"):
        yield "Quartier", str(quarter)
    registered = facts.get("france_travail_registered")
    if registered is not None:
        yield "Inscription à France Travail", "Oui" if registered else "Non"
    if regime := facts.get("regime"):
        yield "Régime", _label(_REGIMES, regime)
    if obstacles := [each for need in facts.get("needs") or () for each in need.get("obstacles") or ()]:
        yield "Obstacles", ", ".join(_label(OBSTACLE_LABELS, each) for each in dict.fromkeys(obstacles))


_TEMPLATES.filters |= {"day": _day, "moment": _moment, "birth": _birth, "capital": _capital}
_TEMPLATES.globals |= {
    "need_labels": NEED_LABELS,
    "state_labels": REFERRAL_STATE_LABELS,
    "facts_of": lambda facts: list(_facts(facts)),
    "short": short_number,
}


def case(found: CaseTimeline, names: Names, now: datetime, rights: str) -> str:
    """For an agent; `rights` is where agreements and the person's rights are seen to."""
    page = _TEMPLATES.get_template("case.html")
    return page.render(found=found, story=found.story, names=names, now=now, rights=rights, logged_in=True)


def referral(found: ReferralCase, names: Names, now: datetime, answers: str) -> str:
    """For the addressed partner; `answers` is where it answers."""
    page = _TEMPLATES.get_template("referral_case.html")
    return page.render(found=found, story=found.story, names=names, now=now, answers=answers, logged_in=True)
