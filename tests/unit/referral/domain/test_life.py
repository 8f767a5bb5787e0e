"""The life of a referral: who may do what from which state, who owes what."""

from uuid import UUID, uuid4

import pytest

from services.contracts.codes import SENSITIVE_NEEDS, DeclineReason, Need, ReferralState, WithdrawReason
from services.referral.domain.life import (
    BOUNCED,
    DUTIES,
    OPEN,
    REORIENT,
    WAYS,
    Side,
    answer_problem,
    drawn,
    duty,
    may,
    owner_of_words,
    tells_health,
    withdrawn_state,
)

S = ReferralState
ENDS = {S.DECLINED, S.COMPLETED, S.FAILED, S.WITHDRAWN, S.EXPIRED, S.ENTERED_IN_ERROR}
# What whom it is addressed to may answer, the whole of it.
ANSWERS = {
    (S.SENT, S.RECEIVED),
    (S.SENT, S.ACCEPTED),
    (S.SENT, S.DECLINED),
    (S.RECEIVED, S.ACCEPTED),
    (S.RECEIVED, S.DECLINED),
    *((before, after) for before in (S.ACCEPTED, S.IN_PROGRESS, S.ON_HOLD) for after in (S.COMPLETED, S.FAILED)),
    (S.ACCEPTED, S.IN_PROGRESS),
    (S.ACCEPTED, S.ON_HOLD),
    (S.IN_PROGRESS, S.IN_PROGRESS),
    (S.IN_PROGRESS, S.ON_HOLD),
    (S.ON_HOLD, S.IN_PROGRESS),
}


@pytest.mark.parametrize("before", S)
@pytest.mark.parametrize("after", S)
def test_only_these_ways_are_open(before: S, after: S) -> None:
    """Each side has its own; what has ended stays so, but for a mistake that its sender takes back."""
    assert may(Side.RECIPIENT, before, after) == ((before, after) in ANSWERS)
    withdrawn = after is S.WITHDRAWN and before not in ENDS
    mistaken = after is S.ENTERED_IN_ERROR and before is not S.ENTERED_IN_ERROR
    assert may(Side.SENDER, before, after) == (withdrawn or mistaken)
    assert may(Side.CLOCK, before, after) == (after is S.EXPIRED and before not in ENDS)
    assert may(Side.PERSON, before, after) == ((before, after) == (S.AWAITING_AGREEMENT, S.SENT))


def test_every_state_has_its_ways_and_every_open_one_an_owner() -> None:
    """A new state without a line would be a KeyError at a partner's answer, or nobody's to act on."""
    assert set(WAYS) == set(S)
    assert set(DUTIES) == set(S) - ENDS == OPEN


@pytest.mark.parametrize("state", S)
def test_who_owes_the_next_action(state: S) -> None:
    """The sender where an agreement is missing or nobody took over; whoever got it while it is open; else nobody."""
    owed = duty(state, taken_over=False)
    if state in BOUNCED | {S.FAILED}:
        assert owed is REORIENT
        assert duty(state, taken_over=True) is None
    elif state in ENDS:
        assert owed is None
    else:
        assert owed is not None
        assert owed.side is (Side.SENDER if state is S.AWAITING_AGREEMENT else Side.RECIPIENT)


def test_a_withdrawal_says_whether_there_should_have_been_one() -> None:
    """Only `entered-in-error` leads to that state."""
    found = {reason: withdrawn_state(reason) for reason in WithdrawReason}
    assert found == {
        WithdrawReason.PERSON: S.WITHDRAWN,
        WithdrawReason.SENDER: S.WITHDRAWN,
        WithdrawReason.ENTERED_IN_ERROR: S.ENTERED_IN_ERROR,
    }


def test_the_drawing_shows_every_way() -> None:
    """One arrow for each, but for mistakes, which lead from everywhere to the same place."""
    arrows = [line for line in drawn().splitlines() if "-->" in line and "[*]" not in line]
    ways = sum(len(after - {S.ENTERED_IN_ERROR}) for sides in WAYS.values() for after in sides.values())
    assert len(arrows) == ways


def test_a_referral_tells_health_by_its_need_or_by_its_sender() -> None:
    """Two needs do by themselves; whoever is sent by the MDPH tells it with any need."""
    assert {need for need in Need if tells_health(need, sender_reveals=False)} == SENSITIVE_NEEDS
    assert all(tells_health(need, sender_reveals=True) for need in Need)


def test_a_sender_cannot_name_the_owner_of_a_key() -> None:
    """With a case its key seals; without, an owner that is neither the id that was sent nor another sender's."""
    case, id_ = uuid4(), uuid4()
    assert owner_of_words(case, id_, "siavic") == case
    owners = {owner_of_words(None, one, sender) for one in (id_, UUID(int=0)) for sender in ("siavic", "cpam")}
    assert len(owners) == 4
    assert owners.isdisjoint({id_, UUID(int=0)})
    assert owner_of_words(None, id_, "siavic") == owner_of_words(None, id_, "siavic")


def test_a_refusal_says_why_and_a_closure_says_how_it_ended() -> None:
    """The sender always sees the reason; `other` takes words."""
    assert answer_problem(S.RECEIVED, None, None, has_outcome=False) is None
    assert (answer_problem(S.DECLINED, None, None, has_outcome=False) or ("",))[0] == "reason"
    assert answer_problem(S.DECLINED, DeclineReason.NO_CAPACITY, None, has_outcome=False) is None
    assert (answer_problem(S.DECLINED, DeclineReason.OTHER, None, has_outcome=False) or ("",))[0] == "note"
    assert (answer_problem(S.COMPLETED, None, None, has_outcome=False) or ("",))[0] == "outcome"
    assert answer_problem(S.COMPLETED, None, None, has_outcome=True) is None
