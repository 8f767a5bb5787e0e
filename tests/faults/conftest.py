"""A house of their own for tests that break things: nobody else's services are disturbed.

Four modules share it, since a house takes seconds to start; each test leaves it running, and finds it so.
"""

from collections.abc import Callable, Iterator

import pytest

from services.chassis.postgres import EmbeddedPostgres
from services.contracts.topology import SERVICES
from tests.support.books import Books
from tests.support.broker import vhost_of
from tests.support.databases import server_of
from tests.support.house import House
from tests.support.rabbit import Rabbit

RETRY_DELAYS = "0.3,0.9,1.8"


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedPostgres]:
    """Start a PostgreSQL that only this module uses, and may break."""
    with server_of(*SERVICES) as server:
        yield server


@pytest.fixture(scope="module")
def vhost(vhosts: Callable[[], str]) -> str:
    """Lend the module a vhost."""
    return vhosts()


@pytest.fixture(scope="session")
def breakable(lasting_houses: Callable[..., House]) -> House:
    """Make the house; `own_house` starts it."""
    return lasting_houses(RELAIS_RETRY_DELAYS=RETRY_DELAYS)


@pytest.fixture
def own_house(breakable: House) -> House:
    """Lend the house with all four services running, whatever the test before left of it."""
    if dead := [name for name in SERVICES if not breakable.alive(name)]:
        breakable.start(*dead)
    return breakable


@pytest.fixture
def books(own_house: House, rabbit: Rabbit) -> Books:
    """Open the books of the house."""
    return Books(own_house, rabbit, vhost_of(own_house.environment["RELAIS_AMQP_URL"]))
