"""How many requests of one organisation a call serves at once: workers are few, and for everybody."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from services.chassis.errors import Rejected

_CROWDED = Rejected(
    "too-many",
    "Trop de demandes en même temps\u00a0: renvoyez celle-ci dans une seconde.",
    status=429,
    headers={"Retry-After": "1"},
)


class Crowd:
    """Counts who is served; `most` None: as many as come. Of one process: with several, as many times more."""

    def __init__(self, most: int | None) -> None:
        self._most = most
        self._served: Counter[str] = Counter()

    @contextmanager
    def one_more(self, org: str) -> Iterator[None]:
        """Serve one more meanwhile. Raises Rejected (429) when there are too many of this organisation."""
        if self._most is not None and self._served[org] >= self._most:
            raise _CROWDED
        self._served[org] += 1
        try:
            yield
        finally:
            self._served[org] -= 1
            if not self._served[org]:
                del self._served[org]
