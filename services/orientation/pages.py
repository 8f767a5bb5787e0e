"""Orientation's pages: whom to meet, for an agent at the counter; the slip for the person; contact sheets."""

from collections.abc import Mapping
from datetime import date
from pathlib import Path

from services.chassis.pages import environment
from services.contracts.codes import (
    AGE_BAND_LABELS,
    CATEGORY_LABELS,
    NEED_LABELS,
    OBSTACLE_LABELS,
    PUBLIC_LABELS,
    SPIE_NEEDS,
    Need,
)
from services.contracts.orientation import ContactSheet
from services.network.advice import to_verify
from services.orientation.consultation import Consultation, LookedUp
from services.orientation.forms import ContactSheetsPage, ServicesPage

_HERE = Path(__file__).parent
_TEMPLATES = environment(_HERE / "templates")
PRINT_SCRIPT = (_HERE / "static" / "print.js").read_text(encoding="utf-8")

_URGENT = Need.HEBERGEMENT_URGENCE
_USUAL = list(Need)[:8]
# What cannot wait stands first, then what people come with most often; the codes are in the order of the documents.
_NEEDS = {
    "Urgence": [_URGENT],
    "Démarches courantes": _USUAL,
    "Emploi et insertion": [need for need in Need if need in SPIE_NEEDS],
    "Autres besoins": [need for need in Need if need not in SPIE_NEEDS and need not in (_URGENT, *_USUAL)],
}
_WHY_RULES = {
    "in-use": "les règles en vigueur ce jour-là",
    "oldest": "les règles les plus anciennes conservées, postérieures à ce jour",
    "later": "les règles d’aujourd’hui : le site n’était pas encore dans celles de ce jour-là",
}


def _place(told: str) -> str:
    code, _, name = told.partition(" ")
    return f"{name} ({code})"


def _french(day: date | str) -> str:
    return f"{date.fromisoformat(day) if isinstance(day, str) else day:%d/%m/%Y}"


def _stale(sheet: ContactSheet, day: date) -> bool:
    return to_verify(date.fromisoformat(sheet.last_verified) if sheet.last_verified else None, day)


_TEMPLATES.filters |= {"place": _place, "french": _french, "stale": _stale}
_TEMPLATES.globals |= {
    "need_groups": _NEEDS,
    "need_labels": NEED_LABELS,
    "public_labels": PUBLIC_LABELS,
    "obstacle_labels": OBSTACLE_LABELS,
    "age_labels": AGE_BAND_LABELS,
    "category_labels": CATEGORY_LABELS,
    "why_rules": _WHY_RULES,
}


def counter(shown: Consultation, names: Mapping[str, str]) -> str:
    """The form, and above it what the rules propose for what was filled in."""
    return _TEMPLATES.get_template("counter.html").render(shown=shown, names=names, logged_in=True)


def slip(shown: Consultation, names: Mapping[str, str]) -> str:
    """What the person takes away, on half a page of A4: whom to meet, where, when, the phone, the reference.

    The form again where something in it has to be mended.
    """
    if shown.problems:
        return counter(shown, names)
    return _TEMPLATES.get_template("slip.html").render(shown=shown, names=names, logged_in=True)


def sheets(shown: LookedUp[ContactSheetsPage]) -> str:
    """The contact sheets, those to verify again marked."""
    return _TEMPLATES.get_template("sheets.html").render(shown=shown, logged_in=True)


def directory(shown: LookedUp[ServicesPage]) -> str:
    """The service directory."""
    return _TEMPLATES.get_template("directory.html").render(shown=shown, logged_in=True)
