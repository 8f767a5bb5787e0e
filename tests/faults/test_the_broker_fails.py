"""The broker is killed or frozen while visits are posted: sites notice nothing, and the flow resumes by itself."""

import time
from collections.abc import Callable

from services.contracts.topology import SERVICES
from tests.support.books import Books
from tests.support.crowd import Crowd, visitors
from tests.support.house import House
from tests.support.rabbit import Rabbit

RESUMED = 30.0


def test_a_broker_killed_again_and_again_is_waited_for(
    own_house: House, books: Books, rabbit: Rabbit, tell: Callable[[str], None]
) -> None:
    """SIGKILL of the node, three times, with messages in it: posts are still answered, nothing is lost or twice."""
    crowds = [Crowd(own_house, visitors(400)) for _ in range(3)]
    killed_at, resumed = [], []
    rabbit.write_down()
    for crowd in crowds:
        crowd.start()
        crowd.wait_for(150)
        rabbit.kill()
        killed_at.append(len(crowd.answers))
        crowd.finish()
        rabbit.start()
        resumed.append(books.settle(crowd.visitors, within=RESUMED))
    everyone = [visitor for crowd in crowds for visitor in crowd.visitors]
    balance = books.balance(everyone)
    tell(
        f"broker killed after {', '.join(map(str, killed_at))} of 400 visits each: {balance}; settled"
        f" {', '.join(f'{took:.1f}' for took in resumed)} s after its return"
    )
    assert max(killed_at) < 400
    assert all(crowd.retries == 0 for crowd in crowds)
    assert all(own_house.alive(name) for name in SERVICES)
    assert balance.even, str(balance)


def test_a_frozen_broker_is_waited_for(
    own_house: House, books: Books, rabbit: Rabbit, tell: Callable[[str], None]
) -> None:
    """SIGSTOP for twenty seconds: connections stay open and silent, posts are answered as fast as ever."""
    crowd = Crowd(own_house, visitors(600))
    crowd.start()
    crowd.wait_for(200)
    rabbit.freeze()
    try:
        frozen_at, since = len(crowd.answers), time.monotonic()
        crowd.finish()
        posted = time.monotonic() - since
        time.sleep(max(0.0, 20 - posted))
    finally:
        rabbit.thaw()
    took = books.settle(crowd.visitors, within=RESUMED)
    balance = books.balance(crowd.visitors)
    tell(
        f"broker frozen for 20 s after {frozen_at} of 600 visits: {balance}; the rest posted in {posted:.1f} s;"
        f" settled {took:.1f} s after its return"
    )
    assert frozen_at < 600
    assert crowd.retries == 0
    assert all(own_house.alive(name) for name in SERVICES)
    assert balance.even, str(balance)


def test_connections_cut_by_an_operator_come_back(
    own_house: House, books: Books, rabbit: Rabbit, tell: Callable[[str], None]
) -> None:
    """Whatever was under way on them is sent or handled again."""
    crowd = Crowd(own_house, visitors(600))
    crowd.start()
    for number in (150, 300, 450):
        crowd.wait_for(number)
        rabbit.close_connections(books.vhost)
    crowd.finish()
    took = books.settle(crowd.visitors, within=RESUMED)
    balance = books.balance(crowd.visitors)
    tell(f"connections cut 3 times during 600 visits: {balance}; settled {took:.1f} s after the last answer")
    assert all(own_house.alive(name) for name in SERVICES)
    assert balance.even, str(balance)
