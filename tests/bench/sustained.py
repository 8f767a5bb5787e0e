"""A steady stream: visits committed to intake's outbox at a fixed rate, and how far reporting is behind them.

A visit has arrived when reporting has its referral and intake has heard of it.

The rows are copied straight into the outbox, as by other replicas of intake: its relay is woken by nobody and looks
once a second, which the lag includes.
"""

import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, LiteralString
from uuid import UUID, uuid4

import psycopg

from services.chassis.clock import Ids
from services.contracts.intake import VisitRecorded
from tests.bench.burst import EXPECTED, PARTNER_QUEUE, Wrong, counts
from tests.bench.ground import Ground, Plot
from tests.bench.meters import peak_megabytes
from tests.bench.peer_sql import APPENDING
from tests.bench.relais import house_on, pids
from tests.bench.seeds import visits

_TICK_SECONDS: Final = 0.05
_PROBE_SECONDS: Final = 0.5
_PURGE_SECONDS: Final = 5.0
_ARRIVED: Final[dict[str, LiteralString]] = {
    "reporting": 'SELECT EXISTS (SELECT FROM referral_steps WHERE "case" = %(case)s)',
    "intake": "SELECT EXISTS (SELECT FROM sent_referrals WHERE case_id = %(case)s)",
}


@dataclass
class Stream:
    """What was seen: (when it was committed, seconds until it had arrived) of each probe."""

    rate: float
    seconds: float
    lags: list[tuple[float, float]] = field(default_factory=list)
    visits: int = 0
    drained: float = 0.0
    megabytes: dict[str, float] = field(default_factory=dict)

    def worst(self, since: float = 0.0, until: float = float("inf")) -> float:
        """The largest lag of what was committed between two instants, in seconds since the start."""
        return max((lag for at, lag in self.lags if since <= at < until), default=0.0)

    @property
    def bounded(self) -> bool:
        """Whether the last quarter lags little more than the second, and what is left in the end is soon written."""
        quarter = self.seconds / 4
        steady = self.worst(since=3 * quarter) <= 1.5 * self.worst(since=quarter, until=2 * quarter) + 1
        return steady and self.drained < self.seconds / 10 + 1


class _Template:
    """Fresh visits at the price of a few replacements, so that the harness leaves the processors to Relais."""

    def __init__(self) -> None:
        seed = visits(1)[0]
        self._body, self._case = seed.body, str(seed.case)
        data = VisitRecorded.model_validate_json(self._body.partition('"data":')[2][:-1])
        self._visit, self._id = str(data.visit_id), self._body.partition('"id":"')[2][:36]
        self._ids = Ids()

    def make(self) -> tuple[UUID, str]:
        """A visit's case and its event."""
        case = self._ids.new()
        body = self._body.replace(self._visit, str(uuid4())).replace(self._case, str(case))
        return case, body.replace(self._id, str(self._ids.new()))


def run(ground: Ground, rate: float, seconds: float) -> Stream:
    """Stream into Relais's four services. Raises Wrong when something was lost or it never drains."""
    stream = Stream(rate, seconds)
    with ground.plot() as plot, house_on(ground, plot) as house:
        before = counts(plot)
        probes: list[tuple[float, UUID]] = []
        start = time.perf_counter()
        watcher = threading.Thread(target=_watch, args=(plot, probes, stream, start))
        watcher.start()
        _pour(plot, stream, probes, start)
        ended = time.perf_counter()
        probes.append((0.0, UUID(int=0)))  # no more will come
        watcher.join()
        stream.drained = time.perf_counter() - ended
        _check(plot, stream, before)
        stream.megabytes = {name: peak_megabytes(pid) for name, pid in pids(house).items()}
    return stream


def _pour(plot: Plot, stream: Stream, probes: list[tuple[float, UUID]], start: float) -> None:
    """Commit what is due, twenty times a second, as a transaction of intake would."""
    template, database = _Template(), plot.database("intake")
    probed = purged = 0.0
    total = int(stream.rate * stream.seconds)
    with plot.channel() as channel:
        while stream.visits < total:
            now = time.perf_counter() - start
            due = min(total, int(now * stream.rate)) - stream.visits
            made = [template.make() for _ in range(due)]
            with database.transaction(), database.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_xact_lock(%s)", [APPENDING])
                with cursor.copy("COPY outbox (type, routing_key, body, created_at) FROM STDIN") as rows:
                    for _, body in made:
                        rows.write_row((VisitRecorded.TYPE, VisitRecorded.name(), body, datetime.now(UTC)))
            stream.visits += due
            if made and now - probed >= _PROBE_SECONDS:
                probes.append((time.perf_counter() - start, made[-1][0]))
                probed = now
            if now - purged >= _PURGE_SECONDS:
                channel.queue_purge(PARTNER_QUEUE)  # a partner that reads would cost a processor
                purged = now
            time.sleep(max(0.0, start + now + _TICK_SECONDS - time.perf_counter()))


def _watch(plot: Plot, probes: list[tuple[float, UUID]], stream: Stream, start: float) -> None:
    """Note when each probe has arrived, in their order."""
    with ExitStack() as stack:
        databases = {
            service: stack.enter_context(psycopg.connect(plot.dsn(service), autocommit=True)) for service in _ARRIVED
        }
        place = 0
        while True:
            if place == len(probes):
                time.sleep(_TICK_SECONDS)
                continue
            committed, case = probes[place]
            if not case.int:
                return
            if all(_found(database, _ARRIVED[service], case) for service, database in databases.items()):
                stream.lags.append((committed, time.perf_counter() - start - committed))
                place += 1
            elif time.perf_counter() - start - committed > 60 + stream.seconds:
                return
            else:
                time.sleep(_TICK_SECONDS)


def _found(database: psycopg.Connection[Any], query: LiteralString, case: UUID) -> bool:
    row = database.execute(query, {"case": case}).fetchone()
    return bool(row and row[0])


def _check(plot: Plot, stream: Stream, before: dict[str, dict[str, int]]) -> None:
    """All is written, once. Raises Wrong."""
    deadline = time.monotonic() + 60
    while True:
        after = counts(plot)
        wrong = {
            f"{service}.{table}": after[service][table] - before[service][table]
            for service, tables in EXPECTED.items()
            for table, each in tables.items()
            if after[service][table] - before[service][table] != each * stream.visits
        }
        if not wrong:
            return
        if time.monotonic() > deadline:
            raise Wrong(f"of {stream.visits} visits: {wrong}")
        time.sleep(0.5)
