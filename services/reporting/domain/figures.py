"""Counting, as plain functions: days, dimensions, what is a bounce, what may be published."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from typing import Any

from services.contracts.codes import (
    AGE_BAND_LABELS,
    NEED_LABELS,
    PUBLIC_LABELS,
    VISIT_CLASS_LABELS,
    Channel,
    Mode,
    Outcome,
    ReferralState,
    Sex,
)
from services.contracts.french import french_day, french_month

# A visit at 23:30 UTC in summer is the next day's for the site that counts it.
HIDDEN_UP_TO = 10
# A referral that ended so is a bounce ("renvoi"): the person has to be told of another place.
BOUNCED = frozenset({ReferralState.DECLINED, ReferralState.EXPIRED})
# A partner that has answered so has got the referral, whether or not it acknowledged that first.
ANSWERED = frozenset({ReferralState.RECEIVED, ReferralState.ACCEPTED, ReferralState.DECLINED})
NARROW_SPACE = "\u202f"

OUTCOME_LABELS = {
    Outcome.RESOLVED: "résolu au guichet",
    Outcome.TO_REFER: "à orienter",
    Outcome.TO_CONTINUE: "à poursuivre",
    Outcome.DECLINED_BY_PERSON: "refusé par la personne",
}
CHANNEL_LABELS = {
    Channel.DESK: "Guichet",
    Channel.PHONE: "Téléphone",
    Channel.APPOINTMENT: "Rendez-vous",
    Channel.OUTREACH: "Hors les murs",
    Channel.WORKSHOP: "Atelier",
}
MODE_LABELS = {Mode.LIVE: "Au fil de l’eau", Mode.HISTORY: "Historique repris"}
SEX_LABELS = {Sex.F: "Femmes", Sex.M: "Hommes"}


class By(StrEnum):
    """What a report may be broken down by. A visit counts once in each row it belongs to.

    By need, outcome or public a visit may belong to several rows; by anything else, to exactly one.
    """

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    SITE = "site"
    NEED = "need"
    OUTCOME = "outcome"
    PUBLIC = "public"
    CHANNEL = "channel"
    MODE = "mode"
    AGE_BAND = "age_band"
    SEX = "sex"
    CLASS = "class"
    COMMUNE = "commune"
    DEPARTMENT = "department"
    QUARTER = "quarter"


_CODED: dict[By, Mapping[Any, str]] = {
    By.NEED: NEED_LABELS,
    By.OUTCOME: OUTCOME_LABELS,
    By.PUBLIC: PUBLIC_LABELS,
    By.CHANNEL: CHANNEL_LABELS,
    By.MODE: MODE_LABELS,
    By.AGE_BAND: AGE_BAND_LABELS,
    By.SEX: SEX_LABELS,
    By.CLASS: VISIT_CLASS_LABELS,
}


def last_twelve_months(today: date) -> tuple[date, date]:
    """First and last day of the twelve months that end today, both included."""
    try:
        first = today.replace(year=today.year - 1)
    except ValueError:  # 29 February
        first = today.replace(year=today.year - 1, day=28)
    return first + timedelta(days=1), today


def bucket_label(by: By, key: str | None, names: Mapping[str, str]) -> str:
    """The French label of one row of a report; `names` gives sites theirs. An unknown key stays as it is."""
    if key is None:
        return "Non renseigné"
    if by in _CODED:
        return _CODED[by].get(key, key)
    if by is By.DAY:
        return french_day(date.fromisoformat(key))
    if by is By.WEEK:
        return f"Semaine {int(key[-2:])} de {key[:4]}"
    if by is By.MONTH:
        return french_month(key)
    return names.get(key, key)


@dataclass(frozen=True)
class Shown:
    """A count as anybody may see it: its words, and the number that stands for it in a sum."""

    text: str
    value: int


def french_number(number: int) -> str:
    """`8 490`, with the narrow space that French typography wants."""
    return f"{number:,}".replace(",", NARROW_SPACE)


def publish(count: int) -> Shown:
    """1 to 10 is hidden, anything above is rounded to the nearest ten."""
    if count <= 0:
        return Shown("0", 0)
    if count <= HIDDEN_UP_TO:
        return Shown(f"{HIDDEN_UP_TO} ou moins", HIDDEN_UP_TO // 2)
    rounded = (count + 5) // 10 * 10
    return Shown(french_number(rounded), rounded)


def publish_days(days: float) -> Shown:
    """A delay in whole days, halves up; a figure of one decimal would be a single referral's own."""
    whole = int(days + 0.5)
    if whole < 1:
        return Shown("moins d’un jour", 0)
    return Shown("1 jour" if whole == 1 else f"{french_number(whole)} jours", whole)


def published_total(cells: Iterable[Shown]) -> Shown:
    """The total of counts that are already published, itself rounded.

    It is computed from what is shown, never from the counts behind: rounding the true total would let a reader
    subtract. (11 + 1 + 1 + 1 shown as 10, three times « 10 ou moins » and a true total rounded to 10 gives all away.)
    """
    shown = [cell for cell in cells if cell.value]
    if len(shown) <= 1:
        return shown[0] if shown else publish(0)
    total = (sum(cell.value for cell in shown) + 5) // 10 * 10
    hidden = any(cell.value < HIDDEN_UP_TO for cell in shown)
    return Shown(f"{'environ ' if hidden else ''}{french_number(total)}", total)
