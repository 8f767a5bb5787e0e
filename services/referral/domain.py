"""The life of a referral: which state may follow which, who agreed to what, when silence becomes overdue."""

from collections.abc import Callable, Collection
from datetime import date, datetime, time, timedelta
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

from services.contracts.codes import SENSITIVE_NEEDS, Category, DeclineReason, Need, ReferralState

RECEPTION_DAYS = 3
PARIS = ZoneInfo("Europe/Paris")

S = ReferralState
# What whom it is addressed to may answer from each state. Who accepts at once has received, too.
ANSWERS: dict[ReferralState, frozenset[ReferralState]] = {
    S.AWAITING_AGREEMENT: frozenset(),
    S.SENT: frozenset({S.RECEIVED, S.ACCEPTED, S.DECLINED}),
    S.RECEIVED: frozenset({S.ACCEPTED, S.DECLINED}),
    S.ACCEPTED: frozenset({S.COMPLETED}),
    S.DECLINED: frozenset(),
    S.COMPLETED: frozenset(),
}
# What the partner may see: from the moment it is sent.
VISIBLE_TO_PARTNER = frozenset(S) - {S.AWAITING_AGREEMENT}


def may_answer(state: ReferralState, status: ReferralState) -> bool:
    """Whether an answer may move a referral from `state` to `status`."""
    return status in ANSWERS[state]


def first_state(
    partner: str, category: Category, agreed: Collection[str], *, reveals_health: bool, sensitive_agreed: bool
) -> ReferralState:
    """`sent` when the person agreed to this partner or its category, and to what the referral itself reveals."""
    covered = partner in agreed or category in agreed
    return S.SENT if covered and (sensitive_agreed or not reveals_health) else S.AWAITING_AGREEMENT


def tells_health(need: Need, *, sender_reveals: bool) -> bool:
    """Whether a partner's referral alone tells a health or disability fact: by the need, or by who sends it."""
    return need in SENSITIVE_NEEDS or sender_reveals


def owner_of_words(case: UUID | None, referral_id: UUID, sender: str | None) -> UUID:
    """Whose key seals what is written freely: the case, or where there is none an owner of the referral's own.

    A sender chooses its referral's id: were that the owner, it could name the key of a case, or the vault's own.
    """
    return case or uuid5(referral_id, sender or "")


def due_after(sent_at: datetime, business_days: int, is_holiday: Callable[[date], bool]) -> datetime:
    """The end, in Paris, of the n-th business day after `sent_at`; weekends and holidays do not count."""
    day = sent_at.astimezone(PARIS).date()
    left = business_days
    while left:
        day += timedelta(days=1)
        if day.weekday() < 5 and not is_holiday(day):  # noqa: PLR2004 - Saturday is 5
            left -= 1
    return datetime.combine(day, time(23, 59, 59), PARIS)


def answer_problem(
    status: ReferralState, reason: DeclineReason | None, note: str | None, *, has_outcome: bool
) -> tuple[str, str] | None:
    """(field, what is missing) of an answer that says too little; None when it is complete."""
    if status is S.DECLINED and reason is None:
        return "reason", "Un refus demande un motif."
    if reason is DeclineReason.OTHER and not note:
        return "note", "Le motif « other » demande une explication (note)."
    if reason is not None and status is not S.DECLINED:
        return "reason", "Un motif n’accompagne qu’un refus (declined)."
    if status is S.COMPLETED and not has_outcome:
        return "outcome", "Une clôture demande un résultat (outcome)."
    if has_outcome and status is not S.COMPLETED:
        return "outcome", "Un résultat n’accompagne qu’une clôture (completed)."
    return None
