"""What failed in an earlier release, when each event had a queue of its own, is found by the queue that it has now."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from alembic import command
from sqlalchemy import select

from services.chassis import inbox
from services.chassis.database import Database
from services.chassis.inbox import Failure
from services.chassis.migrate import config_of, migrate
from services.chassis.tables import failures
from services.contracts import topology
from services.contracts.envelope import CONTENT_TYPE

BEFORE = {"intake": "0004", "orientation": "0007", "referral": "0008", "reporting": "0007"}
NOW = datetime(2026, 11, 20, 8, 30, tzinfo=UTC)


@pytest.mark.parametrize("service", topology.SERVICES)
def test_failures_follow_their_events(databases: Callable[[], dict[str, str]], service: str) -> None:
    """Of every event that the service takes; one that could not be read, too."""
    events = topology.SUBSCRIPTIONS[service]
    database = Database(databases()[service], "test")
    with database.begin() as connection:
        config = config_of(service)
        config.attributes["connection"] = connection
        command.upgrade(config, BEFORE[service])
        for number, event in enumerate(events):
            known = {"source": f"/relais/{event.SERVICE}", "id": str(number)} if number else {}
            one = Failure(f"{service}.{event.name()}", CONTENT_TYPE, b"{}", 1, "r", None, **known)
            inbox.remember(connection, one, NOW)
    migrate(database, service)
    with database.begin() as connection:
        found = connection.scalars(select(failures.c.queue).order_by(failures.c.number)).all()
    database.close()
    assert found == [topology.queue_of(service, event.SERVICE) for event in events]
