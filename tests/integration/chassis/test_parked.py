"""Finding and dropping parked messages."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from services.chassis import inbox
from services.chassis.database import Database
from services.chassis.inbox import Failure
from services.contracts.envelope import CONTENT_TYPE

NOW = datetime(2026, 11, 20, 8, 30, tzinfo=UTC)
VISITS, ORIENTATIONS = "reporting.from-intake", "reporting.from-orientation"


@pytest.fixture
def parked(database: Database) -> Database:
    """Park four messages; a fifth waits for its next try."""
    with database.begin() as connection:
        for number, (queue, reason, due_at) in enumerate(
            (
                (VISITS, "IntegrityError at x", None),
                (VISITS, "not a valid event: age_band (enum)", None),
                (ORIENTATIONS, "IntegrityError at x", None),
                (VISITS, "IntegrityError at x", NOW),
                (VISITS, "100% wrong", None),
            ),
            1,
        ):
            one = Failure(queue, CONTENT_TYPE, b"elle a tout dit", 6, reason, due_at, "/relais/intake", str(number))
            inbox.remember(connection, one, NOW - timedelta(days=number))
    return database


def found(database: Database, queue: str | None = None, reason: str | None = None) -> list[int]:
    """The numbers of those that match."""
    with database.begin() as connection:
        return [row["number"] for row in inbox.parked_facts(connection, queue, reason)]


def test_parked_messages_are_found_by_queue_and_by_words_of_their_reason(parked: Database) -> None:
    """Case does not matter, and no character is a wildcard."""
    assert found(parked) == [1, 2, 3, 5]
    assert found(parked, VISITS) == [1, 2, 5]
    assert found(parked, None, "INTEGRITY") == [1, 3]
    assert found(parked, ORIENTATIONS, "integrity") == [3]
    assert found(parked, None, "%") == [5]
    assert found(parked, "reporting.Visit") == []


def test_what_is_told_of_them_is_not_what_they_say(parked: Database) -> None:
    """A body may hold coded facts about a person; its size is told."""
    with parked.begin() as connection:
        facts = inbox.parked_facts(connection)[1]
    assert facts == {
        "number": 2,
        "queue": VISITS,
        "id": "2",
        "tries": 6,
        "reason": "not a valid event: age_band (enum)",
        "failed_at": NOW - timedelta(days=2),
        "bytes": 15,
    }


def test_only_what_is_parked_is_dropped(parked: Database) -> None:
    """Not what waits for its next try, nor what is not there."""
    with parked.begin() as connection:
        assert inbox.drop(connection, [1, 4, 5, 99]) == 2
        assert inbox.drop(connection, [1, 4, 5, 99]) == 0
        assert connection.scalar(text("SELECT count(*) FROM failures")) == 3
    assert found(parked) == [2, 3]
