"""A case's timeline, told in French: one sentence for each thing that happened."""

from collections.abc import Callable, Mapping
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from services.contracts.codes import (
    CATEGORY_LABELS,
    DECLINE_REASON_LABELS,
    NEED_LABELS,
    REFERRAL_OUTCOME_LABELS,
    REFERRAL_STATE_LABELS,
    WAITING_LABELS,
    WITHDRAW_REASON_LABELS,
    Category,
    Need,
    ReferralState,
    Waiting,
    WithdrawReason,
)
from services.contracts.french import french_day
from services.contracts.paris import paris_day
from services.reporting.domain.figures import OUTCOME_LABELS

Codes = Mapping[str, Any]
Names = Mapping[str, str]


class InPlace(StrEnum):
    """What happens to a referral without leading it into another state."""

    REMINDED = "reminded"
    ESCALATED = "escalated"
    REROUTED = "rerouted"


REASON_LABELS = {
    str(code): label
    for labels in (DECLINE_REASON_LABELS, REFERRAL_OUTCOME_LABELS, WITHDRAW_REASON_LABELS, WAITING_LABELS)
    for code, label in labels.items()
}
# How a recipient is spoken of before its referral's sending is known: events arrive in any order.
_SOMEBODY = {
    "à": "au partenaire",
    "de": "du partenaire",
    "chez": "chez le partenaire",
    "vers": "vers un autre partenaire",
}


# What whoever has an open referral owes, in the words of the referral itself.
_OWED = {
    ReferralState.SENT: "accuser réception",
    ReferralState.RECEIVED: "accepter ou décliner",
    ReferralState.ACCEPTED: "commencer, fixer un rendez-vous",
    ReferralState.IN_PROGRESS: "donner des nouvelles ou conclure",
    ReferralState.ON_HOLD: "reprendre ou conclure",
}
_CATEGORIES: dict[str, str] = {
    Category.STATE: "les services de l’État",
    Category.DEPARTMENT: "le Département",
    Category.OPERATOR: "les opérateurs",
    Category.LOCAL: "les partenaires locaux",
    Category.SITE: "les France services",
}
_DECIDED = {
    "withdrawn": "Accord retiré",
    "objection": "Opposition de la personne",
    "restriction": "Limitation demandée par la personne",
}


def timeline_sentence(kind: str, site: str | None, codes: Codes, names: Names) -> str:
    """One entry of a case's timeline in French; `names` gives sites and partners theirs."""
    if kind == "visit":
        needs = "\u202f; ".join(
            f"{NEED_LABELS.get(need['code'], need['code'])} ({OUTCOME_LABELS.get(need['outcome'], need['outcome'])})"
            for need in codes["needs"]
        )
        return f"Visite ({names.get(site or '', site)})\u00a0: {needs}"
    if kind == "orientation":
        return "Proposition\u00a0: " + "\u202f; ".join(_proposal_words(each, names) for each in codes["proposals"])
    if kind == "referral-sent":
        return _sending_words(codes, names)
    if kind in _DECISIONS:
        return _DECISIONS[kind](codes, names)
    words = _WORDS.get(kind.removeprefix("referral-"), _answer_words)(codes, names)
    if codes.get("appointment_day"):
        words += f", rendez-vous le {french_day(date.fromisoformat(codes['appointment_day']))}"
    return words


def owed(state: ReferralState, due_at: datetime | None, appointment: date | None) -> str:
    """What whoever has an open referral owes, and by when: `accuser réception, au plus tard le 25 novembre 2026`."""
    words = _OWED.get(state, "répondre")
    if due_at:
        words += f", au plus tard le {french_day(paris_day(due_at))}"
    return f"{words} (rendez-vous le {french_day(appointment)})" if appointment else words


def waiting_sentence(state: ReferralState, name: str, due_at: datetime | None, appointment: date | None) -> str:
    """Who owes what; before the sending it is any site that the person comes to."""
    if state is ReferralState.AWAITING_AGREEMENT:
        return f"Le site où vient la personne\u00a0: demander son accord, rien n’est envoyé à {name}"
    return f"{name}\u00a0: {owed(state, due_at, appointment)}"


def ended_words(state: str, reason: str | None) -> str:
    """How it ended: `déclinée (plus de place)`."""
    ending = str(REFERRAL_STATE_LABELS[ReferralState(state)]).lower()
    return f"{ending} ({REASON_LABELS.get(reason, reason)})" if reason else ending


def ended_sentence(need: str, where: str, state: str, reason: str | None) -> str:
    """What was tried, where, and how it ended: `Se loger, conseil départemental : déclinée (plus de place)`."""
    return f"{NEED_LABELS.get(Need(need), need)}, {where}\u00a0: {ended_words(state, reason)}"


def _agreement_words(codes: Codes, names: Names) -> str:
    health = ", faits de santé et de handicap compris" if codes.get("sensitive") else ""
    return f"Accord de la personne pour {_recipient(codes['recipient'], names)}{health}"


def _withdrawn_words(codes: Codes, names: Names) -> str:
    words = _DECIDED.get(codes.get("reason") or "", "Accord retiré")
    return f"{words}\u00a0: plus rien n’est transmis ({_recipient(codes['recipient'], names)})"


def _joined_words(_codes: Codes, _names: Names) -> str:
    return "Deux dossiers de la même personne réunis"


def _parted_words(_codes: Codes, _names: Names) -> str:
    return "Dossiers séparés\u00a0: ce n’était pas la même personne"


_DECISIONS: dict[str, Callable[[Codes, Names], str]] = {
    "agreement-given": _agreement_words,
    "agreement-withdrawn": _withdrawn_words,
    "case-merged": _joined_words,
    "case-unmerged": _parted_words,
}


def _recipient(recipient: str, names: Names) -> str:
    """A partner's name, or a category in words."""
    return _CATEGORIES.get(recipient) or names.get(recipient, recipient)


def _sending_words(codes: Codes, names: Names) -> str:
    sender, need = codes.get("sender"), NEED_LABELS.get(codes["need"], codes["need"])
    if sender:
        return (
            f"Orientation reçue {_to('de', sender, names)} {_to('vers le site', codes['partner'], names)}\u00a0: {need}"
        )
    words = f"Orientation envoyée {_to('à', codes['partner'], names)}"
    if codes.get("previous"):
        before = codes.get("previous_partner")
        words += f", à la suite {_to('de', before, names) if before else 'd’une autre'}"
    return f"{words}\u00a0: {need}"


def _held_words(codes: Codes, names: Names) -> str:
    need = NEED_LABELS.get(codes["need"], codes["need"])
    return f"Orientation {_to('vers', codes['partner'], names)} en attente de l’accord de la personne\u00a0: {need}"


def _answer_words(codes: Codes, _names: Names) -> str:
    """What the recipient answered, or a state that this release does not know."""
    state = str(REFERRAL_STATE_LABELS.get(codes["to_state"], codes["to_state"]))
    words = f"Orientation {state[:1].lower()}{state[1:]} par le {'site' if codes.get('sender') else 'partenaire'}"
    reason = codes.get("reason")
    return f"{words}\u00a0: {REASON_LABELS.get(reason, reason)}" if reason else words


def _news_words(codes: Codes, names: Names) -> str:
    state = REFERRAL_STATE_LABELS[ReferralState(codes["to_state"])].lower()
    if codes["from_state"] == codes["to_state"]:
        return f"Nouvelles {_to('de', codes.get('partner'), names)}\u00a0: orientation toujours {state}"
    return f"Orientation {state} {_to('chez', codes.get('partner'), names)}"


def _withdrawal_words(codes: Codes, names: Names) -> str:
    if codes.get("reason") == WithdrawReason.PERSON:
        return "Orientation retirée à la demande de la personne"
    sender = codes.get("sender")
    return f"Orientation retirée par {names.get(sender, sender) if sender else 'le site'}"


def _expiry_words(codes: Codes, names: Names) -> str:
    if codes["from_state"] == ReferralState.AWAITING_AGREEMENT:
        return "Orientation expirée avant son envoi\u00a0: pas d’accord de la personne"
    missed = "nouvelles" if codes.get("reason") == Waiting.NEWS else "réponse"
    return f"Orientation expirée sans {missed} {_to('de', codes.get('partner'), names)}"


def _error_words(_codes: Codes, _names: Names) -> str:
    return "Orientation saisie par erreur\u00a0: ne pas en tenir compte"


def _reminder_words(codes: Codes, names: Names) -> str:
    return f"Relance envoyée {_to('à', codes.get('partner'), names)}"


def _escalation_words(codes: Codes, names: Names) -> str:
    words, reason = f"Contact désigné {_to('de', codes.get('partner'), names)} appelé", codes.get("reason")
    return f"{words}\u00a0: {REASON_LABELS.get(reason, reason)}" if reason else words


def _rerouting_words(codes: Codes, names: Names) -> str:
    return f"Réorientée {_to('vers', codes.get('next_partner'), names)}, sans redemander son histoire à la personne"


_WORDS: dict[str, Callable[[Codes, Names], str]] = {
    ReferralState.AWAITING_AGREEMENT: _held_words,
    ReferralState.IN_PROGRESS: _news_words,
    ReferralState.ON_HOLD: _news_words,
    ReferralState.WITHDRAWN: _withdrawal_words,
    ReferralState.EXPIRED: _expiry_words,
    ReferralState.ENTERED_IN_ERROR: _error_words,
    InPlace.REMINDED: _reminder_words,
    InPlace.ESCALATED: _escalation_words,
    InPlace.REROUTED: _rerouting_words,
}


def _to(word: str, whom: str | None, names: Names) -> str:
    """A preposition and a name, `de` elided before a vowel."""
    if whom is None:
        return _SOMEBODY[word]
    name = names.get(whom, whom)
    return f"d’{name}" if word == "de" and name[:1].lower() in "aàâeéèêiîoôuù" else f"{word} {name}"


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
