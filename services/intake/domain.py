"""What intake knows without asking anyone: identities, when a visit may be recorded."""

import unicodedata
from datetime import date, datetime, timedelta
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

from services.contracts.codes import AgeBand

AHEAD = timedelta(minutes=5)
LIVE_FOR = timedelta(days=7)
_PARIS = ZoneInfo("Europe/Paris")
# Ages in whole years; nobody is too old for the last band.
_AGES = {
    AgeBand.UNDER_16: range(16),
    AgeBand.FROM_16: range(16, 18),
    AgeBand.FROM_18: range(18, 21),
    AgeBand.FROM_21: range(21, 26),
    AgeBand.FROM_26: range(26, 30),
    AgeBand.FROM_30: range(30, 55),
    AgeBand.FROM_55: range(55, 65),
    AgeBand.FROM_65: range(65, 10_000),
}


def normalised_identity(family_name: str, given_name: str, birth_date: date) -> str:
    """One spelling for a person: no accents, apostrophes, hyphens or case."""
    return "|".join((_letters(family_name), _letters(given_name), birth_date.isoformat()))


def _letters(name: str) -> str:
    decomposed = unicodedata.normalize("NFKD", name).casefold().replace("œ", "oe").replace("æ", "ae")
    return "".join(character for character in decomposed if character.isalpha())


def timing_problem(occurred_at: datetime, now: datetime, *, live: bool) -> str | None:
    """Why a visit of that instant cannot be recorded now, in French; None when it can."""
    if occurred_at > now + AHEAD:
        return "La visite est dans le futur (plus de 5 minutes d’avance)."
    if live and occurred_at < now - LIVE_FOR:
        return "Visite de plus de 7 jours : envoyez-la avec mode « history » ; elle sera comptée, jamais orientée."
    return None


def age_on(day: date, birth_date: date) -> int:
    """The age in whole years, negative before birth; who was born on 29 February is a year older on 1 March."""
    return day.year - birth_date.year - ((day.month, day.day) < (birth_date.month, birth_date.day))


def age_problem(age_band: AgeBand, birth_date: date, day: date) -> str | None:
    """Why that band cannot be the person's on that day, in French and without the date; None when it can."""
    if age_band is AgeBand.UNKNOWN or age_on(day, birth_date) in _AGES[age_band]:
        return None
    return (
        "Cette tranche d’âge contredit la date de naissance, au jour de la visite : corrigez l’une ou l’autre, ou"
        " envoyez « unknown »."
    )


def paris_day(instant: datetime) -> date:
    """The day of an instant as the counter lives it."""
    return instant.astimezone(_PARIS).date()


def visit_owner(site: str, visit_id: UUID) -> UUID:
    """One identifier for a visit, whose own is unique per site only."""
    return uuid5(visit_id, site)
