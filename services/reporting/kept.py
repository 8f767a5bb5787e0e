"""Something costly to make, made once in a while."""

from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Kept(Generic[T]):
    """What was made last, for so many seconds. Whoever comes then makes it anew; others get the former meanwhile."""

    def __init__(self, seconds: float) -> None:
        self._seconds, self._until = seconds, 0.0
        self._last: T | None = None

    def get(self, now: float, make: Callable[[], T]) -> T:
        """`now`: by a clock that nobody sets. What `make` raises is raised, and nothing kept by it."""
        last = self._last
        if last is not None and now < self._until:
            return last
        self._until = now + self._seconds
        try:
            self._last = made = make()
        except BaseException:
            self._until = 0.0
            raise
        return made
