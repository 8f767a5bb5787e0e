"""A peer by hand: asyncio with uvloop, aiormq and asyncpg. `python -m tests.bench.asyncio_peer SERVICE` runs one.

A task for each queue and for each lane of the outbox. The promises, and what happens when broker or database go, are
those of `threads_peer`.
"""

import asyncio
import gc
import os
import struct
import sys
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

import aiormq
import asyncpg
import orjson
import pamqp.frame
import uvloop
from aiormq.abc import ChannelFrame, DeliveredMessage
from pamqp.header import ContentHeader

from services.chassis.relay import INSIDE, OUTSIDE
from tests.bench import peer_sql
from tests.bench.peer_batch import COLUMNS, Json, parsed
from tests.bench.peer_duties import Duties, duties_of
from tests.bench.peer_sql import Message
from tests.bench.peer_work import Handlers, batch_of, handlers

EVENTS = 1600
PREFETCH = 40
WINDOW = 1000
_IDLE_SECONDS, _BUSY_SECONDS = 1.0, 0.1
_FRAME_BYTES = 131_064

_ADMIT: Final = "INSERT INTO inbox (source, id) SELECT $1, unnest($2::text[]) ON CONFLICT DO NOTHING"
_LOCK: Final = "SELECT pg_advisory_xact_lock($1)"
_TRY: Final = "SELECT pg_try_advisory_xact_lock($1)"
_MARK: Final = """INSERT INTO marks (name, position) VALUES ($1, $2)
    ON CONFLICT (name) DO UPDATE SET position = excluded.position"""
_PARK: Final = """INSERT INTO failures (queue, source, id, content_type, body, tries, reason, failed_at)
    VALUES ($1, $2, $3, 'application/cloudevents+json', $4, 1, $5, now())"""
_ANNOUNCE: Final = peer_sql.ANNOUNCE % WINDOW
_BEYOND: Final = """position > coalesce((SELECT position FROM marks WHERE name = $1), 0) AND position <= $2
    ORDER BY position LIMIT $3"""
_WAITING: Final = {
    INSIDE: f"SELECT position, type, routing_key, body FROM outbox WHERE recipient IS NULL AND {_BEYOND}",  # noqa: S608
    OUTSIDE: f"SELECT position, recipient, type, body FROM outbox WHERE recipient IS NOT NULL AND {_BEYOND}",  # noqa: S608
}


class AgainError(Exception):
    """Some events were handled before, or come from several sources: they are looked at one by one."""


class Publisher:
    """Publishes a window of messages in one write and waits for every confirm.

    aiormq's own `basic_publish` costs 75 µs a message in futures and locks; this one, below it, 15.
    """

    def __init__(self, channel: Any) -> None:  # noqa: ANN401 - what is used of it is not public
        self._channel = channel
        self._channel._on_confirm_frame = self._on_confirm  # noqa: SLF001
        self._channel._on_return_frame = self._on_return  # noqa: SLF001
        self._tag = self._confirmed = 0
        self._early: set[int] = set()
        self._refused = 0
        self._done = asyncio.Event()
        self._heads: dict[tuple[str, ...], tuple[bytes, bytes]] = {}

    async def publish(self, messages: Iterable[Message]) -> None:
        """Returns once the broker has taken all of them; RuntimeError when it did not."""
        frames: list[bytes] = []
        for message in messages:
            self._tag += 1
            frames += self._marshalled(message)
        self._done.clear()
        await self._channel.write_queue.put(ChannelFrame(b"".join(frames), should_close=False))
        while self._confirmed < self._tag:
            await asyncio.wait_for(self._done.wait(), 30)
            self._done.clear()
        if self._refused:
            raise RuntimeError("refused or unroutable")

    def _marshalled(self, message: Message) -> Iterator[bytes]:
        """Method, header and body frames; the first two of a kind differ in the body's size alone."""
        exchange, key, body, content_type, kind = message
        number = self._channel.number
        head = self._heads.get((exchange, key, content_type, kind))
        if head is None:
            method = aiormq.spec.Basic.Publish(exchange=exchange, routing_key=key, mandatory=True)
            properties = aiormq.spec.Basic.Properties(
                content_type=content_type, content_encoding="utf-8", delivery_mode=2, message_type=kind
            )
            header = pamqp.frame.marshal(ContentHeader(body_size=0, properties=properties), number)
            head = pamqp.frame.marshal(method, number) + header[:11], header[19:]
            self._heads[exchange, key, content_type, kind] = head
        # A frame is type (1), channel (2), size (4); a header goes on with class (2), weight (2), body size (8).
        before_size, after_size = head
        yield before_size
        yield len(body).to_bytes(8, "big")
        yield after_size
        for start in range(0, len(body), _FRAME_BYTES):
            part = body[start : start + _FRAME_BYTES]
            yield struct.pack(">BHI", 3, number, len(part))
            yield part
            yield b"\xce"

    async def _on_confirm(self, frame: aiormq.spec.Basic.Ack | aiormq.spec.Basic.Nack) -> None:
        if isinstance(frame, aiormq.spec.Basic.Nack):
            self._refused += 1
        if frame.multiple:
            self._confirmed = max(self._confirmed, frame.delivery_tag or 0)
        else:
            self._early.add(frame.delivery_tag or 0)
        while self._confirmed + 1 in self._early:
            self._confirmed += 1
            self._early.discard(self._confirmed)
        if self._confirmed >= self._tag:
            self._done.set()

    async def _on_return(self, frame: aiormq.spec.Basic.Return) -> None:
        await self._channel._read_content(frame, await self._channel._get_frame())  # noqa: SLF001
        self._refused += 1


async def relay(service: str, mark: str, woken: asyncio.Event) -> None:
    """One lane of the outbox, for ever."""
    database = await asyncpg.connect(os.environ["PEER_DATABASE"])
    connection = await aiormq.connect(os.environ["PEER_AMQP"])
    publisher = Publisher(await connection.channel())
    while True:
        woken.clear()
        found = 1
        while found > 0:
            found = await publish_some(service, mark, database, publisher)
        try:
            await asyncio.wait_for(woken.wait(), _BUSY_SECONDS if found < 0 else _IDLE_SECONDS)
        except TimeoutError:
            continue


async def publish_some(service: str, mark: str, database: asyncpg.Connection, publisher: Publisher) -> int:
    """Publish one window; -1 when another has the lane."""
    inside = mark == INSIDE
    last = peer_sql.ANYWHERE if inside else await announce(database)
    if last <= 0:
        return last
    async with database.transaction():
        if not await database.fetchval(_TRY, peer_sql.LOCKS[mark]):
            return -1
        rows = await database.fetch(_WAITING[mark], mark, last, WINDOW)
        if rows:
            bare = (tuple(row)[1:] for row in rows)
            await publisher.publish(peer_sql.packed(service, bare) if inside else peer_sql.addressed(bare))
            await database.execute(_MARK, mark, rows[-1]["position"])
        return len(rows)


async def announce(database: asyncpg.Connection) -> int:
    """How far the next window to partners gets; 0 when there is none, -1 when another has the lane."""
    async with database.transaction():
        if not await database.fetchval(_TRY, peer_sql.LOCKS[OUTSIDE]):
            return -1
        return await database.fetchval(_ANNOUNCE) or 0


class Taker(NamedTuple):
    """What is done with a queue's events."""

    queue: str
    handle: Handlers
    woken: Sequence[asyncio.Event]
    duties: Duties | None


async def consume(taker: Taker) -> None:
    """One queue, for ever: what has arrived, in one transaction, acknowledged after the commit."""
    database = await asyncpg.connect(os.environ["PEER_DATABASE"])
    connection = await aiormq.connect(os.environ["PEER_AMQP"])
    channel = await connection.channel()
    arrived: asyncio.Queue[DeliveredMessage] = asyncio.Queue()
    read = taker.duties.read if taker.duties else parsed

    async def on_message(message: DeliveredMessage) -> None:
        arrived.put_nowait(message)

    await channel.basic_qos(prefetch_count=PREFETCH)
    await channel.basic_consume(taker.queue, on_message)
    while True:
        events: list[Json] = []
        message = await arrived.get()
        while True:
            events += read(message.body, message.header.properties.content_type or "")
            if arrived.empty() or len(events) >= EVENTS:
                break
            message = arrived.get_nowait()
        await take(database, taker, events)
        await channel.basic_ack(message.delivery_tag or 0, multiple=True)


async def take(database: asyncpg.Connection, taker: Taker, events: list[Json]) -> None:
    """All together; if that fails, one at a time, so that a poison event is parked alone."""
    try:
        if await transact(database, taker, events):
            for event in taker.woken:
                event.set()
    except (OSError, asyncpg.InterfaceError, asyncpg.PostgresConnectionError):
        raise
    except Exception as error:  # noqa: BLE001 - any bug of a handler
        if len(events) > 1:
            for one in events:
                await take(database, taker, [one])
        else:
            document = events[0]
            reason = type(error).__name__
            await database.execute(
                _PARK, taker.queue, document.get("source"), document.get("id"), orjson.dumps(document), reason
            )


async def transact(database: asyncpg.Connection, taker: Taker, events: list[Json]) -> bool:
    """Handle in one transaction; whether events were emitted."""
    try:
        async with database.transaction():
            await admit_all(database, events)
            emitted = await write(database, taker, events)
    except AgainError:
        async with database.transaction():
            events = [event for event in events if await admit(database, event)]
            emitted = await write(database, taker, events)
    if taker.duties:
        taker.duties.count(events)
    return emitted


async def write(database: asyncpg.Connection, taker: Taker, events: list[Json]) -> bool:
    """Write what events lead to; whether others were emitted. Raises LookupError where a duty has an answer."""
    if taker.duties and events:
        for question, values in taker.duties.questions(events):
            if await database.fetch(question, *values):
                raise LookupError
    rows = batch_of(events, taker.handle).rows
    if "outbox" in rows:
        await database.execute(_LOCK, peer_sql.APPENDING)
    for table in peer_sql.in_order(rows):
        lines = once(peer_sql.copied(rows[table]))
        await database.copy_to_table(table, source=lines, columns=list(COLUMNS[table]), null=peer_sql.NULL)
    return "outbox" in rows


async def once(data: bytes) -> AsyncIterator[bytes]:
    """Data as asyncpg copies it without a thread."""
    yield data


async def admit_all(database: asyncpg.Connection, events: list[Json]) -> None:
    """Nearly always none was handled before: then their number is enough to know. Raises AgainError."""
    source, ids = events[0]["source"], [event["id"] for event in events]
    if any(event["source"] != source for event in events):
        raise AgainError
    if await database.execute(_ADMIT, source, ids) != f"INSERT 0 {len(ids)}":
        raise AgainError


async def admit(database: asyncpg.Connection, event: Json) -> bool:
    """Whether an event was never handled before."""
    return await database.execute(_ADMIT, event["source"], [event["id"]]) == "INSERT 0 1"


async def main(service: str) -> None:
    """Run one service until killed; any task's end ends it."""
    lanes = {mark: asyncio.Event() for mark in ([INSIDE, OUTSIDE] if service == "referral" else [INSIDE])}
    async with asyncio.TaskGroup() as group:
        for mark, woken in lanes.items():
            group.create_task(relay(service, mark, woken))
        for queue, handle in handlers(service).items():
            group.create_task(consume(Taker(queue, handle, list(lanes.values()), duties_of(service, queue))))
        gc.freeze()
        await asyncio.sleep(0.5)
        sys.stdout.write("ready\n")
        sys.stdout.flush()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1]))
