"""Time and identifiers, injected so that tests are exact."""

from datetime import UTC, datetime
from uuid import UUID, uuid4


class Clock:
    """The real clock."""

    def now(self) -> datetime:
        """The present instant, aware, in UTC."""
        return datetime.now(UTC)


class Ids:
    """The real source of identifiers: random, so that none tells anything about another."""

    def new(self) -> UUID:
        """A fresh identifier."""
        return uuid4()

    def new_trace(self) -> str:
        """A fresh W3C trace context."""
        return f"00-{uuid4().hex}-{uuid4().hex[:16]}-01"
