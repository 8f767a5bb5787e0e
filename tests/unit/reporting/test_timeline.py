"""A case's timeline in French."""

from typing import Any

import pytest

from services.contracts.codes import DeclineReason, ReferralOutcome, ReferralState, Waiting, WithdrawReason
from services.reporting.domain.timeline import REASON_LABELS, InPlace, timeline_sentence

NAMES = {"ml": "Mission locale", "agirc": "Agirc-Arrco", "siavic": "Siavic", "fs-roye": "France services Roye"}


def test_every_reason_has_a_label() -> None:
    """A code added to the contracts without a label here would be shown raw."""
    assert {*DeclineReason, *ReferralOutcome, *WithdrawReason, *Waiting} == set(REASON_LABELS)


def test_the_timeline_tells_in_french() -> None:
    """Codes become sentences; partners and sites have their names, unknown ones their ids."""
    names = {"cnaf": "Caf", "fs-roye": "France services Roye"}
    visit = {
        "needs": [{"code": "demander-une-aide", "outcome": "to-refer"}, {"code": "numerique", "outcome": "resolved"}]
    }
    assert timeline_sentence("visit", "fs-roye", visit, names) == (
        "Visite (France services Roye)\u00a0: Demander une aide (logement, famille, prime d’activité) (à orienter)"
        "\u202f; Être aidé avec le numérique (résolu au guichet)"
    )
    proposal = {"need": "demander-une-aide", "partner": "cnaf", "category": "operator", "chosen": None}
    shown = timeline_sentence(
        "orientation", None, {"proposals": [{**proposal, "desk_first": False, "unmet": False}]}, names
    )
    assert shown.endswith("→ Caf (Opérateur)")
    sent = {"partner": "cnaf", "need": "demander-une-aide"}
    assert timeline_sentence("referral-sent", None, sent, names).startswith("Orientation envoyée à Caf")
    declined = {"to_state": "declined", "reason": "no-capacity", "appointment_day": None}
    assert timeline_sentence("referral-declined", None, declined, names) == (
        "Orientation déclinée par le partenaire\u00a0: plus de place"
    )
    accepted = {"to_state": "accepted", "reason": None, "appointment_day": "2026-12-01"}
    assert timeline_sentence("referral-accepted", None, accepted, names).endswith("rendez-vous le 1er décembre 2026")


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
    assert timeline_sentence("orientation", None, codes, {}).endswith(words)


def step(to_state: ReferralState, from_state: ReferralState = ReferralState.SENT, **more: Any) -> dict[str, Any]:  # noqa: ANN401
    """The codes of a step of a referral to the Mission locale."""
    codes = {"partner": "ml", "sender": None, "reason": None, "appointment_day": None}
    return codes | {"from_state": from_state, "to_state": to_state} | more


S = ReferralState
STEPS: dict[str, tuple[str, dict[str, Any], str]] = {
    "reminded": (InPlace.REMINDED, step(S.SENT), "Relance envoyée à Mission locale"),
    "reminded, of a sending not known yet": (
        InPlace.REMINDED,
        step(S.SENT, partner=None),
        "Relance envoyée au partenaire",
    ),
    "called in": (
        InPlace.ESCALATED,
        step(S.SENT, reason=Waiting.RECEPTION),
        "Contact désigné de Mission locale appelé\u00a0: pas d’accusé de réception",
    ),
    "called in, a vowel": (
        InPlace.ESCALATED,
        step(S.ACCEPTED, S.ACCEPTED, reason=Waiting.NEWS, partner="agirc"),
        "Contact désigné d’Agirc-Arrco appelé\u00a0: pas de nouvelles",
    ),
    "rerouted": (
        InPlace.REROUTED,
        step(S.DECLINED, S.DECLINED, next_partner="agirc", next_referral_id="x", bounces=1),
        "Réorientée vers Agirc-Arrco, sans redemander son histoire à la personne",
    ),
    "expired": (
        S.EXPIRED,
        step(S.EXPIRED, reason=Waiting.ANSWER),
        "Orientation expirée sans réponse de Mission locale",
    ),
    "expired at work": (
        S.EXPIRED,
        step(S.EXPIRED, S.ACCEPTED, reason=Waiting.NEWS),
        "Orientation expirée sans nouvelles de Mission locale",
    ),
    "expired before it was sent": (
        S.EXPIRED,
        step(S.EXPIRED, S.AWAITING_AGREEMENT, partner=None),
        "Orientation expirée avant son envoi\u00a0: pas d’accord de la personne",
    ),
    "withdrawn by the person": (
        S.WITHDRAWN,
        step(S.WITHDRAWN, reason=WithdrawReason.PERSON),
        "Orientation retirée à la demande de la personne",
    ),
    "withdrawn by the site": (
        S.WITHDRAWN,
        step(S.WITHDRAWN, reason=WithdrawReason.SENDER),
        "Orientation retirée par le site",
    ),
    "withdrawn by a partner": (
        S.WITHDRAWN,
        step(S.WITHDRAWN, reason=WithdrawReason.SENDER, sender="siavic", partner="fs-roye"),
        "Orientation retirée par Siavic",
    ),
    "a mistake": (
        S.ENTERED_IN_ERROR,
        step(S.ENTERED_IN_ERROR, S.DECLINED, reason=WithdrawReason.ENTERED_IN_ERROR),
        "Orientation saisie par erreur\u00a0: ne pas en tenir compte",
    ),
    "in progress": (
        S.IN_PROGRESS,
        step(S.IN_PROGRESS, S.ACCEPTED, appointment_day="2026-12-01"),
        "Orientation en cours chez Mission locale, rendez-vous le 1er décembre 2026",
    ),
    "still in progress": (
        S.IN_PROGRESS,
        step(S.IN_PROGRESS, S.IN_PROGRESS),
        "Nouvelles de Mission locale\u00a0: orientation toujours en cours",
    ),
    "on hold": (S.ON_HOLD, step(S.ON_HOLD, S.IN_PROGRESS), "Orientation en pause chez Mission locale"),
    "failed": (
        S.FAILED,
        step(S.FAILED, S.IN_PROGRESS, reason=DeclineReason.PERSON_ABSENT),
        "Orientation interrompue par le partenaire\u00a0: personne absente",
    ),
    "answered by a site": (S.RECEIVED, step(S.RECEIVED, sender="siavic"), "Orientation reçue par le site"),
}


@pytest.mark.parametrize(("kind", "codes", "words"), STEPS.values(), ids=STEPS)
def test_every_step_has_its_sentence(kind: str, codes: dict[str, Any], words: str) -> None:
    """In French, with the names of the partner and of the next one; without a sending, without its name."""
    assert timeline_sentence(f"referral-{kind}", None, codes, NAMES) == words


def test_no_step_is_without_a_sentence() -> None:
    """Each state that a step may lead into, and each step that stays, says something of its own, and no code."""
    states = set(S) - {S.AWAITING_AGREEMENT, S.SENT}
    said = {timeline_sentence(f"referral-{state}", None, step(state, S.ACCEPTED), NAMES) for state in states}
    said |= {timeline_sentence(f"referral-{each}", None, step(S.SENT), NAMES) for each in InPlace}
    assert len(said) == len(states) + len(InPlace)
    assert not any(code in words for words in said for code in (*S, *InPlace))


@pytest.mark.parametrize(
    ("before", "words"),
    [
        ({"previous": "x", "previous_partner": "agirc"}, ", à la suite d’Agirc-Arrco\u00a0: "),
        ({"previous": "x", "previous_partner": None}, ", à la suite d’une autre\u00a0: "),
        ({"previous": None}, "Orientation envoyée à Mission locale\u00a0: "),
    ],
)
def test_a_referral_in_the_place_of_another_says_so(before: dict[str, Any], words: str) -> None:
    """Whose place it took, where that is known."""
    sent = {"partner": "ml", "need": "logement", "sender": None} | before
    assert words in timeline_sentence("referral-sent", None, sent, NAMES)
