"""What a crash left unpublished is what the next relay reads first, also when the crashed one still holds the lock."""

import time
from collections.abc import Callable

import pytest
from sqlalchemy import text

from services.chassis.database import Database
from services.chassis.relay import _LOCKS, INSIDE
from tests.support.books import Books
from tests.support.crowd import Crowd, visitors
from tests.support.house import House

pytestmark = pytest.mark.soak


@pytest.mark.timeout(200)
def test_a_frozen_replica_gives_way_to_another(own_house: House, books: Books, tell: Callable[[str], None]) -> None:
    """Whoever holds the right to publish and says nothing loses it after 60 s: PostgreSQL ends its session."""
    frozen = Database(own_house.databases["intake"], "frozen")
    crowd = Crowd(own_house, visitors(40), sizes=(20,))
    with frozen.engine.connect() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCKS[INSIDE]})
        since = time.monotonic()
        crowd.start()
        crowd.finish()
        time.sleep(5)
        ids = [one.visit_id for one in crowd.visitors]
        assert books.rows("reporting", "SELECT visit_id FROM visits WHERE visit_id::text = ANY(%s)", ids) == []
        books.settle(crowd.visitors, within=90.0)
        took = time.monotonic() - since
        connection.invalidate()
    frozen.close()
    balance = books.balance(crowd.visitors)
    tell(f"a session held the relay's lock and said nothing: all was published {took:.0f} s later; {balance}")
    assert 55 < took < 80
    assert balance.even, str(balance)
