"""Broker or databases are away while visits keep coming: all recovers unaided, and no event is blamed for it."""

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from services.chassis.postgres import SUPERUSER, EmbeddedPostgres
from services.contracts.topology import SERVICES
from tests.support.books import Books
from tests.support.broker import vhost_of
from tests.support.crowd import Crowd, visitors
from tests.support.databases import server_of
from tests.support.house import House
from tests.support.rabbit import Rabbit

TEN_MINUTES = 600
MEGABYTES = 200
# What takes a consumer's database away, and what gives it back.
AWAY = {
    "referral": ("ALTER DATABASE {} ALLOW_CONNECTIONS false", "ALTER DATABASE {} ALLOW_CONNECTIONS true"),
    "reporting": (
        "ALTER DATABASE {} SET default_transaction_read_only = on",
        "ALTER DATABASE {} RESET default_transaction_read_only",
    ),
}
long = pytest.mark.parametrize(
    "seconds",
    [
        pytest.param(12, id="12 s"),
        pytest.param(TEN_MINUTES, id="10 min", marks=[pytest.mark.soak, pytest.mark.timeout(1200)]),
    ],
)


def trickle(house: House, seconds: float) -> Crowd:
    """Visits one by one, about as many as would come while `seconds` pass: 10 a second, or 1 for a long time."""
    pause = 1.0 if seconds > 60 else 0.1
    return Crowd(house, visitors(int(seconds / pause)), sizes=(1,), pause=pause, threads=1)


def recovered(crowd: Crowd, books: Books, what: str, tell: Callable[[str], None]) -> None:
    """Every visit answered has its effect once, no service has died, and nothing waits for another try."""
    took = books.settle(crowd.visitors, within=60.0)
    balance = books.balance(crowd.visitors)
    failed = {service: len(books.rows(service, "SELECT 1 FROM failures")) for service in SERVICES}
    parked = sum(failed.values())
    memory = max(crowd.house.memory(service, peak=True) for service in SERVICES)
    tell(
        f"{what}, {len(crowd.visitors)} visits: {balance}; {parked} parked; settled {took:.1f} s after its return;"
        f" no service took more than {memory:.0f} MB"
    )
    assert balance.even, str(balance)
    assert not parked, failed
    assert all(crowd.house.alive(service) for service in SERVICES)
    assert memory < MEGABYTES


@long
def test_consumers_wait_for_their_databases(
    own_house: House, books: Books, postgres: EmbeddedPostgres, seconds: float, tell: Callable[[str], None]
) -> None:
    """One lets nobody in, one turns read-only, and events arrive: none comes back so often that it is given up."""
    crowd = trickle(own_house, seconds)
    names = {service: own_house.databases[service].rpartition("/")[2].partition("?")[0] for service in AWAY}
    pauses = {service: own_house.log(service).count("consumer paused") for service in AWAY}
    tries = own_house.log("referral").count("relay paused")
    crowd.start()
    crowd.wait_for(20)
    began = time.monotonic()
    try:
        for service, (take, _) in AWAY.items():
            administer(postgres, take, names[service])
        crowd.finish(within=2 * seconds + 60)
    finally:
        for service, (_, give_back) in AWAY.items():
            administer(postgres, give_back, names[service])
    tries = own_house.log("referral").count("relay paused") - tries
    took = time.monotonic() - began
    tell(f"referral's two relays tried {tries} times in {took:.0f} s")
    # Each after 0.2, 0.5, 1 and 2 s, then every 5.
    assert 2 < tries <= 2 * (5 + took / 5)
    for service, before in pauses.items():
        paused = own_house.log(service).count("consumer paused") - before
        tell(f"{service} paused {paused} times")
        assert paused > 2
    assert crowd.retries == 0
    recovered(crowd, books, f"two databases away for {seconds} s", tell)


@pytest.fixture
def server() -> Iterator[EmbeddedPostgres]:
    """Start a PostgreSQL that only this test's house uses."""
    with server_of(*SERVICES) as server:
        yield server


@pytest.fixture
def house(server: EmbeddedPostgres, rabbit: Rabbit, vhosts: Callable[[], str]) -> Iterator[House]:
    """Start a house on that server, with the delays between tries that production has."""
    folder = Path(tempfile.mkdtemp(prefix="relais-test-"))
    urls = {service: server.url(service, service) for service in SERVICES}
    house = House(folder, rabbit.url(vhosts()), urls, RELAIS_RETRY_DELAYS="1,5,30,120,600")
    house.start()
    yield house
    house.close()
    shutil.rmtree(folder)


@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_ten_minutes_without_the_database_server(
    house: House, server: EmbeddedPostgres, rabbit: Rabbit, tell: Callable[[str], None]
) -> None:
    """Sites read 503 and send again; what had been answered before is not forgotten."""
    books = Books(house, rabbit, vhost_of(house.environment["RELAIS_AMQP_URL"]))
    crowd = trickle(house, 120)
    crowd.start()
    crowd.wait_for(40)
    server.stop("immediate")
    time.sleep(TEN_MINUTES)
    server.start()
    crowd.finish(within=300)
    assert crowd.retries > 0
    recovered(crowd, books, "PostgreSQL away for 10 min", tell)


@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_ten_minutes_without_the_broker(house: House, rabbit: Rabbit, tell: Callable[[str], None]) -> None:
    """Killed as by a power cut: every post is answered at once all the same, and the backlog drains by itself."""
    books = Books(house, rabbit, vhost_of(house.environment["RELAIS_AMQP_URL"]))
    crowd = trickle(house, TEN_MINUTES)
    crowd.start()
    crowd.wait_for(20)
    time.sleep(3)  # a queue declared a moment before a SIGKILL may be forgotten
    rabbit.kill()
    try:
        crowd.finish(within=TEN_MINUTES + 300)
    finally:
        rabbit.start()
    assert crowd.retries == 0
    recovered(crowd, books, "RabbitMQ away for 10 min", tell)


def administer(server: EmbeddedPostgres, statement: str, database: str) -> None:
    """Change a database, and end its sessions so that they notice."""
    url = server.url("postgres", SUPERUSER).replace("postgresql+psycopg://", "postgresql://")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL(statement).format(sql.Identifier(database)))
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [database])
