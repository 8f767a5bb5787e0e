"""A peer by the book: FastStream and asyncpg, one event a transaction. `python -m tests.bench.faststream_peer SERVICE`.

What a good engineer writes today with the promises of Relais: inbox, rows and outbox in one transaction, numbers in
commit order, acknowledged after the commit, a relay with pipelined confirms and `mandatory`, a commit that says what is
going to partners. Handlers run side by side, so that commits share their writes to the disk. FastStream's logging of
each message and its type checks are off.
"""

import asyncio
import gc
import os
import sys
from typing import Any, Final

import aio_pika
import asyncpg
import orjson
import uvloop
from faststream.message import StreamMessage
from faststream.rabbit import Channel, RabbitBroker, RabbitExchange, RabbitQueue

from services.chassis.relay import INSIDE, OUTSIDE
from services.contracts import topology
from services.contracts.envelope import CONTENT_TYPE
from tests.bench import peer_sql
from tests.bench.peer_batch import COLUMNS, Json, Value
from tests.bench.peer_work import Handlers, batch_of, handlers

# Found by trial: more side by side, or a longer gathering, gains nothing.
SIDE_BY_SIDE, CONNECTIONS = 50, 20
_GATHER_SECONDS = 0.05
WINDOW = 500
_IDLE_SECONDS, _BUSY_SECONDS = 1.0, 0.1
_ADMIT: Final = "INSERT INTO inbox (source, id) VALUES ($1, $2) ON CONFLICT DO NOTHING"
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
    OUTSIDE: f"SELECT position, type, recipient, body FROM outbox WHERE recipient IS NOT NULL AND {_BEYOND}",  # noqa: S608
}


def _insert(table: str) -> str:
    """A row's INSERT: PostgreSQL reads the values from their texts."""
    columns = COLUMNS[table]
    names = ", ".join(f'"{name}"' for name in columns)
    values = ", ".join(f"${place}::text::{kind}" for place, kind in enumerate(columns.values(), 1))
    return f"INSERT INTO {table} ({names}) VALUES ({values})"  # noqa: S608 - our own names


_INSERT: Final = {table: _insert(table) for table in COLUMNS}


class Service:
    """One service: its broker, its pool, its relays."""

    def __init__(self, name: str, pool: asyncpg.Pool) -> None:
        self._name, self._pool = name, pool
        self.broker = RabbitBroker(
            os.environ["PEER_AMQP"],
            logger=None,
            apply_types=False,
            default_channel=Channel(prefetch_count=SIDE_BY_SIDE, on_return_raises=True),
        )
        self.lanes = {lane: asyncio.Event() for lane in ([INSIDE, OUTSIDE] if name == "referral" else [INSIDE])}
        for queue, handle in handlers(name).items():
            self._subscribe(queue, handle)

    def _subscribe(self, queue: str, handle: Handlers) -> None:
        channel = Channel(prefetch_count=SIDE_BY_SIDE)

        @self.broker.subscriber(RabbitQueue(queue, declare=False), channel=channel, decoder=_decode)
        async def on_event(event: Json) -> None:
            try:
                await self._transact(event, handle)
            except (OSError, asyncpg.InterfaceError, asyncpg.PostgresConnectionError):
                raise
            except Exception as error:  # noqa: BLE001 - any bug of a handler: parked
                parameters = (queue, event.get("source"), event.get("id"), orjson.dumps(event), type(error).__name__)
                await self._pool.execute(_PARK, *parameters)

    async def _transact(self, event: Json, handle: Handlers) -> None:
        async with self._pool.acquire() as database, database.transaction():
            if await database.execute(_ADMIT, event["source"], event["id"]) == "INSERT 0 0":
                return
            rows = batch_of([event], handle).rows
            for table in peer_sql.in_order(rows):
                if table == "outbox":
                    await database.execute(_LOCK, peer_sql.APPENDING)
                for row in rows[table]:
                    await database.execute(_INSERT[table], *map(_text, row))
        if "outbox" in rows:
            for lane in self.lanes.values():
                lane.set()

    async def relay(self, mark: str) -> None:
        """One lane of the outbox, for ever."""
        woken = self.lanes[mark]
        while True:
            # A window of many costs the broker fewer writes to the disk.
            await asyncio.sleep(_GATHER_SECONDS)
            woken.clear()
            found = 1
            while found > 0:
                found = await self._publish_some(mark)
            try:
                await asyncio.wait_for(woken.wait(), _BUSY_SECONDS if found < 0 else _IDLE_SECONDS)
            except TimeoutError:
                continue

    async def _publish_some(self, mark: str) -> int:
        """Publish one window; -1 when another has the lane."""
        last = peer_sql.ANYWHERE if mark == INSIDE else await self._announce()
        if last <= 0:
            return last
        async with self._pool.acquire() as database, database.transaction():
            if not await database.fetchval(_TRY, peer_sql.LOCKS[mark]):
                return -1
            rows = await database.fetch(_WAITING[mark], mark, last, WINDOW)
            if rows:
                await asyncio.gather(*(self._publish(mark, *row[1:]) for row in map(tuple, rows)))
                await database.execute(_MARK, mark, rows[-1]["position"])
            return len(rows)

    async def _announce(self) -> int:
        """How far the next window to partners gets; 0 when there is none, -1 when another has the lane."""
        async with self._pool.acquire() as database, database.transaction():
            if not await database.fetchval(_TRY, peer_sql.LOCKS[OUTSIDE]):
                return -1
            return await database.fetchval(_ANNOUNCE) or 0

    async def _publish(self, mark: str, kind: str, key: str, body: str) -> None:
        message = aio_pika.Message(
            body.encode(), content_type=CONTENT_TYPE, content_encoding="utf-8", delivery_mode=2, type=kind
        )
        if mark == INSIDE:
            exchange = RabbitExchange(topology.exchange_of(self._name), declare=False)
            await self.broker.publish(message, exchange=exchange, routing_key=key)
        else:
            await self.broker.publish(message, queue=f"out.{key}")


async def _decode(message: StreamMessage[Any]) -> Json:
    event: Json = orjson.loads(message.body)
    return event


async def _keep(_connection: object) -> None:
    """A returned connection is as it was: asyncpg would ask the server to reset it each time."""


def _text(value: Value) -> str | None:
    return None if value is None else str(value)


async def main(name: str) -> None:
    """Run one service until killed; any task's end ends it."""
    dsn = os.environ["PEER_DATABASE"]
    pool = await asyncpg.create_pool(dsn, min_size=CONNECTIONS, max_size=CONNECTIONS, reset=_keep)
    service = Service(name, pool)
    await service.broker.start()
    async with asyncio.TaskGroup() as group:
        for mark in service.lanes:
            group.create_task(service.relay(mark))
        gc.freeze()
        await asyncio.sleep(0.5)
        sys.stdout.write("ready\n")
        sys.stdout.flush()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1]))
