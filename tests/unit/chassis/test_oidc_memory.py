"""What is kept of an OpenID provider, and how many may wait for it."""

import time
from contextlib import ExitStack

import pytest

from services.chassis.oidc_memory import AT_ONCE, KEPT_SECONDS, Busy, Memory


def test_what_is_kept_is_found_for_some_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    """And then asked for anew: the provider may have changed."""
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    memory = Memory()
    assert memory.find("keys") is None
    memory.keep("keys", {"keys": []})
    now += KEPT_SECONDS - 1
    assert memory.find("keys") == {"keys": []}
    now += 1
    assert memory.find("keys") is None


def test_only_so_many_wait_at_once() -> None:
    """Whoever comes then is told at once; a turn that failed is over, too."""
    memory = Memory()
    with ExitStack() as stack:
        for _ in range(AT_ONCE):
            stack.enter_context(memory.turn())
        with pytest.raises(Busy), memory.turn():
            pass
    for _ in range(2 * AT_ONCE):
        with pytest.raises(KeyError), memory.turn():
            raise KeyError
