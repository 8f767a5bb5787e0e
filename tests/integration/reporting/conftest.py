"""Reporting's own belongings on a fresh database of the real server."""

from collections.abc import Callable, Iterator

import pytest

from services.chassis.app import App
from services.chassis.database import Database
from services.chassis.migrate import migrate
from services.chassis.settings import Settings


@pytest.fixture
def database(databases: Callable[[], dict[str, str]]) -> Iterator[Database]:
    """Make an empty database of reporting's."""
    made = Database(databases()["reporting"], "test")
    yield made
    made.close()


@pytest.fixture
def app(database: Database) -> App:
    """Reporting's own belongings on it, migrated."""
    migrate(database, "reporting")
    return App("reporting", Settings(), database)
