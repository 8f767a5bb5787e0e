"""Referral's handlers on a fresh database of the real server."""

from collections.abc import Callable, Iterator

import pytest

from services.chassis.database import Database
from services.chassis.migrate import migrate
from tests.support.office import Desk


@pytest.fixture
def desk(databases: Callable[[], dict[str, str]]) -> Iterator[Desk]:
    """Lend a desk whose clock stands at a Friday morning."""
    database = Database(databases()["referral"], "test")
    migrate(database, "referral")
    yield Desk(database)
    database.close()
