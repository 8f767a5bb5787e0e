"""Referral's pages: a partner's inbox, a site's follow-up, one referral."""

from datetime import datetime
from pathlib import Path
from urllib.parse import urlencode

from services.chassis.pages import environment
from services.contracts.codes import (
    DECLINE_REASON_LABELS,
    NEED_LABELS,
    REFERRAL_OUTCOME_LABELS,
    REFERRAL_STATE_LABELS,
    ReferralState,
    WithdrawReason,
)
from services.contracts.french import short_number
from services.referral.board import Board
from services.referral.cards import Card
from services.referral.domain import life, words
from services.referral.domain.life import Side
from services.referral.page_forms import REFUSED, BoardQuery, Tried

S = ReferralState
# Fewer are found by eye.
_FILTER_FROM = 11
_WITHDRAW = {
    WithdrawReason.PERSON: "La personne ne le souhaite plus",
    WithdrawReason.SENDER: "Cette orientation n’est plus utile",
    WithdrawReason.ENTERED_IN_ERROR: "C’est une erreur : elle n’aurait pas dû exister",
}
_PARTS = {
    "late": ("En retard", "Rien n’est en retard."),
    "to-answer": ("À traiter", "Aucune orientation n’attend votre réponse."),
    "at-work": ("En cours", "Aucun suivi en cours."),
    "again": ("À reprendre avec la personne", "Personne n’est à revoir."),
    "expected": ("Personnes attendues", "Aucun partenaire n’a envoyé quelqu’un ici."),
    "waiting": ("En attente d’une réponse", "Aucune réponse n’est attendue."),
}
_TEMPLATES = environment(Path(__file__).parent / "templates")


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _listed(asked: BoardQuery, page: int | None = None) -> str:
    """Where in the list the reader is, as a query string."""
    told = {"page": page or asked.page, "need": asked.need, "department": asked.department, "number": asked.digits}
    return urlencode({name: value for name, value in told.items() if value})


_TEMPLATES.filters |= {
    "capital": _capital,
    "reason": words.reason,
    "short": short_number,
}
_TEMPLATES.globals |= {
    "need_labels": NEED_LABELS,
    "state_labels": REFERRAL_STATE_LABELS,
    "reason_labels": DECLINE_REASON_LABELS,
    "outcome_labels": REFERRAL_OUTCOME_LABELS,
    "parts": _PARTS,
    "counted": words.counted,
    "day": words.day,
    "moment": words.moment,
    "duty": words.duty,
    "step": words.step,
    "passed_on": words.passed_on,
    "listed": _listed,
    "RECIPIENT": Side.RECIPIENT,
    "OPEN": life.OPEN,
    "BOUNCED": life.BOUNCED | {S.FAILED},
    "REFUSED": REFUSED,
}


def _board(shown: Board, *, partner: bool) -> str:
    asked, total = shown.asked, sum(shown.totals.values())
    with_filter = asked.filtered or total >= _FILTER_FROM
    page = _TEMPLATES.get_template("board.html")
    return page.render(shown=shown, now=shown.now, partner=partner, with_filter=with_filter, logged_in=True)


def inbox(shown: Board) -> str:
    """What is addressed to a partner: late, to be answered, at work, ended lately."""
    return _board(shown, partner=True)


def follow_up(shown: Board) -> str:
    """What became of the people that a site sent, and whom partners sent to it."""
    return _board(shown, partner=False)


def referral(card: Card, now: datetime, *, tried: Tried | None = None, done: bool = False) -> str:
    """One referral, with the forms of what its reader may do now; with what was `tried` and could not be taken."""
    withdrawals = {
        reason: label for reason, label in _WITHDRAW.items() if life.withdrawn_state(reason) in card.possible
    }
    page = _TEMPLATES.get_template("referral.html")
    return page.render(card=card, now=now, tried=tried or Tried(""), done=done, withdrawals=withdrawals, logged_in=True)
