"""A peer by hand: threads, py-amqp and psycopg. `python -m tests.bench.threads_peer SERVICE` runs one service.

A thread for each queue and for each lane of the outbox, each with a connection of its own. The same promises as
Relais: inbox and outbox in the handler's transaction, numbers in commit order, confirms before the mark, mandatory, a
commit that says what is going to partners, acknowledged after the commit, a poison event parked alone. If broker or
database go, the process ends: whoever supervises it starts it again.
"""

import gc
import os
import sys
import threading
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

import amqp
import orjson
import psycopg
from amqp import spec
from amqp.method_framing import frame_writer

from services.chassis.relay import INSIDE, OUTSIDE
from tests.bench import peer_sql
from tests.bench.peer_batch import Json, parsed
from tests.bench.peer_duties import Duties, duties_of
from tests.bench.peer_sql import Message
from tests.bench.peer_work import Handlers, batch_of, handlers

# Found by trial on 2 cores with bursts of 20,000.
EVENTS = 800
PREFETCH = 20
WINDOW = 1000
_IDLE_SECONDS, _BUSY_SECONDS = 1.0, 0.1

_ADMIT = "INSERT INTO inbox (source, id) SELECT %s, unnest(%s::text[]) ON CONFLICT DO NOTHING"
_LOCK = "SELECT pg_advisory_xact_lock(%s)"
_TRY = "SELECT pg_try_advisory_xact_lock(%s)"
_MARK = """INSERT INTO marks (name, position) VALUES (%s, %s)
    ON CONFLICT (name) DO UPDATE SET position = excluded.position"""
_PARK = """INSERT INTO failures (queue, source, id, content_type, body, tries, reason, failed_at)
    VALUES (%s, %s, %s, 'application/cloudevents+json', %s, 1, %s, now())"""
_ANNOUNCE = peer_sql.ANNOUNCE % WINDOW
_BEYOND = """position > coalesce((SELECT position FROM marks WHERE name = %s), 0) AND position <= %s
    ORDER BY position LIMIT %s"""
_WAITING = {
    INSIDE: f"SELECT position, type, routing_key, body FROM outbox WHERE recipient IS NULL AND {_BEYOND}",  # noqa: S608
    OUTSIDE: f"SELECT position, recipient, type, body FROM outbox WHERE recipient IS NOT NULL AND {_BEYOND}",  # noqa: S608
}


class AgainError(Exception):
    """Some events were handled before, or come from several sources: they are looked at one by one."""


class _Cork:
    """Collects frames, so that a window of messages is one write to the socket."""

    def __init__(self, transport: Any) -> None:  # noqa: ANN401 - py-amqp is untyped
        self._transport, self._buffer = transport, bytearray()

    def write(self, frame: bytes) -> None:
        """Keep a frame."""
        self._buffer += frame

    def flush(self) -> None:
        """Write all at once."""
        self._transport.write(self._buffer)
        self._buffer = bytearray()


def connect(url: str) -> Any:  # noqa: ANN401 - py-amqp is untyped
    """A connection to the broker."""
    parts = urlsplit(url)
    connection = amqp.Connection(
        host=f"{parts.hostname}:{parts.port}",
        userid=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        virtual_host=unquote(parts.path[1:]),
        heartbeat=60,
    )
    connection.connect()
    return connection


class Publisher:
    """Publishes a window of messages and waits for every confirm."""

    def __init__(self, url: str) -> None:
        self.connection = connect(url)
        self._channel = self.connection.channel()
        self._channel.confirm_select()
        self._channel.events["basic_ack"].add(self._on_ack)
        self._channel.events["basic_nack"].add(self._on_refused)
        self._channel.events["basic_return"].add(self._on_refused)
        # What confirm_select awaited is here: from now on only we write, and all at once.
        self._cork = _Cork(self.connection.transport)
        self.connection._frame_writer = frame_writer(self.connection, self._cork)  # noqa: SLF001
        self._tag = 0
        self._confirmed = 0
        self._early: set[int] = set()
        self._refused = 0

    def publish(self, messages: Iterable[Message]) -> None:
        """Returns once the broker has taken all of them; RuntimeError when it did not."""
        for exchange, key, body, content_type, kind in messages:
            self._tag += 1
            message = amqp.Message(
                body, content_type=content_type, content_encoding="utf-8", delivery_mode=2, type=kind
            )
            # `basic_publish` would look for incoming frames before each message.
            self._channel.send_method(spec.Basic.Publish, "Bssbb", (0, exchange, key, True, False), message)
        self._cork.flush()
        while self._confirmed < self._tag:
            self.connection.drain_events(timeout=30)
        if self._refused:
            raise RuntimeError("refused or unroutable")

    def idle(self) -> None:
        """Keep the connection alive."""
        self.connection.heartbeat_tick()
        self._cork.flush()

    def _on_ack(self, tag: int, multiple: bool) -> None:  # noqa: FBT001 - py-amqp calls it so
        if multiple:
            self._confirmed = max(self._confirmed, tag)
        else:
            self._early.add(tag)
        while self._confirmed + 1 in self._early:
            self._confirmed += 1
            self._early.discard(self._confirmed)

    def _on_refused(self, *_: object) -> None:
        self._refused += 1
        self._confirmed = self._tag


class Relay(threading.Thread):
    """One lane of the outbox."""

    def __init__(self, service: str, mark: str, dsn: str, url: str) -> None:
        super().__init__(daemon=True)
        self._service, self._mark = service, mark
        self._database = psycopg.connect(dsn)
        self._publisher = Publisher(url)
        self.committed = threading.Event()

    def run(self) -> None:
        """Publish for ever."""
        while True:
            self.committed.clear()
            while (found := self._publish_some()) > 0:
                pass
            self.committed.wait(_BUSY_SECONDS if found < 0 else _IDLE_SECONDS)
            self._publisher.idle()

    def _publish_some(self) -> int:
        """Publish one window; -1 when another has the lane."""
        last = peer_sql.ANYWHERE if self._mark == INSIDE else self._announce()
        if last <= 0:
            return last
        with self._database.transaction():
            if not self._one(_TRY, peer_sql.LOCKS[self._mark]):
                return -1
            rows = self._database.execute(_WAITING[self._mark], (self._mark, last, WINDOW), prepare=True).fetchall()
            if rows:
                bare = (row[1:] for row in rows)
                inside = self._mark == INSIDE
                self._publisher.publish(peer_sql.packed(self._service, bare) if inside else peer_sql.addressed(bare))
                self._database.execute(_MARK, (self._mark, rows[-1][0]), prepare=True)
            return len(rows)

    def _announce(self) -> int:
        """How far the next window to partners gets; 0 when there is none, -1 when another has the lane."""
        with self._database.transaction():
            if not self._one(_TRY, peer_sql.LOCKS[self._mark]):
                return -1
            return self._one(_ANNOUNCE) or 0

    def _one(self, query: str, *parameters: object) -> Any:  # noqa: ANN401 - a value of any type
        row = self._database.execute(query, parameters, prepare=True).fetchone()
        return row and row[0]


class Consumer(threading.Thread):
    """One queue: takes what has arrived, handles it in one transaction, acknowledges after the commit."""

    def __init__(self, queue: str, handle: Handlers, woken: Sequence[threading.Event], duties: Duties | None) -> None:
        super().__init__(daemon=True)
        self._queue, self._handle, self._woken, self._duties = queue, handle, woken, duties
        self._read = duties.read if duties else parsed
        self._database = psycopg.connect(os.environ["PEER_DATABASE"])
        self._asking = psycopg.RawCursor(self._database)
        self._connection = connect(os.environ["PEER_AMQP"])
        self._channel = self._connection.channel()
        self._channel.auto_decode = False
        self._arrived: list[Any] = []

    def run(self) -> None:
        """Consume for ever."""
        self._channel.basic_qos(0, PREFETCH, a_global=False)
        self._channel.basic_consume(self._queue, callback=self._arrived.append)
        while True:
            try:
                self._connection.drain_events(timeout=_IDLE_SECONDS)
                while len(self._arrived) < PREFETCH:
                    self._connection.drain_events(timeout=0)
            except TimeoutError:
                self._connection.heartbeat_tick()
            while self._arrived:
                events: list[Json] = []
                while self._arrived and len(events) < EVENTS:
                    message = self._arrived.pop(0)
                    events += self._read(message.body, message.properties["content_type"])
                self._take(events)
                self._channel.basic_ack(message.delivery_tag, multiple=True)

    def _take(self, events: list[Json]) -> None:
        """All together; if that fails, one at a time, so that a poison event is parked alone."""
        try:
            self._transact(events)
        except psycopg.OperationalError:
            raise
        except Exception as error:  # noqa: BLE001 - any bug of a handler
            if len(events) > 1:
                for event in events:
                    self._take([event])
            else:
                self._park(events[0], error)

    def _transact(self, events: list[Json]) -> None:
        try:
            with self._database.transaction():
                self._admit_all(events)
                emitted = self._write(events)
        except AgainError:
            with self._database.transaction():
                events = [event for event in events if self._admit(event)]
                emitted = self._write(events)
        if self._duties:
            self._duties.count(events)
        if emitted:
            for event in self._woken:
                event.set()

    def _write(self, events: list[Json]) -> bool:
        """Write what events lead to; whether others were emitted. Raises LookupError where a duty has an answer."""
        if self._duties and events:
            for question, values in self._duties.questions(events):
                if self._asking.execute(question, values, prepare=True).fetchall():
                    raise LookupError
        rows = batch_of(events, self._handle).rows
        if "outbox" in rows:
            self._database.execute(_LOCK, (peer_sql.APPENDING,), prepare=True)
        with self._database.cursor() as cursor:
            for table in peer_sql.in_order(rows):
                with cursor.copy(peer_sql.COPY[table]) as copy:
                    copy.write(peer_sql.copied(rows[table]))
        return "outbox" in rows

    def _admit_all(self, events: list[Json]) -> None:
        """Nearly always none was handled before: then their number is enough to know. Raises AgainError."""
        source, ids = events[0]["source"], [event["id"] for event in events]
        if self._database.execute(_ADMIT, (source, ids), prepare=True).rowcount != len(ids):
            raise AgainError
        if any(event["source"] != source for event in events):
            raise AgainError

    def _admit(self, event: Json) -> bool:
        return self._database.execute(_ADMIT, (event["source"], [event["id"]])).rowcount > 0

    def _park(self, event: Json, error: Exception) -> None:
        parameters = (self._queue, event.get("source"), event.get("id"), orjson.dumps(event), type(error).__name__)
        with self._database.transaction():
            self._database.execute(_PARK, parameters)


def main(service: str) -> None:
    """Run one service until killed."""
    dsn, url = os.environ["PEER_DATABASE"], os.environ["PEER_AMQP"]
    lanes = [INSIDE, OUTSIDE] if service == "referral" else [INSIDE]
    relays = [Relay(service, lane, dsn, url) for lane in lanes]
    woken = [relay.committed for relay in relays]
    consumers = [
        Consumer(queue, handle, woken, duties_of(service, queue)) for queue, handle in handlers(service).items()
    ]
    gc.freeze()
    threads: list[threading.Thread] = [*relays, *consumers]
    die_of_any_thread()
    for thread in threads:
        thread.start()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for thread in threads:
        thread.join()


def die_of_any_thread() -> None:
    """Let an error in any thread end the process."""
    threading.excepthook = _die


def _die(arguments: threading.ExceptHookArgs) -> None:
    sys.excepthook(arguments.exc_type, arguments.exc_value or arguments.exc_type(), arguments.exc_traceback)
    os._exit(1)


if __name__ == "__main__":
    main(sys.argv[1])
