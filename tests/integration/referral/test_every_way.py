"""Every state, every action, every role: what is allowed succeeds, and nothing else does."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import update

from services.chassis.errors import Rejected
from services.chassis.tokens import Caller
from services.contracts.codes import ReferralState
from services.referral.domain.life import WAYS, Side
from services.referral.tables import referrals
from tests.support.office import AGENT, COUNTER, HELPS, THEN, Desk, partner

S = ReferralState
SAID: dict[str, dict[str, Any]] = {
    "declined": {"reason": "no-capacity"},
    "failed": {"reason": "person-absent"},
    "completed": {"outcome": "helped"},
}
ANSWERS = ("received", "accepted", "in-progress", "on-hold", "declined", "completed", "failed")
WITHDRAWALS = {"person": S.WITHDRAWN, "sender": S.WITHDRAWN, "entered-in-error": S.ENTERED_IN_ERROR}
STRANGERS = (partner(THEN), Caller("site", "fs-roye", "x"), Caller("agent", "hem", "x"))


def in_state(desk: Desk, referral: UUID, state: S) -> None:
    """Put a referral into a state, as if it had come there."""
    with desk.app.work() as work:
        values = {"state": state, "since": desk.clock.now()}
        work.execute(update(referrals).where(referrals.c.id == referral).values(values))


def attempts(desk: Desk, referral: UUID) -> Iterator[tuple[str, S, Callable[..., str]]]:
    """Every action: its word, the state it leads to, and how a caller does it."""
    for status in ANSWERS:
        yield status, S(status), partial(desk.answer, referral, status=status, **SAID.get(status, {}))
    for reason, state in WITHDRAWALS.items():
        yield f"withdraw: {reason}", state, partial(desk.withdraw, referral, reason=reason)


def outcome(act: Callable[..., str], by: Caller, state: S) -> int:
    """201, or the status of the refusal, which names the state unless it may not; 0 where it does not."""
    try:
        act(by=by)
    except Rejected as refusal:
        named = f"« {state} »" in refusal.detail
        return refusal.status if named or refusal.status == 404 else 0
    return 201


def expected(side: Side | None, action: str, state: S, wanted: S) -> int:
    """What the life says."""
    if side is None or (side is Side.RECIPIENT and state is S.AWAITING_AGREEMENT):
        return 404
    withdrawal = action.startswith("withdraw")
    if withdrawal == (side is Side.RECIPIENT):
        return 403
    if withdrawal and wanted is state:
        return 201  # the same again
    return 201 if wanted in WAYS[state].get(side, ()) else 409


@pytest.mark.parametrize("state", S)
def test_every_state_action_and_role(desk: Desk, state: S) -> None:
    """The partner answers, its site withdraws, others learn nothing; every refusal names the present state."""
    sides = [(partner(HELPS), Side.RECIPIENT), (AGENT, Side.SENDER), (COUNTER, Side.SENDER)]
    wrong, tried = [], 0
    for caller, side in [*sides, *((stranger, None) for stranger in STRANGERS)]:
        referral = desk.open()
        for action, wanted, act in attempts(desk, referral):
            in_state(desk, referral, state)
            found, tried = outcome(act, caller, state), tried + 1
            if found != expected(side, action, state, wanted):
                wrong.append((caller.role, caller.org, action, found))
    assert wrong == []
    assert tried == 60


@pytest.mark.parametrize("state", [state for state in S if state is not S.AWAITING_AGREEMENT])
def test_the_same_toward_a_site(desk: Desk, state: S) -> None:
    """There the site answers and the partner that sent the person withdraws."""
    callers = {HELPS: (partner(HELPS), Side.SENDER), "site": (COUNTER, Side.RECIPIENT), "other": (partner(THEN), None)}
    for caller, side in callers.values():
        referral = desk.send(HELPS)
        for action, wanted, act in attempts(desk, referral):
            in_state(desk, referral, state)
            assert (action, outcome(act, caller, state)) == (action, expected(side, action, state, wanted))


def test_what_a_refusal_leaves_behind(desk: Desk) -> None:
    """Nothing: neither a step, nor an event, nor another state."""
    referral = desk.open()
    desk.answer(referral, partner(HELPS), "declined", reason="no-capacity")
    before = desk.row(referral), desk.trail(referral), desk.told(), desk.told(HELPS)
    with pytest.raises(Rejected):
        desk.answer(referral, partner(HELPS), "accepted")
    assert (desk.row(referral), desk.trail(referral), desk.told(), desk.told(HELPS)) == before
