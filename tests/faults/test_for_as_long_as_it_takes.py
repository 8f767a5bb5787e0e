"""What takes minutes: a silence beyond every timeout, and five minutes in which everything dies again and again."""

import random
import time
from collections.abc import Callable

import pytest

from services.contracts.topology import SERVICES
from tests.support.books import Books
from tests.support.crowd import Crowd, Visitor, visitors
from tests.support.house import House
from tests.support.rabbit import Rabbit

pytestmark = pytest.mark.soak


@pytest.mark.timeout(300)
def test_a_broker_silent_beyond_every_timeout_is_waited_for(
    own_house: House, books: Books, rabbit: Rabbit, tell: Callable[[str], None]
) -> None:
    """Frozen for 100 s: confirms were given up and heartbeats missed, so that every connection is made anew."""
    crowd = Crowd(own_house, visitors(600))
    crowd.start()
    crowd.wait_for(200)
    rabbit.freeze()
    try:
        crowd.finish()
        time.sleep(100)
        assert all(own_house.alive(name) for name in SERVICES)
    finally:
        rabbit.thaw()
    took = books.settle(crowd.visitors, within=30.0)
    balance = books.balance(crowd.visitors)
    tell(f"broker frozen for 100 s during 600 visits: {balance}; settled {took:.1f} s after its return")
    assert crowd.retries == 0
    assert balance.even, str(balance)


@pytest.mark.timeout(900)
def test_five_minutes_of_sudden_deaths_lose_and_double_nothing(
    own_house: House, books: Books, rabbit: Rabbit, tell: Callable[[str], None]
) -> None:
    """Each service and the broker in turn, killed at random moments while visits keep coming."""
    chance = random.Random(80570)  # noqa: S311 - repeatable, not secret
    everyone: list[Visitor] = []
    deaths = dict.fromkeys((*SERVICES, "broker"), 0)
    until = time.monotonic() + 300
    while time.monotonic() < until:
        crowd = Crowd(own_house, visitors(300), pause=0.02)
        crowd.start()
        victim = chance.choice(list(deaths))
        crowd.wait_for(chance.randrange(20, 200))
        deaths[victim] += 1
        if victim == "broker":
            rabbit.kill()
            rabbit.start()
        else:
            own_house.kill(victim)
            own_house.start(victim)
        crowd.finish()
        everyone += crowd.visitors
    took = books.settle(everyone, within=60.0)
    balance = books.balance(everyone)
    told = ", ".join(f"{name} {number}" for name, number in deaths.items())
    tell(f"{len(everyone)} visits, killed: {told}: {balance}; settled {took:.1f} s after the last answer")
    assert min(deaths.values()) > 0
    assert balance.even, str(balance)
