"""The outbox: what was committed to be published, in commit order, kept as the service's ledger.

Positions are drawn under a lock held until the commit, so that they become visible in their own order: a reader
that remembers the last position it saw can never skip a row of a slower transaction.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Table, func, select
from sqlalchemy.dialects import postgresql

from services.chassis.database import FEW, Row, insert_all, lock
from services.chassis.tables import marks, outbox

Rows = Sequence[Any]
_APPENDING = 0x4F555442
_COUNTED = 20_000
# Replicas' and sites' clocks differ: by less than this.
SKEW = timedelta(minutes=5)


class Entry(NamedTuple):
    """An event to publish: to one `recipient` outside, or (None) to everyone inside."""

    recipient: str | None
    type: str
    routing_key: str
    body: str


_COLUMNS = (*Entry._fields, "created_at")


def append(
    connection: Connection,
    entries: Sequence[Entry],
    now: datetime,
    others: Mapping[Table, Sequence[Row]] | None = None,
    *,
    in_order: bool = False,
) -> None:
    """Add entries, and rows to `others`; call it last in a transaction: it makes other writers wait until the commit.

    A few go with the other rows, in one statement; many go by themselves, after them, so that others wait for less.
    With `in_order`, the others are numbered in the order of commits, too.
    """
    rows = [dict(zip(_COLUMNS, (*entry, now), strict=True)) for entry in entries]
    others = others or {}
    if len(rows) > FEW:
        insert_all(connection, others, under=_APPENDING if in_order else None)
        others = {}
    insert_all(connection, {**others, outbox: rows}, under=_APPENDING if rows or in_order else None)


def commit_in_order(connection: Connection) -> None:
    """From here to the commit no other writer of this service numbers anything."""
    lock(connection, _APPENDING)


def after(connection: Connection, position: int, *, recipient: str | None, limit: int) -> Rows:
    """(position, body) of a recipient's events after `position`."""
    return connection.execute(
        select(outbox.c.position, outbox.c.body)
        .where(outbox.c.recipient == recipient, outbox.c.position > position)
        .order_by(outbox.c.position)
        .limit(limit)
    ).all()


def waiting(connection: Connection, mark: str, *, outside: bool, limit: int, last: int | None = None) -> Rows:
    """(position, recipient, type, routing_key, body) of the rows beyond a mark; up to `last`, if given."""
    statement = select(outbox.c.position, outbox.c.recipient, outbox.c.type, outbox.c.routing_key, outbox.c.body)
    statement = statement.where(_beyond(mark, outside=outside)).order_by(outbox.c.position).limit(limit)
    return connection.execute(statement if last is None else statement.where(outbox.c.position <= last)).all()


def last_waiting(connection: Connection, mark: str, *, outside: bool, limit: int) -> int:
    """The last position of the next `limit` rows beyond a mark; 0 when there are none."""
    next_ = select(outbox.c.position).where(_beyond(mark, outside=outside)).order_by(outbox.c.position).limit(limit)
    return connection.scalar(select(func.max(next_.subquery().c.position))) or 0


def backlog(connection: Connection, mark: str, *, outside: bool) -> tuple[int, float]:
    """How many rows wait beyond a mark, and the age in seconds of the oldest.

    Counted among the next 20,000 positions, and projected beyond: whoever asks must not wait for a million rows.
    """
    age = func.extract("epoch", func.now() - outbox.c.created_at)
    oldest = select(outbox.c.position, age).where(_beyond(mark, outside=outside)).order_by(outbox.c.position).limit(1)
    first = connection.execute(oldest).first()
    if first is None:
        return 0, 0.0
    near = outbox.c.position.between(first.position, first.position + _COUNTED - 1)
    count = connection.scalar(select(func.count()).where(_addressed(outside=outside), near)) or 0
    span = connection.scalar(select(func.max(outbox.c.position))) - first.position + 1
    return round(count * max(1.0, span / _COUNTED)), float(first[1])


def first_since(connection: Connection, last: int, since: datetime | None) -> int:
    """The first position from `since` on, by halving: positions are in order of time, which has no index."""
    low, high = connection.scalar(select(func.min(outbox.c.position))) or 1, last + 1
    while since and low < high:
        middle = (low + high) // 2
        at_or_after = select(outbox.c.position, outbox.c.created_at).where(outbox.c.position >= middle)
        row = connection.execute(at_or_after.order_by(outbox.c.position).limit(1)).one()
        low, high = (low, middle) if row.created_at >= since else (row.position + 1, high)
    return low


def told_between(connection: Connection, kind: str, words: str, first: datetime, last: datetime) -> Iterator[str]:
    """The bodies of the events for inside of that type, written in that time, that hold `words`; in commit order."""
    end = connection.scalar(select(func.max(outbox.c.position))) or 0
    start, stop = (first_since(connection, end, each) for each in (first - SKEW, last + SKEW))
    positions = outbox.c.position.between(start, stop)
    holds = func.strpos(outbox.c.body, words) > 0
    wanted = select(outbox.c.body).where(positions, outbox.c.recipient.is_(None), outbox.c.type == kind, holds)
    return iter(connection.scalars(wanted.order_by(outbox.c.position)))


def position_of(connection: Connection, mark: str) -> int:
    """Where a mark stands; 0 before the first."""
    return connection.scalar(select(marks.c.position).where(marks.c.name == mark)) or 0


def move(connection: Connection, mark: str, position: int) -> None:
    """Set a mark."""
    statement = postgresql.insert(marks).values(name=mark, position=position)
    connection.execute(statement.on_conflict_do_update(index_elements=["name"], set_={"position": position}))


def _beyond(mark: str, *, outside: bool) -> ColumnElement[bool]:
    position = func.coalesce(select(marks.c.position).where(marks.c.name == mark).scalar_subquery(), 0)
    return _addressed(outside=outside) & (outbox.c.position > position)


def _addressed(*, outside: bool) -> ColumnElement[bool]:
    return outbox.c.recipient.is_not(None) if outside else outbox.c.recipient.is_(None)
