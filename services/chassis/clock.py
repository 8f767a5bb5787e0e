"""Time and identifiers, injected so that tests are exact."""

import re
import secrets
import time
from datetime import UTC, datetime
from uuid import UUID

_LOW_12, _LOW_62 = (1 << 12) - 1, (1 << 62) - 1
_TRACEPARENT = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
# Asking the system for chance costs more than all the rest of an identifier.
_AT_ONCE = 1024
_HOUR = 3_600_000


class Clock:
    """The real clock."""

    def now(self) -> datetime:
        """The present instant, aware, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds that passed since some moment, whatever is done to the clock."""
        return time.monotonic()


class Ids:
    """The real source of identifiers: UUID version 7 (RFC 9562), a millisecond followed by 74 random bits.

    New ones sort behind old ones, so that an index of millions of rows grows at its end. What partners see tells the
    hour only: by the millisecond, two of them could match two referrals of one person
    (docs/decisions/15-identifiers.md).
    """

    def __init__(self) -> None:
        self._chance = b""

    def new(self) -> UUID:
        """A fresh identifier."""
        return UUID(int=self._number())

    def new_outside(self) -> UUID:
        """A fresh identifier that partners see."""
        return UUID(int=self._number(_HOUR))

    def new_text(self, *, outside: bool = False) -> str:
        """A fresh identifier as it is written, in a third of the time that `str(new())` takes."""
        digits = f"{self._number(_HOUR if outside else 1):032x}"
        return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"

    def new_trace(self) -> str:
        """A fresh W3C trace context."""
        chance = self._take(24).hex()
        return f"00-{chance[:32]}-{chance[32:]}-01"

    def trace_of(self, given: object) -> str:
        """The W3C trace context that a caller gave, or a fresh one if that is none."""
        return given if isinstance(given, str) and _TRACEPARENT.fullmatch(given) else self.new_trace()

    def _number(self, grain: int = 1) -> int:
        """`grain`: to how many milliseconds the time is told."""
        stamp, chance = time.time_ns() // 1_000_000, int.from_bytes(self._take(10))
        stamp -= stamp % grain
        return stamp << 80 | 7 << 76 | (chance >> 62 & _LOW_12) << 64 | 0b10 << 62 | chance & _LOW_62

    def _take(self, number: int) -> bytes:
        if len(self._chance) < number:
            self._chance = secrets.token_bytes(_AT_ONCE)
        taken, self._chance = self._chance[:number], self._chance[number:]
        return taken
