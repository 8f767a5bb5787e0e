"""Time and identifiers, injected so that tests are exact."""

import secrets
import time
from datetime import UTC, datetime
from uuid import UUID

_LOW_12, _LOW_62 = (1 << 12) - 1, (1 << 62) - 1
# Asking the system for chance costs more than all the rest of an identifier.
_AT_ONCE = 100


class Clock:
    """The real clock."""

    def now(self) -> datetime:
        """The present instant, aware, in UTC."""
        return datetime.now(UTC)


class Ids:
    """The real source of identifiers: UUID version 7 (RFC 9562), a millisecond followed by 74 random bits.

    New ones sort behind old ones, so that an index of millions of rows grows at its end (docs/decisions/14-ids.md). No
    counter within a millisecond: two partners could match two referrals of one person by it.
    """

    def __init__(self) -> None:
        self._chance = b""

    def new(self) -> UUID:
        """A fresh identifier."""
        if not self._chance:
            self._chance = secrets.token_bytes(10 * _AT_ONCE)
        chance, self._chance = int.from_bytes(self._chance[:10]), self._chance[10:]
        stamp = time.time_ns() // 1_000_000
        return UUID(int=stamp << 80 | 7 << 76 | (chance >> 62 & _LOW_12) << 64 | 0b10 << 62 | chance & _LOW_62)

    def new_trace(self) -> str:
        """A fresh W3C trace context."""
        return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"
