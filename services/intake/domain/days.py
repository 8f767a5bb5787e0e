"""When a visit may be recorded, ages, days."""

from datetime import date, datetime, timedelta
from uuid import UUID, uuid5

from services.contracts.codes import AgeBand

AHEAD = timedelta(minutes=5)
LIVE_FOR = timedelta(days=7)
GUARDIAN_UNTIL = 15  # loi 78-17, art. 45; RGPD, art. 8
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


def needs_guardian(birth_date: date, day: date) -> bool:
    """Whether somebody else has to agree for this person, on that day."""
    return age_on(day, birth_date) < GUARDIAN_UNTIL


def age_problem(age_band: AgeBand, birth_date: date, day: date) -> str | None:
    """Why that band cannot be the person's on that day, in French and without the date; None when it can."""
    if age_band is AgeBand.UNKNOWN or age_on(day, birth_date) in _AGES[age_band]:
        return None
    return (
        "Cette tranche d’âge contredit la date de naissance, au jour de la visite : corrigez l’une ou l’autre, ou"
        " envoyez « unknown »."
    )


def visit_owner(site: str, visit_id: UUID) -> UUID:
    """One identifier for a visit, whose own is unique per site only."""
    return uuid5(visit_id, site)
