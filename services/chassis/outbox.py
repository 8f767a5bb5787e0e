"""The outbox: what was committed to be published, in commit order, kept as the service's ledger.

Positions are drawn under a lock held until the commit, so that they become visible in their own order: a reader
that remembers the last position it saw can never skip a row of a slower transaction.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, select, text
from sqlalchemy.dialects import postgresql

from services.chassis.database import insert_all
from services.chassis.tables import marks, outbox

Rows = Sequence[Any]
_APPENDING = 0x4F555442


@dataclass(frozen=True, slots=True)
class Entry:
    """An event to publish: to one `recipient` outside, or (None) to everyone inside."""

    recipient: str | None
    type: str
    routing_key: str
    body: str


def append(connection: Connection, entries: Sequence[Entry], now: datetime) -> None:
    """Add entries; call it last in a transaction: it makes other writers wait until the commit."""
    if not entries:
        return
    commit_in_order(connection)
    insert_all(connection, outbox, [asdict(entry) | {"created_at": now} for entry in entries])


def commit_in_order(connection: Connection) -> None:
    """From here to the commit no other writer of this service numbers anything."""
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _APPENDING})


def after(connection: Connection, position: int, *, recipient: str | None, limit: int) -> Rows:
    """(position, body) of a recipient's events after `position`."""
    return connection.execute(
        select(outbox.c.position, outbox.c.body)
        .where(outbox.c.recipient == recipient, outbox.c.position > position)
        .order_by(outbox.c.position)
        .limit(limit)
    ).all()


def waiting(connection: Connection, mark: str, *, outside: bool, limit: int) -> Rows:
    """(position, recipient, type, routing_key, body) of the rows beyond a mark."""
    return connection.execute(
        select(outbox.c.position, outbox.c.recipient, outbox.c.type, outbox.c.routing_key, outbox.c.body)
        .where(_beyond(mark, outside=outside))
        .order_by(outbox.c.position)
        .limit(limit)
    ).all()


def backlog(connection: Connection, mark: str, *, outside: bool) -> tuple[int, float]:
    """How many rows wait beyond a mark, and the age in seconds of the oldest."""
    age = func.extract("epoch", func.now() - func.min(outbox.c.created_at))
    count, oldest = connection.execute(select(func.count(), age).where(_beyond(mark, outside=outside))).one()
    return count, float(oldest or 0)


def position_of(connection: Connection, mark: str) -> int:
    """Where a mark stands; 0 before the first."""
    return connection.scalar(select(marks.c.position).where(marks.c.name == mark)) or 0


def move(connection: Connection, mark: str, position: int) -> None:
    """Set a mark."""
    statement = postgresql.insert(marks).values(name=mark, position=position)
    connection.execute(statement.on_conflict_do_update(index_elements=["name"], set_={"position": position}))


def _beyond(mark: str, *, outside: bool) -> ColumnElement[bool]:
    position = func.coalesce(select(marks.c.position).where(marks.c.name == mark).scalar_subquery(), 0)
    addressed = outbox.c.recipient.is_not(None) if outside else outbox.c.recipient.is_(None)
    return addressed & (outbox.c.position > position)
