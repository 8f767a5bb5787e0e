"""Publishes the outbox and remembers how far it got: to each partner, and inside to each routing key, in its order.

One replica of a service relays at a time (a database lock held for the length of one batch); another takes over by
itself. A crash between publishing and marking publishes those events again: consumers have an inbox.
"""

import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from functools import partial
from threading import Event as Signal
from typing import Any

from sqlalchemy import Connection, text

from services.chassis import broker, logs, outbox, outside, recalling
from services.chassis.app import App
from services.chassis.errors import Unavailable
from services.chassis.packing import packed
from services.contracts import topology
from services.contracts.envelope import CONTENT_TYPE

INSIDE, OUTSIDE = "relay", recalling.RELAYED
_ROWS = 1000
_IDLE_SECONDS, _PAUSES = 1.0, (0.2, 0.5, 1.0, 2.0, 5.0)
_NOTHING = text("SELECT 1")
_TRY_LOCK = text("SELECT pg_try_advisory_xact_lock(:key)")
_LOCKS = {INSIDE: 0x52454C31, OUTSIDE: 0x52454C32}

AWAY: tuple[type[Exception], ...] = (*broker.BROKER_ERRORS, broker.NotConfirmed, Unavailable)

log = logs.get(__name__)
Rows = Sequence[Any]


class Relay:
    """One lane of the outbox: inside to the service's exchange, or outside to the partners' queues."""

    def __init__(self, app: App, url: str, *, outside: bool = False, queues: Sequence[str] = ()) -> None:
        self._app = app
        self._url = url
        self._outside = outside
        self._queues = frozenset(queues)
        self._mark = OUTSIDE if outside else INSIDE
        self._stopping = False
        self._failures = 0
        self._committed = app.wakes()
        self.stopped = Signal()

    def run(self) -> None:
        """Publish until stopped; a broker or a database that is away is waited for.

        The database is asked first: a connection to the broker for nothing costs it 25 ms, and us 170 kB for a while.
        """
        while not self._stopping:
            try:
                self._app.database.ping()
                with broker.connect(self._url, self._app.service) as connection:
                    self._declare(connection)
                    self._drain(connection, broker.Publisher(connection, self._tell_blocked))
            except AWAY as error:
                self._app.blocked.discard(self._mark)
                log.warning("relay paused", service=self._app.service, lane=self._mark, reason=type(error).__name__)
                time.sleep(_PAUSES[min(self._failures, len(_PAUSES) - 1)])
                self._failures += 1
        self.stopped.set()

    def finish(self) -> None:
        """Publish what is left and end; `stopped` tells when. What is still left then waits for the next start."""
        self._stopping = True
        self._committed.set()

    def _declare(self, connection: Any) -> None:  # noqa: ANN401 - kombu is untyped
        if self._outside:
            clashing = outside.declare_partner_queues(connection, self._queues)
            if clashing:
                # They are published to all the same: whoever reads one would miss its events.
                log.warning("queue has other arguments", queues=clashing)
        else:
            broker.declare_topology(connection)

    def _drain(self, connection: Any, publisher: broker.Publisher) -> None:  # noqa: ANN401 - kombu is untyped
        while True:
            self._committed.clear()
            stopping = self._stopping
            while (published := self._publish_some(publisher)) == _ROWS:
                pass
            self._tell_resumed()
            busy = published < 0
            if stopping:
                return
            # Another replica holds the lock: look again soon, since it will not see what we have just committed.
            self._committed.wait(0.1 if busy else _IDLE_SECONDS)
            broker.keep_alive(connection)

    def _publish_some(self, publisher: broker.Publisher) -> int:
        """Publish one batch of rows; how many, or -1 when another replica is at it.

        To outsiders it says before how far it goes: whoever calls an event back must know whether it may have left.
        """
        last = None
        if self._outside:
            with self._app.read() as connection:
                if not connection.scalar(_TRY_LOCK, {"key": _LOCKS[self._mark]}):
                    return -1
                last = recalling.going_to_relay(connection, _ROWS)
            if not last:
                return 0
        with self._app.read() as connection:
            if not connection.scalar(_TRY_LOCK, {"key": _LOCKS[self._mark]}):
                return -1
            rows = outbox.waiting(connection, self._mark, outside=self._outside, limit=_ROWS, last=last)
            if not rows:
                return 0
            messages = self._addressed(rows) if self._outside else self._packed(rows)
            publisher.publish(messages, partial(self._hold, connection))
            if publisher.returned and not self._outside:
                raise broker.NotConfirmed("unroutable: " + ", ".join(sorted(set(publisher.returned))))
            if publisher.returned:
                log.warning("no queue", queues=sorted(set(publisher.returned)))
            outbox.move(connection, self._mark, rows[-1].position)
        self._count(rows)
        return len(rows)

    def _count(self, rows: Rows) -> None:
        metrics = self._app.metrics
        if self._outside:
            for partner, number in Counter(row.recipient for row in rows).items():
                metrics.count("relais_partner_events_published", "Partners' events.", number, partner=partner)
            return
        for kind, number in Counter(row.type for row in rows).items():
            metrics.published.labels(self._app.service, kind).inc(number)

    def _hold(self, connection: Connection) -> None:
        """Keep the transaction alive, which the server ends after 60 idle seconds; end it when told to stop."""
        connection.execute(_NOTHING)
        if self._stopping and self._mark in self._app.blocked:
            raise broker.NotConfirmed("told to stop while the broker blocks")

    def _tell_resumed(self) -> None:
        if self._failures:
            log.info("relay resumed", service=self._app.service, lane=self._mark)
        self._failures = 0

    def _tell_blocked(self, blocked: bool) -> None:  # noqa: FBT001 - the publisher calls it so
        if blocked:
            self._app.blocked.add(self._mark)
            log.warning("broker blocks publishers", service=self._app.service, lane=self._mark)
        else:
            self._app.blocked.discard(self._mark)
            log.info("broker takes events again", service=self._app.service, lane=self._mark)

    def _addressed(self, rows: Rows) -> Iterator[broker.Message]:
        """Outsiders get single events, each in its own queue; who reads no queue has the ledger over HTTP."""
        for _, recipient, kind, _, body in rows:
            if recipient in self._queues:
                yield broker.Message("", outside.partner_queue(recipient), body, CONTENT_TYPE, kind)

    def _packed(self, rows: Rows) -> Iterator[broker.Message]:
        """Those of one kind to one routing key share messages when there is a backlog.

        Neighbours alone would hardly ever share: each partner's referrals have a key of their own.
        """
        exchange = topology.exchange_of(self._app.service)
        groups: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
        for _, _, kind, key, body in rows:
            groups[kind, key].append(body)
        for (kind, key), bodies in groups.items():
            yield from packed(exchange, key, kind, bodies)

    def backlog(self, connection: Connection) -> tuple[int, float]:
        """How many events wait to be published, and the age in seconds of the oldest."""
        return outbox.backlog(connection, self._mark, outside=self._outside)
