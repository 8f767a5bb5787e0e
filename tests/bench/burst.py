"""A burst: N visits wait in intake's outbox behind a shut gate; timed from its opening until all is written.

The finish line: every visit is in reporting with its proposal and its referral, intake knows the referral, and the
broker has confirmed every event inside and to the partner. Then the books are checked: whoever lost, doubled or skipped
something is an error.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import LiteralString, Protocol

from services.contracts.topology import SERVICES, queue_of, taken_from
from tests.bench.ground import Gate, Ground, Plot
from tests.bench.meters import HARNESS, Meter, peak_megabytes
from tests.bench.seeds import PARTNER, Seed, fill

PARTNER_QUEUE = f"out.{PARTNER}"
QUEUES = [queue_of(service, publisher) for service in SERVICES for publisher in taken_from(service)]
_POLL_SECONDS = 0.02
_SETTLE_SECONDS = 0.5
Counts = dict[str, dict[str, int]]
# What one visit leads to, table by table.
EXPECTED: Counts = {
    "intake": {"outbox": 1, "inbox": 1, "sent_referrals": 1},
    "orientation": {"inbox": 1, "outbox": 1},
    "referral": {"inbox": 1, "referrals": 1, "history": 1, "outbox": 2},
    "reporting": {"inbox": 3, "visits": 1, "needs": 1, "proposals": 1, "referral_steps": 1},
}
_TOLD = """SELECT EXISTS (SELECT FROM visits WHERE "case" = %(case)s)
    AND EXISTS (SELECT FROM proposals WHERE "case" = %(case)s)
    AND EXISTS (SELECT FROM referral_steps WHERE "case" = %(case)s)"""
_HEARD = "SELECT EXISTS (SELECT FROM sent_referrals WHERE case_id = %(case)s)"
# All that is in the outbox, inside and to partners.
CONFIRMED: LiteralString = """SELECT coalesce((SELECT position FROM marks WHERE name = 'relay'), 0)
        = coalesce((SELECT max(position) FROM outbox WHERE recipient IS NULL), 0)
    AND coalesce((SELECT position FROM marks WHERE name = 'relay.partners'), 0)
        = coalesce((SELECT max(position) FROM outbox WHERE recipient IS NOT NULL), 0)"""
_PUBLISHING = ("intake", "orientation", "referral")


class Wrong(Exception):
    """A contestant lost, doubled or never finished something; its figure does not count."""


class Contestant(Protocol):
    """Four processes that do a visit's way. `share` is its part of a burst: a slow one gets fewer visits."""

    name: str
    label: str
    share: float

    def prepare(self, ground: Ground, number: int) -> None:
        """Called once, before the rounds."""
        ...

    def seeds(self, number: int) -> Sequence[Seed]:
        """The visits of a burst."""
        ...

    def running(self, ground: Ground, plot: Plot) -> AbstractContextManager[Mapping[str, int]]:
        """Start the processes, wait until they are ready, give name -> pid, end them."""
        ...


@dataclass(frozen=True)
class Figures:
    """One round of one contestant."""

    contestant: str
    visits: int
    seconds: float
    cpu: dict[str, float] = field(default_factory=dict)
    megabytes: dict[str, float] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        """Visits a second."""
        return self.visits / self.seconds

    @property
    def cost(self) -> float:
        """Processor time of all but the harness, in µs a visit."""
        return sum(self.micros(group) for group in self.cpu if group != HARNESS)

    def micros(self, group: str) -> float:
        """Processor time of a group, in µs a visit."""
        return self.cpu.get(group, 0.0) / self.visits * 1e6


def run(
    ground: Ground, contestant: Contestant, number: int, afterwards: Callable[[Plot], None] = lambda _: None
) -> Figures:
    """One round on ground of its own; `afterwards` may look at what was written. Raises Wrong."""
    with ground.plot() as plot:
        return run_on(ground, plot, contestant, number, afterwards)


def run_on(
    ground: Ground,
    plot: Plot,
    contestant: Contestant,
    number: int,
    afterwards: Callable[[Plot], None] = lambda _: None,
) -> Figures:
    """The same on ground that may have something on it already."""
    seeds = contestant.seeds(number)
    before = counts(plot)
    with contestant.running(ground, plot) as processes:
        gate = Gate(plot)
        fill(plot, seeds)
        ground.settle()
        meter = Meter(processes, ground.postmaster, ground.broker)
        time.sleep(_SETTLE_SECONDS)
        meter.start()
        began = time.perf_counter()
        gate.open()
        finished, cpu = finish(plot, meter, seeds, before)
        memory = {name: peak_megabytes(pid) for name, pid in processes.items()}
        gate.close()
        check(plot, number, before)
        afterwards(plot)
    return Figures(contestant.name, number, finished - began, cpu, memory)


def finish(plot: Plot, meter: Meter, seeds: Sequence[Seed], before: Counts) -> tuple[float, dict[str, float]]:
    """When the finish line was crossed, and the processor seconds until then. Raises Wrong when it never is.

    Indexed look-ups every 20 ms, and full counts once those succeed, which nobody's processor time includes.
    """
    last, number = seeds[-1].case, len(seeds)
    within = 30 + number / 40
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        looked = time.perf_counter()
        if (
            plot.rows("reporting", _TOLD, case=last)[0][0]
            and plot.rows("intake", _HEARD, case=last)[0][0]
            and all(plot.rows(service, CONFIRMED)[0][0] for service in _PUBLISHING)
        ):
            cpu = meter.seconds()
            if not any(_unexpected(plot, service, number, before) for service in SERVICES):
                return looked, cpu
        time.sleep(_POLL_SECONDS)
    raise Wrong(f"not finished within {within:.0f} s; rows are {counts(plot)}")


def check(plot: Plot, number: int, before: Counts) -> None:
    """Compare every table, every queue and every message to the partner with what must be there. Raises Wrong."""
    time.sleep(_SETTLE_SECONDS)
    wrong: dict[str, object] = {}
    for service in SERVICES:
        wrong |= _unexpected(plot, service, number, before)
        if failures := plot.count(service, "failures"):
            wrong[f"{service}.failures"] = failures
        if not plot.rows(service, CONFIRMED)[0][0]:
            wrong[f"{service}.marks"] = plot.rows(service, "SELECT name, position FROM marks")
    wrong |= {queue: left for queue, left in plot.depths(QUEUES).items() if left}
    wrong |= _deliveries(plot, number)
    if wrong:
        raise Wrong(f"{wrong}")


def counts(plot: Plot) -> Counts:
    """How many rows each table has."""
    return {service: {table: plot.count(service, table) for table in EXPECTED[service]} for service in SERVICES}


def _unexpected(plot: Plot, service: str, number: int, before: Counts) -> dict[str, int]:
    """How many rows were added to each table, where that is not what it should be."""
    added = {table: plot.count(service, table) - before[service][table] for table in EXPECTED[service]}
    return {f"{service}.{table}": count for table, count in added.items() if count != EXPECTED[service][table] * number}


def _deliveries(plot: Plot, number: int) -> dict[str, object]:
    """What is wrong with the messages in the partner's queue: each new referral exactly once, alone, persistent."""
    query = "SELECT id::text FROM referrals ORDER BY change DESC LIMIT %(number)s"
    wanted = {row[0] for row in plot.rows("referral", query, number=number)}
    found: list[str] = []
    with plot.channel() as channel:
        for method, properties, body in channel.consume(PARTNER_QUEUE, auto_ack=True, inactivity_timeout=1):
            if method is None:
                break
            found.append(json.loads(body)["data"]["referral_id"])
            if (properties.content_type, properties.delivery_mode) != ("application/cloudevents+json", 2):
                return {PARTNER_QUEUE: f"{properties}"}
            if len(found) == number:
                break
    left = plot.depths([PARTNER_QUEUE])[PARTNER_QUEUE]
    if len(found) + left != number or set(found) != wanted:
        return {PARTNER_QUEUE: f"{len(found)} messages and {left} more, {len(set(found) & wanted)} referrals"}
    return {}
