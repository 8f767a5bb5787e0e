"""PostgreSQL crashes, fails over or runs out of room while visits are posted: nothing is lost, nothing is half done."""

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from services.chassis.postgres import SUPERUSER, EmbeddedPostgres
from services.contracts.topology import SERVICES
from tests.faults.conftest import RETRY_DELAYS
from tests.support.books import Books
from tests.support.crowd import Crowd, visitors
from tests.support.house import House, eventually
from tests.support.rabbit import Rabbit


@pytest.fixture(scope="module")
def own_house(server: EmbeddedPostgres, rabbit: Rabbit, vhost: str) -> Iterator[House]:
    """Start a house on that server."""
    folder = Path(tempfile.mkdtemp(prefix="relais-test-"))
    urls = {service: server.url(service, service) for service in SERVICES}
    house = House(folder, rabbit.url(vhost), urls, RELAIS_RETRY_DELAYS=RETRY_DELAYS)
    house.start()
    yield house
    house.close()
    shutil.rmtree(folder)


def test_a_crashed_server_is_waited_for(
    own_house: House, server: EmbeddedPostgres, books: Books, tell: Callable[[str], None]
) -> None:
    """Stopped at once, three times, and recovered: sites read 503 meanwhile, no service dies, every book is even."""
    crowd = Crowd(own_house, visitors(600))
    crowd.start()
    crashed_at = []
    for number in (100, 250, 400):
        crowd.wait_for(number)
        server.stop("immediate")
        crashed_at.append(len(crowd.answers))
        time.sleep(0.5)
        server.start()
    crowd.finish()
    took = books.settle(crowd.visitors)
    balance = books.balance(crowd.visitors)
    tell(
        f"PostgreSQL crashed after {', '.join(map(str, crashed_at))} of 600 visits: {balance};"
        f" {crowd.retries} posts sent again; settled {took:.1f} s after the last answer"
    )
    assert crashed_at[-1] < 600
    assert all(own_house.alive(name) for name in SERVICES)
    assert balance.even, str(balance)
    assert not any(books.rows(service, "SELECT * FROM failures") for service in SERVICES)


def test_a_server_that_turned_read_only_is_waited_for(
    own_house: House, server: EmbeddedPostgres, books: Books, tell: Callable[[str], None]
) -> None:
    """As after a failover to a standby: no event is blamed for it, and all are handled once it can write again."""
    crowd = Crowd(own_house, visitors(200))

    def pauses(service: str) -> int:
        return own_house.log(service).count("consumer paused")

    def has_paused(service: str, times: int) -> bool:
        return pauses(service) >= times

    paused = {service: pauses(service) for service in ("orientation", "reporting")}
    for service in paused:
        administer(server, "ALTER DATABASE {} SET default_transaction_read_only = on", service)
    crowd.start()
    crowd.finish()
    for service, before in paused.items():
        eventually(partial(has_paused, service, before + 2))
        assert own_house.alive(service)
        administer(server, "ALTER DATABASE {} SET default_transaction_read_only = off", service)
    took = books.settle(crowd.visitors)
    balance = books.balance(crowd.visitors)
    tell(f"two databases read-only during 200 visits: {balance}; settled {took:.1f} s after they could write")
    assert balance.even, str(balance)
    assert not any(books.rows(service, "SELECT * FROM failures") for service in paused)


def test_nothing_of_a_visit_is_there_without_the_rest(books: Books) -> None:
    """After all of the above: a visit has its event, a sent referral its two, and no more."""
    for service, table, event, factor in (
        ("intake", "visits", "VisitRecorded", 1),
        ("referral", "referrals WHERE state = 'sent'", "ReferralSent", 2),
    ):
        ((rows,),) = books.rows(service, f"SELECT count(*) FROM {table}")  # noqa: S608 - from the lines above
        ((events,),) = books.rows(service, "SELECT count(*) FROM outbox WHERE type LIKE %s", f"%{event}%")
        assert rows > 100
        assert events == factor * rows
    assert books.rows("referral", "SELECT count(*) FROM referrals") == books.rows(
        "referral", "SELECT count(*) FROM history"
    )


def administer(server: EmbeddedPostgres, statement: str, database: str) -> None:
    """Change a database, and end its sessions so that they notice."""
    url = server.url("postgres", SUPERUSER).replace("postgresql+psycopg://", "postgresql://")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL(statement).format(sql.Identifier(database)))
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [database])
