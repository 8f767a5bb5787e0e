"""The broker runs short of disk or memory and blocks who publishes: sites notice nothing, and the backlog drains."""

import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

from services.contracts.topology import SERVICES
from tests.support.books import Books
from tests.support.crowd import Crowd, visitors
from tests.support.house import House, eventually
from tests.support.rabbit import ALARMS, Rabbit

STOPS_WITHIN = 10.0
_COUNTED = "SELECT visit_id FROM visits WHERE visit_id::text = ANY(%s)"


def readiness(house: House, service: str) -> dict[str, Any]:
    """What /readyz says, which must be that the service is ready."""
    answer = house.client.get(f"{house.url(service)}/readyz")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def blocked(house: House, service: str) -> bool:
    """Whether a service tells ops teams that the broker blocks it, in both places."""
    gauge = f'relais_broker_blocked{{service="{service}"}} 1.0' in house.metrics(service)
    return gauge and readiness(house, service).get("broker", "").startswith("blocked")


def connections(rabbit: Rabbit, vhost: str, service: str) -> set[str]:
    """The broker's side of the connections on which a service publishes."""
    found = rabbit.api("GET", "/connections")
    named = f"relais-{service}"
    return {
        one["name"]
        for one in found
        if one.get("vhost") == vhost and one["client_properties"].get("connection_name") == named
    }


def duplicates(house: House) -> int:
    """How many events were delivered again, to anyone."""
    return sum(house.handled(service, "duplicate") for service in SERVICES)


def pending(house: House, service: str) -> int:
    """How many events wait in a service's outbox."""
    (line,) = [line for line in house.metrics(service).splitlines() if line.startswith("relais_outbox_pending{")]
    return int(float(line.rpartition(" ")[2]))


@pytest.mark.parametrize("kind", ALARMS)
def test_sites_are_answered_and_the_backlog_drains_by_itself(
    own_house: House, books: Books, rabbit: Rabbit, kind: str, tell: Callable[[str], None]
) -> None:
    """Every post is answered with 201 during the alarm; consumers go on; afterwards nothing is lost, nothing twice.

    Nothing is even sent twice: what was under way when the alarm began is confirmed once it ends.
    """
    before, across, during = (Crowd(own_house, visitors(number), pause=0.1) for number in (100, 300, 300))
    known = duplicates(own_house)
    own_house.signal("reporting", signal.SIGSTOP)
    before.start()
    before.finish()
    eventually(lambda: not pending(own_house, "intake"), within=30.0)
    across.start()
    across.wait_for(50)
    with rabbit.alarm(kind):
        since = time.monotonic()
        during.start()
        across.finish()
        during.finish()
        posted = time.monotonic() - since
        eventually(lambda: blocked(own_house, "intake"))
        # A gauge that took long to read is told again for a while.
        eventually(lambda: pending(own_house, "intake") >= 300, within=30.0)
        waiting = pending(own_house, "intake")
        own_house.signal("reporting", signal.SIGCONT)
        ids = [one.visit_id for one in before.visitors]
        eventually(lambda: len(books.rows("reporting", _COUNTED, ids)) == 100)
    everyone = [*before.visitors, *across.visitors, *during.visitors]
    took = books.settle(everyone)
    balance = books.balance(everyone)
    tell(
        f"{kind} alarm: at least 300 visits answered 201 in {posted:.1f} s, 100 older ones counted, {waiting} events"
        f" waited; {balance}; settled {took:.1f} s after the alarm"
    )
    assert across.retries == during.retries == 0
    assert waiting >= 300
    assert balance.even, str(balance)
    assert balance.delivered_again == 0
    assert duplicates(own_house) == known
    assert not blocked(own_house, "intake")
    assert readiness(own_house, "intake") == {"status": "ok"}


def test_a_service_ends_and_starts_during_an_alarm(
    own_house: House, books: Books, rabbit: Rabbit, tell: Callable[[str], None]
) -> None:
    """SIGTERM is not kept waiting by a broker that reads nothing; a service that starts then is ready, and waits."""
    crowd = Crowd(own_house, visitors(200))
    with rabbit.alarm("disk"):
        crowd.start()
        crowd.finish()
        eventually(lambda: blocked(own_house, "intake"))
        since = time.monotonic()
        codes = own_house.stop("intake")
        seconds = time.monotonic() - since
        own_house.start("intake")
        eventually(lambda: blocked(own_house, "intake"))
    took = books.settle(crowd.visitors)
    balance = books.balance(crowd.visitors)
    tell(f"intake stopped in {seconds:.1f} s during an alarm, and started; {balance}; settled {took:.1f} s after it")
    assert codes == {"intake": 0}
    assert seconds < STOPS_WITHIN
    assert balance.even, str(balance)


@pytest.mark.soak
@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", ALARMS)
def test_a_long_alarm_costs_neither_connections_nor_memory(
    own_house: House, books: Books, rabbit: Rabbit, kind: str, tell: Callable[[str], None]
) -> None:
    """100 s, beyond every timeout: intake waits on the one connection it had, while 10,000 visits are posted."""
    first, crowd = Crowd(own_house, visitors(200)), Crowd(own_house, visitors(10_000), sizes=(50,), pause=0.5)
    first.start()
    first.finish()
    books.settle(first.visitors)
    eventually(lambda: connections(rabbit, books.vhost, "intake"))
    known, memory = connections(rabbit, books.vhost, "intake"), own_house.memory("intake")
    seen: set[str] = set()
    until = time.monotonic() + 100
    with rabbit.alarm(kind):
        crowd.start()
        eventually(lambda: blocked(own_house, "intake"))
        while time.monotonic() < until:
            seen |= connections(rabbit, books.vhost, "intake")
            assert blocked(own_house, "intake")
            time.sleep(1)
        crowd.finish()
        grown = own_house.memory("intake", peak=True) - memory
        waiting = pending(own_house, "intake")
    took = books.settle(crowd.visitors, within=60.0)
    balance = books.balance(crowd.visitors)
    tell(
        f"{kind} alarm of 100 s, 10,000 visits answered during it: {waiting} events waited, {len(seen)} connection of"
        f" intake, {grown:.0f} MB more memory at most; {balance}; settled {took:.1f} s after the alarm"
    )
    assert crowd.retries == 0
    assert seen == known
    assert grown < 30
    assert balance.even, str(balance)
    assert balance.delivered_again == 0
