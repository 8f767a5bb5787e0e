"""Houses of their own for tests that break things: nobody else's services are disturbed."""

from collections.abc import Callable, Iterator

import pytest

from tests.support.books import Books
from tests.support.broker import vhost_of
from tests.support.house import House
from tests.support.rabbit import Rabbit

RETRY_DELAYS = "0.3,0.9,1.8"


@pytest.fixture(scope="module")
def own_house(houses: Callable[..., House]) -> Iterator[House]:
    """Start a house for one module, and stop it when the module is done: two cores are few."""
    house = houses(RELAIS_RETRY_DELAYS=RETRY_DELAYS)
    house.start()
    yield house
    house.stop()


@pytest.fixture(scope="module")
def books(own_house: House, rabbit: Rabbit) -> Books:
    """Open the books of the module's house."""
    return Books(own_house, rabbit, vhost_of(own_house.environment["RELAIS_AMQP_URL"]))
