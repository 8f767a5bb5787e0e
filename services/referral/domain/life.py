"""The life of a referral: which state may follow which, by whom, who owes the next action."""

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID, uuid5

from services.contracts.codes import (
    REFERRAL_STATE_LABELS,
    SENSITIVE_NEEDS,
    DeclineReason,
    Need,
    ReferralState,
    WithdrawReason,
)

S = ReferralState


class Side(StrEnum):
    """Where somebody stands toward a referral: who got it, who sent it, the clock, and whom it is about."""

    RECIPIENT = "recipient"
    SENDER = "sender"
    CLOCK = "clock"
    PERSON = "person"


_AT_WORK = frozenset({S.IN_PROGRESS, S.ON_HOLD, S.COMPLETED, S.FAILED})
_END_OF_OPEN = {Side.SENDER: frozenset({S.WITHDRAWN, S.ENTERED_IN_ERROR}), Side.CLOCK: frozenset({S.EXPIRED})}
_AFTER_THE_END = {Side.SENDER: frozenset({S.ENTERED_IN_ERROR})}
# What whom it is addressed to may answer from each open state. Who accepts at once has received, too; `in-progress`
# again is how a partner gives news.
_ANSWERS: dict[ReferralState, frozenset[ReferralState]] = {
    S.AWAITING_AGREEMENT: frozenset(),
    S.SENT: frozenset({S.RECEIVED, S.ACCEPTED, S.DECLINED}),
    S.RECEIVED: frozenset({S.ACCEPTED, S.DECLINED}),
    S.ACCEPTED: _AT_WORK,
    S.IN_PROGRESS: _AT_WORK,
    S.ON_HOLD: _AT_WORK - {S.ON_HOLD},
}
OPEN = frozenset(_ANSWERS)
# After these the person is to be met elsewhere: a bounce ("renvoi").
BOUNCED = frozenset({S.DECLINED, S.EXPIRED})
# Somebody has to answer yet whether the person is taken on.
UNANSWERED = frozenset({S.SENT, S.RECEIVED})
# What the partner may see, if it was ever sent.
VISIBLE_TO_PARTNER = frozenset(S) - {S.AWAITING_AGREEMENT}
# Every way from a state to another, by each side. Nothing leaves an end but what takes a mistake back.
WAYS: dict[ReferralState, dict[Side, frozenset[ReferralState]]] = {
    state: {Side.RECIPIENT: _ANSWERS[state], **_END_OF_OPEN} if state in OPEN else _AFTER_THE_END for state in S
}
WAYS[S.ENTERED_IN_ERROR] = {}
WAYS[S.AWAITING_AGREEMENT] = {Side.PERSON: frozenset({S.SENT}), **WAYS[S.AWAITING_AGREEMENT]}


@dataclass(frozen=True, slots=True)
class Duty:
    """Who owes the next action, and which."""

    side: Side
    action: str
    label: str


DUTIES: dict[ReferralState, Duty] = {
    S.AWAITING_AGREEMENT: Duty(Side.SENDER, "obtain-agreement", "Demander son accord à la personne"),
    S.SENT: Duty(Side.RECIPIENT, "acknowledge", "Accuser réception"),
    S.RECEIVED: Duty(Side.RECIPIENT, "answer", "Accepter ou décliner"),
    S.ACCEPTED: Duty(Side.RECIPIENT, "begin", "Commencer, fixer un rendez-vous"),
    S.IN_PROGRESS: Duty(Side.RECIPIENT, "conclude", "Donner des nouvelles ou conclure"),
    S.ON_HOLD: Duty(Side.RECIPIENT, "resume", "Reprendre ou conclure"),
}
# Where nobody took the person over from a recipient that could not help, the sender has to.
REORIENT = Duty(Side.SENDER, "reorient", "Revoir la personne et chercher une autre solution")


def may(side: Side, state: ReferralState, wanted: ReferralState) -> bool:
    """Whether this side may move a referral from `state` to `wanted`."""
    return wanted in WAYS[state].get(side, frozenset())


def possible(side: Side, state: ReferralState) -> list[ReferralState]:
    """What this side may move a referral to from `state`."""
    return sorted(WAYS[state].get(side, frozenset()))


def duty(state: ReferralState, *, taken_over: bool) -> Duty | None:
    """Who owes the next action; None where the referral has come to its end or gone on to somebody else."""
    if state in BOUNCED | {S.FAILED} and not taken_over:
        return REORIENT
    return DUTIES.get(state)


def withdrawn_state(reason: WithdrawReason) -> ReferralState:
    """Where a sender's withdrawal leads."""
    return S.ENTERED_IN_ERROR if reason is WithdrawReason.ENTERED_IN_ERROR else S.WITHDRAWN


def tells_health(need: Need, *, sender_reveals: bool) -> bool:
    """Whether a partner's referral alone tells a health or disability fact: by the need, or by who sends it."""
    return need in SENSITIVE_NEEDS or sender_reveals


def owner_of_words(case: UUID | None, referral_id: UUID, sender: str | None) -> UUID:
    """Whose key seals what is written freely: the case, or where there is none an owner of the referral's own.

    A sender chooses its referral's id: were that the owner, it could name the key of a case, or the vault's own.
    """
    return case or uuid5(referral_id, sender or "")


def answer_problem(
    status: ReferralState, reason: DeclineReason | None, note: str | None, *, has_outcome: bool
) -> tuple[str, str] | None:
    """(field, what is missing) of an answer that says too little; None when it is complete."""
    if status in {S.DECLINED, S.FAILED} and reason is None:
        return "reason", "Un refus (declined) ou un échec (failed) demande un motif (reason)."
    if reason is DeclineReason.OTHER and not note:
        return "note", "Le motif « other » demande une explication (note)."
    if reason is not None and status not in {S.DECLINED, S.FAILED}:
        return "reason", "Un motif n’accompagne qu’un refus (declined) ou un échec (failed)."
    if status is S.COMPLETED and not has_outcome:
        return "outcome", "« completed » demande un résultat (outcome)."
    if has_outcome and status is not S.COMPLETED:
        return "outcome", "Un résultat n’accompagne qu’une clôture (completed)."
    return None


def drawn() -> str:
    """The states and their ways as a Mermaid diagram: what the guides show."""
    lines = ["stateDiagram-v2", "  [*] --> awaiting", "  [*] --> sent"]
    lines += [f"  {_name(state)}: {REFERRAL_STATE_LABELS[state]} ({state})" for state in S]
    by = {Side.RECIPIENT: "réponse", Side.SENDER: "retrait", Side.CLOCK: "délai dépassé"}
    by[Side.PERSON] = "accord de la personne"
    for state in (state for state in S if state in OPEN):
        for side, wanted in WAYS[state].items():
            lines += [
                f"  {_name(state)} --> {_name(each)}: {by[side]}"
                for each in S
                if each in wanted and each is not S.ENTERED_IN_ERROR
            ]
    lines += [f"  {_name(state)} --> [*]" for state in S if state not in OPEN]
    return "\n".join(lines)


def _name(state: ReferralState) -> str:
    return state.split("-")[0] if state is S.AWAITING_AGREEMENT else state.replace("-", "_")
