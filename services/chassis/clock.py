"""Time and identifiers, injected so that tests are exact."""

import secrets
import time
from datetime import UTC, datetime
from uuid import UUID

_LOW_62 = (1 << 62) - 1


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

    def new(self) -> UUID:
        """A fresh identifier."""
        stamp = time.time_ns() // 1_000_000
        chance = secrets.randbits(74)
        return UUID(int=stamp << 80 | 7 << 76 | chance >> 62 << 64 | 0b10 << 62 | chance & _LOW_62)

    def new_trace(self) -> str:
        """A fresh W3C trace context."""
        return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"
