"""Each service is killed, or told to stop, while visits are posted: what was answered is kept, and happens once."""

import time
from collections.abc import Callable

import pytest

from services.contracts.topology import SERVICES
from tests.support.books import Books
from tests.support.crowd import SITE, Crowd, visitors
from tests.support.house import House
from tests.support.rabbit import Rabbit

STOPS_WITHIN = 10.0


@pytest.mark.parametrize(
    "victim",
    # The others take a minute more; each is killed at its worst moments in test_killed_at_the_worst_moment.
    [pytest.param(each, marks=() if each == "referral" else pytest.mark.soak) for each in SERVICES],
)
def test_nothing_is_lost_or_doubled_when_a_service_is_killed(
    own_house: House, books: Books, victim: str, tell: Callable[[str], None]
) -> None:
    """Killed in the middle of 1,000 visits; sites send again what was not answered.

    Each visit answered is in intake's database, each need to refer has its referrals exactly once, reporting counts
    each once, and the partners' queues hold each referral sent at least once, always under the same source and id.
    """
    before = own_house.activity("spie-somme-santerre", site=SITE)["visits"]
    crowd = Crowd(own_house, visitors(1000))
    crowd.start()
    crowd.wait_for(400)
    own_house.kill(victim)
    killed_at = len(crowd.answers)
    own_house.start(victim)
    crowd.finish()
    took = books.settle(crowd.visitors)
    balance = books.balance(crowd.visitors)
    tell(
        f"{victim} killed after {killed_at} of 1000 visits: {balance}; {crowd.retries} posts sent again;"
        f" settled {took:.1f} s after the last answer"
    )
    assert killed_at < 1000
    assert balance.even, str(balance)
    assert own_house.activity("spie-somme-santerre", site=SITE)["visits"] - before == 1000


def test_a_service_told_to_stop_ends_in_time_and_loses_nothing(
    own_house: House, books: Books, tell: Callable[[str], None]
) -> None:
    """SIGTERM under load, one service after the other: each ends with code 0 before a supervisor would kill it."""
    crowds = [Crowd(own_house, visitors(250)) for _ in SERVICES]
    codes: dict[str, int] = {}
    seconds: dict[str, float] = {}
    for crowd, victim in zip(crowds, reversed(SERVICES), strict=True):
        crowd.start()
        crowd.wait_for(100)
        since = time.monotonic()
        codes |= own_house.stop(victim)
        seconds[victim] = time.monotonic() - since
        if victim != "intake":
            crowd.finish()
    own_house.start()
    crowds[-1].finish()
    everyone = [visitor for crowd in crowds for visitor in crowd.visitors]
    took = books.settle(everyone)
    balance = books.balance(everyone)
    times = ", ".join(f"{name} in {time_:.1f} s" for name, time_ in seconds.items())
    tell(f"stopped amid 1000 visits: {times}: {balance}; settled {took:.1f} s after the last answer")
    assert codes == dict.fromkeys(SERVICES, 0)
    assert max(seconds.values()) < STOPS_WITHIN
    assert balance.even, str(balance)


def test_services_told_to_stop_do_not_wait_for_a_frozen_broker(
    own_house: House, books: Books, rabbit: Rabbit, tell: Callable[[str], None]
) -> None:
    """Nobody answers their goodbye: they end in time all the same, and go on where they were after a restart."""
    crowd = Crowd(own_house, visitors(100))
    rabbit.freeze()
    try:
        crowd.start()
        crowd.finish()
        since = time.monotonic()
        codes = own_house.stop()
        seconds = time.monotonic() - since
    finally:
        rabbit.thaw()
    own_house.start()
    books.settle(crowd.visitors)
    balance = books.balance(crowd.visitors)
    tell(f"all four stopped in {seconds:.1f} s while the broker was frozen: {balance}")
    assert codes == dict.fromkeys(SERVICES, 0)
    assert seconds < STOPS_WITHIN
    assert balance.even, str(balance)
