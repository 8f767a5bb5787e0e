"""Counting and telling, as plain functions: days, dimensions, what may be published, a timeline's sentences."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

from services.contracts.codes import (
    AGE_BAND_LABELS,
    CATEGORY_LABELS,
    NEED_LABELS,
    PUBLIC_LABELS,
    REFERRAL_STATE_LABELS,
    VISIT_CLASS_LABELS,
    Channel,
    DeclineReason,
    Mode,
    Outcome,
    ReferralOutcome,
    Sex,
)

# A visit at 23:30 UTC in summer is the next day's for the site that counts it.
PARIS = ZoneInfo("Europe/Paris")
HIDDEN_UP_TO = 10
NARROW_SPACE = "\u202f"

MONTHS = (
    "janvier février mars avril mai juin juillet août septembre octobre novembre décembre".split()  # noqa: SIM905 - shorter so
)
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
REASON_LABELS: dict[str, str] = {
    DeclineReason.PERSON_UNREACHABLE: "personne injoignable",
    DeclineReason.PERSON_ABSENT: "personne absente",
    DeclineReason.ALREADY_EMPLOYED: "déjà en emploi",
    DeclineReason.ALREADY_IN_TRAINING: "déjà en formation",
    DeclineReason.NOT_ELIGIBLE: "conditions non remplies",
    DeclineReason.NOT_MOBILE: "pas de moyen de se déplacer",
    DeclineReason.NOT_INTERESTED: "pas intéressée",
    DeclineReason.OBSTACLES_FIRST: "d’autres freins à lever d’abord",
    DeclineReason.NO_CAPACITY: "plus de place",
    DeclineReason.DUPLICATE: "demande déjà reçue",
    DeclineReason.OUT_OF_TERRITORY: "hors du territoire",
    DeclineReason.OUT_OF_REMIT: "hors des missions du partenaire",
    DeclineReason.OTHER: "autre motif",
    ReferralOutcome.HELPED: "personne aidée",
    ReferralOutcome.COULD_NOT_CONTACT: "personne injoignable",
    ReferralOutcome.COULD_NOT_HELP: "pas d’aide possible",
    ReferralOutcome.NO_LONGER_INTERESTED: "personne plus intéressée",
    ReferralOutcome.REFERRED_ELSEWHERE: "orientée vers un autre service",
}


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


def paris_day(instant: datetime) -> date:
    """The calendar day of an aware instant, as the sites count it."""
    return instant.astimezone(PARIS).date()


def last_twelve_months(today: date) -> tuple[date, date]:
    """First and last day of the twelve months that end today, both included."""
    try:
        first = today.replace(year=today.year - 1)
    except ValueError:  # 29 February
        first = today.replace(year=today.year - 1, day=28)
    return first + timedelta(days=1), today


def french_day(day: date) -> str:
    """`1er mars 2026`."""
    return f"{'1er' if day.day == 1 else day.day} {MONTHS[day.month - 1]} {day.year}"


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
        return f"{MONTHS[int(key[5:]) - 1]} {key[:4]}"
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


def timeline_sentence(kind: str, site: str | None, codes: Mapping[str, Any], names: Mapping[str, str]) -> str:
    """One entry of a case's timeline in French; `names` gives sites and partners theirs."""
    if kind == "visit":
        needs = "\u202f; ".join(
            f"{NEED_LABELS.get(need['code'], need['code'])} ({OUTCOME_LABELS.get(need['outcome'], need['outcome'])})"
            for need in codes["needs"]
        )
        return f"Visite ({names.get(site or '', site)})\u00a0: {needs}"
    if kind == "orientation":
        return "Proposition\u00a0: " + "\u202f; ".join(_proposal_words(each, names) for each in codes["proposals"])
    sender = codes.get("sender")
    if kind == "referral-sent":
        partner, need = names.get(codes["partner"], codes["partner"]), NEED_LABELS.get(codes["need"], codes["need"])
        if sender:
            return f"Orientation reçue de {names.get(sender, sender)} vers le site {partner}\u00a0: {need}"
        return f"Orientation envoyée à {partner}\u00a0: {need}"
    state = REFERRAL_STATE_LABELS.get(codes["to_state"], codes["to_state"])
    reason = codes.get("reason")
    words = f"Orientation {state[:1].lower()}{state[1:]} par le {'site' if sender else 'partenaire'}"
    if reason:
        words += f"\u00a0: {REASON_LABELS.get(reason, reason)}"
    if codes.get("appointment_day"):
        words += f", rendez-vous le {french_day(date.fromisoformat(codes['appointment_day']))}"
    return words


def _proposal_words(proposal: Mapping[str, Any], names: Mapping[str, str]) -> str:
    need = NEED_LABELS.get(proposal["need"], proposal["need"])
    partner = proposal["chosen"] or proposal["partner"]
    if proposal["unmet"]:
        return f"{need}, aucun partenaire disponible"
    if proposal["desk_first"] or partner is None:
        return f"{need}, réponse au guichet"
    category = CATEGORY_LABELS.get(proposal["category"])
    kind = f" ({category})" if category and partner == proposal["partner"] else ""
    return f"{need} → {names.get(partner, partner)}{kind}"
