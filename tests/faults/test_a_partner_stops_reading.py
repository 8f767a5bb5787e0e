"""A partner that reads no more: its queue drops its oldest when full, nobody else notices, and its ledger has all."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from statistics import median, quantiles

import pika
import pytest

from services.contracts.topology import SERVICES
from tests.support.arrivals import Arrivals, arrivals
from tests.support.books import Books
from tests.support.broker import vhost_of
from tests.support.crowd import HOUSING, SITE, YOUNG
from tests.support.house import House, eventually, need, visit
from tests.support.rabbit import Rabbit

STOPPED, OTHER = "mission-locale-santerre", "departement-80"
MOST_MEMORY = 200.0
_LEDGER = "SELECT body::json ->> 'id' FROM outbox WHERE recipient = %s ORDER BY position"
_STATES = "SELECT id::text FROM referrals WHERE partner = %s AND state = 'sent'"
_NEEDS = {STOPPED: [need(YOUNG)], "both": [need(YOUNG), need(HOUSING)]}


@dataclass(frozen=True)
class Stand:
    """A house, and the queue of the partner that stops."""

    house: House
    books: Books
    rabbit: Rabbit

    @property
    def url(self) -> str:
        """Where partners connect."""
        return self.house.environment["RELAIS_AMQP_URL_PARTNERS"]

    def reading(self, *partners: str) -> AbstractContextManager[Arrivals]:
        """These partners read."""
        return arrivals(self.url, *(f"out.{partner}" for partner in partners))

    def limit(self, length: int) -> None:
        """Let the queue hold less than it was declared for."""
        policy = {"pattern": f"^out\\.{STOPPED}$", "definition": {"max-length": length}, "apply-to": "queues"}
        self.rabbit.api("PUT", f"/policies/{vhost_of(self.url)}/short", policy)

    def unlimit(self) -> None:
        """Let it hold again what it was declared for."""
        self.rabbit.api("DELETE", f"/policies/{vhost_of(self.url)}/short")

    def waiting(self) -> int:
        """How many messages it holds."""
        return self.rabbit.depth(vhost_of(self.url), f"out.{STOPPED}")

    def empty(self) -> None:
        """Throw away what it holds, once referral has declared it."""
        eventually(lambda: f"out.{STOPPED}" in self.rabbit.queues(vhost_of(self.url)))
        self.rabbit.api("DELETE", f"/queues/{vhost_of(self.url)}/out.{STOPPED}/contents")

    def fill(self, number: int) -> None:
        """Put copies of an event into it, past everybody, until it is full."""
        body = json.dumps(self.house.events(STOPPED, limit=1000)[0]).encode()
        with pika.BlockingConnection(pika.URLParameters(self.url)) as connection:
            channel = connection.channel()
            for _ in range(number):
                channel.basic_publish("", f"out.{STOPPED}", body, pika.BasicProperties(delivery_mode=2))
        eventually(lambda: self.waiting() == number, within=180.0, every=0.2)

    def delays(self, reading: Arrivals, number: int) -> list[float]:
        """Post visits for both partners one after the other; seconds from each 201 to the other's message."""
        found = []
        for _ in range(number + 5):
            assert self.house.post_visit(visit(needs=_NEEDS["both"])).status_code == 201
            answered = time.perf_counter()
            found.append(reading.next(f"out.{OTHER}").at - answered)
        return found[5:]  # the first ones wake the others up

    def more(self, visits: int) -> None:
        """Record visits for the partner alone, and wait until all of its events went to its queue."""
        (before,) = self.books.rows("referral", "SELECT count(*) FROM outbox WHERE recipient = %s", STOPPED)[0]
        for at in range(0, visits, 1000):
            bodies = [visit(needs=_NEEDS[STOPPED]) for _ in range(min(1000, visits - at))]
            assert {line["status"] for line in self.house.post_lines(SITE, bodies)} == {201}
        count = "SELECT count(*) FROM outbox WHERE recipient = %s"
        eventually(lambda: self.books.rows("referral", count, STOPPED) == [(before + visits,)], 600.0, 0.5)
        eventually(
            lambda: 'relais_outbox_pending{service="referral"} 0.0' in self.house.metrics("referral"), 600.0, 0.5
        )


@dataclass(frozen=True)
class Delays:
    """Seconds to the other partner's message while this one reads, and while its queue is full; by turns."""

    normal: list[list[float]]
    stopped: list[list[float]]

    def ratio(self, percentile: int) -> float:
        """How much longer it takes then, by the best of all turns: noise comes in bursts."""
        normal, stopped = (
            [quantiles(turn, n=100)[percentile - 1] for turn in turns] for turns in (self.normal, self.stopped)
        )
        return min(then / before for before, then in zip(normal, stopped, strict=True))


def delays_by_turns(stand: Stand, length: int, samples: int, turns: int, tell: Callable[[str], None]) -> Delays:
    """Measure while this partner reads, fill its queue, measure again; and so on."""
    found = Delays([], [])
    for _ in range(turns):
        with stand.reading(STOPPED, OTHER) as reading:
            found.normal.append(stand.delays(reading, samples))
        stand.fill(length)
        with stand.reading(OTHER) as reading:
            found.stopped.append(stand.delays(reading, samples))
        eventually(lambda: stand.waiting() == length)
        stand.empty()
    for name, blocks in (("reading", found.normal), (f"stopped with {length} waiting", found.stopped)):
        told = ", ".join(f"{1000 * median(block):.0f}/{1000 * quantiles(block, n=100)[98]:.0f}" for block in blocks)
        tell(f"ms to the other partner, this one {name}, p50/p99 of {samples} by turns: {told}")
    tell(f"p50 {found.ratio(50):.2f} times the normal one, p99 {found.ratio(99):.2f} times")
    return found


def nothing_is_lost(stand: Stand, length: int, visits: int, tell: Callable[[str], None]) -> None:
    """More than its queue holds: the oldest are dropped there, and paging over HTTP has every event and referral."""
    stand.more(visits)
    eventually(lambda: stand.waiting() == length)
    ledger = [row[0] for row in stand.books.rows("referral", _LEDGER, STOPPED)]
    started = time.monotonic()
    paged = [event["id"] for event in stand.house.events(STOPPED)]
    seconds = time.monotonic() - started
    states = {one["referral_id"] for one in stand.house.referrals("partner", STOPPED, limit="1000")}
    listed = time.monotonic() - started - seconds
    with stand.reading(STOPPED) as reading:
        kept = [reading.next(f"out.{STOPPED}").event["id"] for _ in range(length)]
    tell(
        f"{visits} events to a queue that holds {length}: {len(set(ledger) - set(kept))} of {len(ledger)} not in it any"
        f" more, {len(set(ledger) - set(paged))} lost over HTTP ({len(paged) / seconds:.0f} events/s,"
        f" {len(states) / listed:.0f} referrals/s)"
    )
    assert len(ledger) >= visits > length
    assert kept == ledger[-length:]
    assert paged == ledger
    assert states >= {row[0] for row in stand.books.rows("referral", _STATES, STOPPED)}


def memory(house: House, tell: Callable[[str], None]) -> None:
    """Tell the most that each service ever took, which is bounded."""
    taken = {service: house.memory(service, peak=True) for service in SERVICES}
    tell("at most resident: " + ", ".join(f"{service} {megabytes:.0f} MB" for service, megabytes in taken.items()))
    assert max(taken.values()) < MOST_MEMORY


@pytest.fixture
def stand(own_house: House, books: Books, rabbit: Rabbit) -> Iterator[Stand]:
    """Lend the house with a short queue, empty before and after."""
    found = Stand(own_house, books, rabbit)
    found.empty()
    found.limit(100)
    yield found
    found.unlimit()
    found.empty()


def test_a_full_queue_is_noticed_by_nobody_else(stand: Stand, tell: Callable[[str], None]) -> None:
    """A queue of 100 instead of 100,000: the other partner's messages come as ever, and this one's ledger has all."""
    stand.more(1)
    assert delays_by_turns(stand, 100, 25, 3, tell).ratio(50) <= 1.5
    nothing_is_lost(stand, 100, 250, tell)
    memory(stand.house, tell)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_a_hundred_thousand_waiting_are_noticed_by_nobody_else(
    houses: Callable[..., House], rabbit: Rabbit, tell: Callable[[str], None]
) -> None:
    """The real limit: the other partner's p99 within 1.2 of normal, memory bounded, every event in the ledger."""
    house = houses()
    house.start()
    stand = Stand(house, Books(house, rabbit, vhost_of(house.environment["RELAIS_AMQP_URL"])), rabbit)
    stand.more(1)
    stand.empty()
    assert delays_by_turns(stand, 100_000, 300, 5, tell).ratio(99) <= 1.2
    nothing_is_lost(stand, 100_000, 105_000, tell)
    memory(house, tell)
