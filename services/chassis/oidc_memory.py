"""What a process keeps of its OpenID provider, and how many of its workers may wait for it at once.

Whoever comes to log in is nobody yet: were the provider asked for each, its slowness would be ours.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

KEPT_SECONDS = 300.0
# Of the workers of a process; there are a hundred.
AT_ONCE = 8


class Busy(Exception):
    """As many as may already wait for the provider."""


class Memory:
    """The provider's documents by name, each for KEPT_SECONDS."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[float, Any]] = {}
        self._waiting = 0

    def keep(self, name: str, document: Any) -> None:  # noqa: ANN401 - any document
        """From now on."""
        self._kept[name] = time.monotonic() + KEPT_SECONDS, document

    def find(self, name: str) -> Any:  # noqa: ANN401 - any document
        """What was kept; None when there is none, or it is too old."""
        until, document = self._kept.get(name, (0.0, None))
        return document if time.monotonic() < until else None

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Time with the provider. Raises Busy at once."""
        if self._waiting >= AT_ONCE:
            raise Busy
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1
