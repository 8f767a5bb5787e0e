"""What the pages say in French: days and hours in Paris, how many, what happened in a step, who is waited for."""

from datetime import datetime

from services.contracts.codes import (
    DECLINE_REASON_LABELS,
    REFERRAL_OUTCOME_LABELS,
    WAITING_LABELS,
    WITHDRAW_REASON_LABELS,
    ReferralState,
)
from services.contracts.french import day_and_month
from services.contracts.paris import paris

NBSP, NARROW = "\u00a0", "\u202f"
S = ReferralState
_DAYS = ("lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi", "dimanche")
# The two tables of outcomes and refusals say the same where they have the same code.
_REASONS: dict[str, str] = {
    str(code): label
    for labels in (DECLINE_REASON_LABELS, REFERRAL_OUTCOME_LABELS, WITHDRAW_REASON_LABELS, WAITING_LABELS)
    for code, label in labels.items()
}
_EVENTS = {
    "reminded": "relance envoyée, une réponse est attendue",
    "escalated": "personne à appeler prévenue",
}
_STATES = {
    S.AWAITING_AGREEMENT: "orientation préparée, accord de la personne attendu",
    S.SENT: "orientation envoyée",
    S.RECEIVED: "orientation bien reçue",
    S.ACCEPTED: "orientation acceptée",
    S.IN_PROGRESS: "suivi en cours",
    S.ON_HOLD: "suivi en pause",
    S.DECLINED: "orientation déclinée",
    S.COMPLETED: "suivi terminé",
    S.FAILED: "suivi interrompu",
    S.WITHDRAWN: "orientation retirée",
    S.EXPIRED: "orientation expirée",
    S.ENTERED_IN_ERROR: "orientation annulée",
}


def day(at: datetime, now: datetime) -> str:
    """`mardi 24 novembre`, in Paris; with the year where it is another one than now's."""
    told, today = paris(at), paris(now)
    number, month = day_and_month(told)
    year = f"{NBSP}{told.year}" if told.year != today.year else ""
    return f"{_DAYS[told.weekday()]}{NBSP}{number}{NBSP}{month}{year}"


def moment(at: datetime, now: datetime) -> str:
    """`mardi 24 novembre à 14 h 30`, in Paris."""
    told = paris(at)
    minutes = f"{NBSP}{told.minute:02}" if told.minute else ""
    return f"{day(at, now)} à{NBSP}{told.hour}{NBSP}h{minutes}"


def counted(number: int, one: str, many: str | None = None) -> str:
    """`1 orientation`, `2 orientations`: zero is singular in French."""
    word = one if number < 2 else many or f"{one}s"  # noqa: PLR2004 - where the plural begins
    return f"{number:,}".replace(",", NARROW) + NBSP + word


def reason(code: str | None) -> str | None:
    """Why, in words; a code of a later release as it is."""
    return _REASONS.get(code, code) if code else None


def step(state: str, event: str | None, why: str | None, *, again: bool = False) -> str:
    """What happened in a step; `again` where it was in this state already."""
    told = _EVENTS.get(event, event) if event else _STATES[S(state)]
    if again and not event:
        told = f"nouvelles données, {told}"
    return f"{told}{NBSP}: {reason(why)}" if why else told


def passed_on(state: str, why: str | None, who: str, to: str) -> str:
    """How a recipient was left behind for the next."""
    if state == S.DECLINED:
        left = f"{who} a décliné ({reason(why)})" if why else f"{who} a décliné"
    else:
        left = f"{who} n’a pas répondu à temps"
    return f"{left}, réadressée à {to}"


def duty(label: str, before: datetime | None, now: datetime) -> str:
    """`accuser réception, au plus tard le mardi 24 novembre`; once it has passed, that it is late."""
    told = label[:1].lower() + label[1:]
    if before is None:
        return f"{told}."
    if before < now:
        return f"{told}. C’était attendu au plus tard le {day(before, now)}."
    return f"{told}, au plus tard le {day(before, now)}."
