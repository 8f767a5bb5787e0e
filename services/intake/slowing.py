"""What an organisation may not read, or what is not there: one answer, after one time, so many times.

Nothing in it tells a right guess of a reference from a wrong one (docs/decisions/32-stories.md).
"""

import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar
from weakref import WeakKeyDictionary

from services.chassis.app import App
from services.chassis.errors import not_found
from services.intake.allowances import Allowance
from services.intake.call import Call

T = TypeVar("T")
# A refusal is answered so long after the question; meanwhile what intake has not heard of yet may arrive.
REFUSED_AFTER, _LOOK_EVERY = 1.0, 0.2
BUDGET = Allowance(
    "refused-story",
    20,
    timedelta(minutes=1),
    "Trop de demandes refusées\u00a0: attendez avant de redemander ce qui ne vous est pas ouvert.",
)
# Who waits holds a worker (`services.chassis.runner` has 100), which others need, too.
MOST_WAITING = 25
_waiting: WeakKeyDictionary[App, Counter[str]] = WeakKeyDictionary()


def patiently(look: Callable[[], T | None], call: Call) -> T:
    """What `look` finds, at once if it does; otherwise it is asked again for a while.

    Raises Rejected: 404 after a fixed time, 429 past the organisation's budget or where too many wait.
    """
    asked = time.monotonic()
    found = look()
    if found is not None:
        return found
    waiting = _waiting.setdefault(call.app, Counter())
    if waiting.total() >= MOST_WAITING:
        raise BUDGET.too_many(1)
    waiting[call.caller.org] += 1
    try:
        return _wait(look, call, asked + REFUSED_AFTER)
    finally:
        waiting[call.caller.org] -= 1


def _wait(look: Callable[[], T | None], call: Call, until: float) -> T:
    with call.app.work() as work:
        BUDGET.spend(work, call.caller.org)
    while time.monotonic() + _LOOK_EVERY < until:
        time.sleep(_LOOK_EVERY)
        found = look()
        if found is not None:
            with call.app.work() as work:
                BUDGET.give_back(work, call.caller.org)
            return found
    time.sleep(max(0.0, until - time.monotonic()))
    raise not_found("Aucun récit de ce numéro ne vous est ouvert.")
