"""A service's belongings without a service: the chassis's tables on a fresh database of the real server."""

import os
from collections.abc import Callable, Iterator

import pytest

from services.chassis.app import App
from services.chassis.database import Database
from services.chassis.settings import Settings
from services.chassis.tables import metadata
from services.chassis.vault import Vault


@pytest.fixture
def database(databases: Callable[[], dict[str, str]]) -> Iterator[Database]:
    """Open an empty database with the chassis's tables."""
    database = Database(databases()["intake"], "test")
    metadata.create_all(database.engine)
    yield database
    database.close()


@pytest.fixture
def app(database: Database) -> App:
    """Make the App of a service that has nothing but the chassis's tables."""
    return App("intake", Settings(), database, Vault(os.urandom(32)))
