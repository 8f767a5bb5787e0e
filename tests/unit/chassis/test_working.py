"""A service's method in a real nameko worker: what it returns, what it raises, what it leaves behind."""

import gc
import logging
import weakref
from collections.abc import Iterator
from typing import Any

import eventlet
import pytest
from nameko.containers import ServiceContainer
from nameko.testing.services import dummy

from services.chassis import working


class Refused(Exception):
    """As a method may raise it."""


class Service:
    """Twice a number; no number is refused."""

    name = "service"

    @dummy  # type: ignore[untyped-decorator]
    def double(self, number: int | None, *, more: int = 0) -> int:
        """What is asked for."""
        if number is None:
            raise Refused
        return 2 * number + more


@pytest.fixture
def entrypoint(caplog: pytest.LogCaptureFixture) -> Iterator[Any]:
    """Start the service; nameko logs no more than in ours."""
    caplog.set_level(logging.CRITICAL, "nameko")
    container = ServiceContainer(Service, config={})
    container.start()
    yield next(iter(container.entrypoints))
    container.stop()


def test_it_returns_what_the_method_returns(entrypoint: Any) -> None:  # noqa: ANN401 - nameko is untyped
    """Given arguments by place and by name."""
    assert working.call(entrypoint, (4,)) == 8
    assert working.call(entrypoint, (4,), {"more": 1}) == 9


def test_what_it_raises_is_gone_with_whoever_caught_it(entrypoint: Any) -> None:  # noqa: ANN401 - nameko is untyped
    """And what it holds, such as a connection that failed, is not left to the collector."""
    gc.disable()
    try:
        working.call(entrypoint, (None,))
    except Refused as error:
        raised = weakref.ref(error)
    eventlet.sleep(0)  # whoever brought it ends
    try:
        assert raised() is None
    finally:
        gc.enable()
