"""The floor: what Relais wrote once is written again, the same rows and messages, with no logic at all.

`python -m tests.bench.floor SERVICE` runs one service of it. Messages are received and not read, rows are copied from
memory by COPY, messages are published from memory: no inbox look-up, no reading of the outbox. Transactions are of as
many events as the fast peers', and each window of messages is confirmed and marked.
"""

import os
import queue
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, LiteralString

import psycopg
from psycopg import sql

from services.chassis.recalling import RELAYING
from services.chassis.relay import INSIDE, OUTSIDE
from services.contracts.envelope import BATCH_CONTENT_TYPE
from services.contracts.topology import queue_of
from tests.bench import peer_sql
from tests.bench.ground import Plot
from tests.bench.peer_batch import COLUMNS
from tests.bench.peer_sql import Message
from tests.bench.threads_peer import EVENTS, PREFETCH, WINDOW, Publisher, connect, die_of_any_thread

_INBOX: Final = ("source", "id")
_MARK: Final = """INSERT INTO marks (name, position) VALUES (%s, %s)
    ON CONFLICT (name) DO UPDATE SET position = excluded.position"""
_LOCK: Final = "SELECT pg_advisory_xact_lock(%s)"
# What the events from each publisher are written to, besides the inbox.
TABLES: Final[dict[str, dict[str, tuple[str, ...]]]] = {
    "intake": {"referral": ("sent_referrals",)},
    "orientation": {"intake": ("outbox",)},
    "referral": {"orientation": ("referrals", "history", "outbox")},
    "reporting": {"intake": ("visits", "needs"), "orientation": ("proposals",), "referral": ("referral_steps",)},
}


def record(plot: Plot, folder: Path) -> None:
    """Keep what a run wrote: a file for each table, and for each source of an inbox, in COPY's format."""
    _dump(plot, "intake", "outbox", folder / "intake.outbox")
    for service, taken in TABLES.items():
        for source, tables in taken.items():
            _dump(plot, service, "inbox", folder / f"{service}.inbox.{source}", f"/relais/{source}")
            for table in tables:
                _dump(plot, service, table, folder / f"{service}.{table}")


def _dump(plot: Plot, service: str, table: str, path: Path, source: str | None = None) -> None:
    order: LiteralString = "position" if table == "outbox" else "ctid"
    where = sql.SQL("WHERE source = {}").format(source) if source else sql.SQL("")
    query = sql.SQL("COPY (SELECT {} FROM {} {} ORDER BY {}) TO STDOUT").format(
        _names(table), sql.Identifier(table), where, sql.SQL(order)
    )
    with plot.database(service).cursor() as cursor, cursor.copy(query) as copy:
        path.write_bytes(b"".join(bytes(block) for block in copy))


def _names(table: str) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, COLUMNS.get(table, _INBOX)))


def _lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


@dataclass(frozen=True, slots=True)
class Window:
    """Messages that are published and confirmed together, and where the mark then stands."""

    messages: Sequence[Message]
    position: int


def windows(folder: Path, service: str, lane: str) -> list[Window]:
    """What a service published in a lane, made beforehand."""
    rows = []
    for position, line in enumerate(_lines(folder / f"{service}.outbox"), 1):
        recipient, kind, key, body, _ = line.decode().rstrip("\n").split("\t")
        if (recipient == r"\N") == (lane == INSIDE):
            rows.append((position, kind, key if lane == INSIDE else recipient, body.replace("\\\\", "\\")))
    made = []
    for start in range(0, len(rows), WINDOW):
        some = rows[start : start + WINDOW]
        if lane == INSIDE:
            messages = list(peer_sql.packed(service, [row[1:] for row in some]))
        else:
            messages = list(peer_sql.addressed([(to, kind, body) for _, kind, to, body in some]))
        made.append(Window(messages, some[-1][0]))
    return made


def events_in(windows_: Sequence[Window]) -> list[int]:
    """How many events each message has."""
    return [
        message[2].count(b'{"specversion"') if message[3] == BATCH_CONTENT_TYPE else 1
        for window in windows_
        for message in window.messages
    ]


class Lane(threading.Thread):
    """Publishes windows when their rows are committed."""

    def __init__(self, name: str, made: list[Window], dsn: str, url: str) -> None:
        super().__init__(daemon=True)
        self._mark, self._made = name, made
        self._database = psycopg.connect(dsn)
        self._publisher = Publisher(url)
        self.committed: queue.Queue[int] = queue.Queue()

    def run(self) -> None:
        """Publish all."""
        reached = 0
        for window in self._made:
            while reached < window.position:
                reached = self.committed.get()
            if self._mark == OUTSIDE:
                self._move(RELAYING, window.position)
            self._publisher.publish(window.messages)
            self._move(self._mark, window.position)

    def _move(self, mark: str, position: int) -> None:
        with self._database.transaction():
            self._database.execute(_MARK, (mark, position), prepare=True)


class Writer(threading.Thread):
    """Copies the rows of each message that arrives, in transactions of as many events as the fast peers'."""

    def __init__(self, name: str, files: dict[str, list[bytes]], sizes: list[int], lanes: Sequence[Lane]) -> None:
        super().__init__(daemon=True)
        self._name, self._files, self._sizes, self._lanes = name, files, sizes, lanes
        self._database = psycopg.connect(os.environ["PEER_DATABASE"])
        self._connection = connect(os.environ["PEER_AMQP"])
        self._copies = {
            table: sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(table), _names(table)).as_string()
            for table in files
        }
        self._arrived: list[Any] = []

    def run(self) -> None:
        """Write all."""
        channel = self._connection.channel()
        channel.auto_decode = False
        channel.basic_qos(0, PREFETCH, a_global=False)
        channel.basic_consume(self._name, callback=self._arrived.append)
        done = taken = 0
        while done < len(self._sizes):
            while not self._arrived:
                self._connection.drain_events()
            first = taken
            while self._arrived and taken - first < EVENTS:
                message = self._arrived.pop(0)
                taken += self._sizes[done]
                done += 1
            self._write(first, taken)
            channel.basic_ack(message.delivery_tag, multiple=True)
        while True:
            time.sleep(1)

    def _write(self, first: int, last: int) -> None:
        total = sum(self._sizes)
        position = 0
        with self._database.transaction(), self._database.cursor() as cursor:
            for table, lines in self._files.items():
                each = len(lines) // total
                if table == "outbox":
                    cursor.execute(_LOCK, (peer_sql.APPENDING,), prepare=True)
                    position = last * each
                with cursor.copy(self._copies[table]) as copy:
                    copy.write(b"".join(lines[first * each : last * each]))
        for lane in self._lanes:
            lane.committed.put(position)


def main(service: str) -> None:
    """Run one service of the floor until killed."""
    folder, dsn, url = Path(os.environ["FLOOR_RECORD"]), os.environ["PEER_DATABASE"], os.environ["PEER_AMQP"]
    marks = {"reporting": (), "referral": (INSIDE, OUTSIDE)}.get(service, (INSIDE,))
    lanes = [Lane(mark, windows(folder, service, mark), dsn, url) for mark in marks]
    writers = []
    for source, tables in TABLES[service].items():
        files = {"inbox": _lines(folder / f"{service}.inbox.{source}")}
        files |= {table: _lines(folder / f"{service}.{table}") for table in tables}
        sizes = events_in(windows(folder, source, INSIDE))
        writers.append(Writer(queue_of(service, source), files, sizes, lanes if "outbox" in tables else ()))
    die_of_any_thread()
    for thread in (*lanes, *writers):
        thread.start()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    if service == "intake":
        _await_gate(dsn)
        lanes[0].committed.put(sys.maxsize)
    for writer in (*lanes, *writers):
        writer.join()
    time.sleep(3600)


def _await_gate(dsn: str) -> None:
    """Wait for the starting shot as the peers' relays do: first until the gate is shut, then until it opens."""
    with psycopg.connect(dsn, autocommit=True) as database:
        for wanted in (False, True):
            while True:
                row = database.execute("SELECT pg_try_advisory_lock(%s)", (peer_sql.LOCKS[INSIDE],)).fetchone()
                got = bool(row and row[0])
                if got:
                    database.execute("SELECT pg_advisory_unlock(%s)", (peer_sql.LOCKS[INSIDE],))
                if got is wanted:
                    break
                time.sleep(0.05)


if __name__ == "__main__":
    main(sys.argv[1])
