"""Sends a service's ledger again to one consumer: straight into its queue, past the exchange that all listen to.

The consumer's inbox lets through what it has not handled. What the inbox does not know, because the database was
emptied or set back, or an earlier release did not take it, is handled anew: that is what a replay is for, and why it is
not for consumers that publish of what they hear.
"""

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from typing import Any, NamedTuple

import kombu
from sqlalchemy import Connection, func, select

from services.chassis import broker, pruning
from services.chassis.database import Database
from services.chassis.outbox import SKEW, first_since
from services.chassis.packing import packed
from services.chassis.tables import outbox
from services.contracts import topology

_WINDOW = 2000
# Of up to 100 events each: what a consumer has before it, and a broker must hold, at any moment.
_QUEUED_MESSAGES = 200
_READER_SECONDS, _POLL_SECONDS = 30.0, 0.1

AWAY: tuple[type[Exception], ...] = (*broker.BROKER_ERRORS, broker.NotConfirmed)


class NobodyReads(Exception):
    """The consumer does not run: what is sent would fill the broker."""


class Wanted(NamedTuple):
    """Events of these names, written from `since` on, into that queue."""

    queue: str
    names: Collection[str]
    since: datetime | None = None


@dataclass
class Sent:
    """What a replay sent: events by type, out of a ledger whose older events were deleted before `begins`."""

    begins: datetime | None = None
    events: dict[str, int] = field(default_factory=dict)
    messages: int = 0


def consumers_of(publisher: str) -> list[str]:
    """The services that take anything from `publisher`."""
    return [service for service in topology.SERVICES if publisher in topology.taken_from(service)]


def replay(
    database: Database,
    url: str,
    wanted: Wanted,
    tell: Callable[[int, int], None] = lambda _done, _all: None,
) -> Sent:
    """Send these events of the ledger into a consumer's queue.

    `tell` hears how many positions of how many are done. Raises NobodyReads, Unavailable or one of AWAY: then
    the same may be sent again from the beginning.
    """
    queue, names, since = wanted
    kinds = {event.TYPE: event.name() for event in topology.PUBLISHED if event.name() in names}
    with database.begin() as ledger:
        sent = Sent(pruning.ledger_begins(ledger), dict.fromkeys(names, 0))
        last = ledger.scalar(select(func.max(outbox.c.position))) or 0
        first = first_since(ledger, last, since - SKEW if since else None)
    with broker.connect(url, "replay") as connection:
        publisher = broker.Publisher(connection)
        for start in range(first, last + 1, _WINDOW):
            tell(start - first, last - first + 1)
            with database.begin() as ledger:
                rows = _window(ledger, start, min(start + _WINDOW - 1, last), list(kinds), since)
            if not rows:
                continue
            _await_room(connection, queue)
            messages = list(_addressed(rows, queue))
            publisher.publish(messages)
            if publisher.returned:
                raise broker.NotConfirmed("unroutable: " + ", ".join(sorted(set(publisher.returned))))
            sent.messages += len(messages)
            for row in rows:
                sent.events[kinds[row.type]] += 1
    return sent


def _window(ledger: Connection, first: int, last: int, kinds: Sequence[str], since: datetime | None) -> Sequence[Any]:
    """(type, body) of the events for inside between two positions, type by type."""
    wanted = select(outbox.c.type, outbox.c.body).where(
        outbox.c.position.between(first, last), outbox.c.recipient.is_(None), outbox.c.type.in_(kinds)
    )
    if since:
        wanted = wanted.where(outbox.c.created_at >= since)
    return ledger.execute(wanted.order_by(outbox.c.type, outbox.c.position)).all()


def _addressed(rows: Sequence[Any], queue: str) -> Iterator[broker.Message]:
    for kind, group in groupby(rows, key=lambda row: row.type):
        yield from packed("", queue, kind, (row.body for row in group))


def _await_room(connection: kombu.Connection, queue: str) -> None:
    """Wait until the consumer has taken most of what it was sent. Raises NobodyReads."""
    with connection.channel() as channel:
        unread_since = time.monotonic()
        while True:
            found = channel.queue_declare(queue, passive=True)
            if found.consumer_count:
                unread_since = time.monotonic()
                if found.message_count < _QUEUED_MESSAGES:
                    return
            elif time.monotonic() - unread_since > _READER_SECONDS:
                raise NobodyReads(queue)
            time.sleep(_POLL_SECONDS)
