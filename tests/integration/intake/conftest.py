"""Intake's handlers on a fresh database of the real server."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from services.chassis.database import Database
from services.chassis.migrate import migrate
from tests.support.counter import Counter


@pytest.fixture
def counter(databases: Callable[[], dict[str, str]], tmp_path: Path) -> Iterator[Counter]:
    """Lend a counter whose clock stands at a Friday morning."""
    database = Database(databases()["intake"], "test")
    migrate(database, "intake")
    yield Counter(database, tmp_path)
    database.close()
