"""What a consumer remembers in its database."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import ClassVar

import pytest
from sqlalchemy import select, text

from services.chassis import inbox
from services.chassis.database import Database
from services.chassis.inbox import Failure
from services.chassis.tables import failures
from services.contracts.envelope import CONTENT_TYPE, CloudEvent, EventData
from tests.support.house import eventually

NOW = datetime(2026, 11, 20, 8, 30, tzinfo=UTC)
LATER = NOW + timedelta(minutes=1)
QUEUE = "intake.Happened"


class Happened(EventData):
    """An event of no service."""

    TYPE: ClassVar[str] = "fr.relais.Happened.v1"
    SERVICE: ClassVar[str] = "intake"


def received(id_: str, source: str = "/relais/intake") -> CloudEvent[Happened]:
    """An event as read from a message."""
    return CloudEvent(id=id_, source=source, type=Happened.TYPE, time=NOW, data=Happened())


def admitted(database: Database, *events: CloudEvent[Happened]) -> list[str]:
    """Admit in one transaction; the ids of those that are new."""
    with database.begin() as connection:
        return [one.id for one in inbox.admit(connection, events)]


def failure(id_: str | None = "1", due_at: datetime | None = LATER, queue: str = QUEUE) -> Failure:
    """An event that failed once."""
    return Failure(queue, CONTENT_TYPE, b'{"id": "1"}', 1, "ValueError", due_at, "/relais/intake" if id_ else None, id_)


def remember(database: Database, *failed: Failure, at: datetime = NOW) -> list[int]:
    """Write failures down; the numbers of all that are known."""
    with database.begin() as connection:
        for one in failed:
            inbox.remember(connection, one, at)
        return [row.number for row in connection.execute(select(failures).order_by(failures.c.number))]


def test_each_new_event_is_admitted_once_and_in_order(database: Database) -> None:
    """However often it comes, in one batch or in several."""
    batch = [received(id_) for id_ in "cabcadaab"]
    assert admitted(database, *batch) == ["c", "a", "b", "d"]
    assert admitted(database, *batch, received("e")) == ["e"]
    assert admitted(database, *batch) == []


def test_the_same_id_of_two_sources_is_two_events(database: Database) -> None:
    """An id is unique for its source only."""
    events = [received("a", "/relais/intake"), received("a", "/relais/referral"), received("a", "/relais/intake")]
    assert admitted(database, *events) == ["a", "a"]


def test_what_was_rolled_back_is_admitted_again(database: Database) -> None:
    """An event counts as handled from the commit of what it caused."""
    with pytest.raises(ZeroDivisionError), database.begin() as connection:
        assert inbox.admit(connection, [received("a")])
        raise ZeroDivisionError
    assert admitted(database, received("a")) == ["a"]


def test_of_two_consumers_at_once_one_admits(database: Database) -> None:
    """The second waits for the first one's commit, and then finds the event handled."""
    with ThreadPoolExecutor(1) as pool:
        with database.begin() as first:
            assert inbox.admit(first, [received("a")])
            second = pool.submit(admitted, database, received("a"), received("b"))
            eventually(lambda: _waiting(database))
        assert second.result(10) == ["b"]


def test_of_two_consumers_at_once_the_second_admits_what_the_first_gives_up(database: Database) -> None:
    """A failed transaction leaves no trace that would make another one skip the event."""
    with ThreadPoolExecutor(1) as pool:
        with pytest.raises(ZeroDivisionError), database.begin() as first:
            assert inbox.admit(first, [received("a")])
            second = pool.submit(admitted, database, received("a"))
            eventually(lambda: _waiting(database))
            raise ZeroDivisionError
        assert second.result(10) == ["a"]


def test_the_same_event_failing_again_replaces_what_was_known(database: Database) -> None:
    """One row for each event and queue; what could not be read has no id, and each is kept."""
    (first,) = remember(database, failure())
    (again,) = remember(database, replace(failure(), tries=2, reason="KeyError", due_at=None), at=LATER)
    assert again == first
    with database.begin() as connection:
        (row,) = inbox.parked(connection)
        assert (row.tries, row.reason, row.failed_at, row.body) == (2, "KeyError", LATER, b'{"id": "1"}')
    assert len(remember(database, failure(queue="intake.Other"))) == 2
    assert len(remember(database, failure(None), failure(None))) == 4


def test_a_failure_is_due_in_its_turn_and_in_its_own_queue(database: Database) -> None:
    """The longest overdue first; never one that is parked."""
    second, first = NOW - timedelta(seconds=1), NOW - timedelta(seconds=2)
    remember(database, failure("b", second), failure("a", first), failure("late", LATER), failure("parked", None))
    remember(database, failure("z", first - timedelta(1), queue="intake.Other"))
    taken = []
    with database.begin() as connection:
        while row := inbox.take_due(connection, QUEUE, NOW):
            taken.append(row.id)
            assert inbox.forget(connection, row.number)
        assert not inbox.forget(connection, 10_000)
    assert taken == ["a", "b"]


def test_two_replicas_never_try_the_same_failure_at_once(database: Database) -> None:
    """The second passes over what the first one holds, and waits for nothing."""
    remember(database, failure("a", NOW), failure("b", NOW + timedelta(microseconds=1)))
    with database.begin() as one, database.begin() as other, database.begin() as third:
        now = NOW + timedelta(seconds=1)
        first, second = inbox.take_due(one, QUEUE, now), inbox.take_due(other, QUEUE, now)
        assert first is not None
        assert second is not None
        assert (first.id, second.id) == ("a", "b")
        assert inbox.take_due(third, QUEUE, now) is None


def test_a_postponed_failure_waits_or_is_parked(database: Database) -> None:
    """With its tries and its last reason."""
    (number,) = remember(database, failure(due_at=NOW))
    with database.begin() as connection:
        inbox.postpone(connection, number, tries=2, reason="KeyError", due_at=LATER)
        assert inbox.take_due(connection, QUEUE, NOW) is None
        assert inbox.count_parked(connection) == 0
        inbox.postpone(connection, number, tries=3, reason="OSError", due_at=None)
        assert inbox.take_due(connection, QUEUE, LATER) is None
        (row,) = inbox.parked(connection, number)
        assert (row.tries, row.reason) == (3, "OSError")


def test_a_replay_is_due_at_once_as_if_it_had_never_failed(database: Database) -> None:
    """Twice is once; what is not parked or not there is not counted."""
    waiting, parked = remember(database, failure("waiting"), replace(failure("parked", None), tries=6))
    with database.begin() as connection:
        assert inbox.count_parked(connection) == 1
        assert inbox.replay(connection, [waiting, parked, 10_000], LATER) == 1
        assert inbox.replay(connection, [parked], LATER) == 0
        assert inbox.count_parked(connection) == 0
        row = inbox.take_due(connection, QUEUE, LATER + timedelta(minutes=5))
        assert row is not None
    with database.begin() as connection:
        rows = connection.execute(select(failures.c.id, failures.c.tries, failures.c.due_at)).all()
    assert set(map(tuple, rows)) == {("waiting", 1, LATER), ("parked", 0, LATER)}


def test_parked_messages_are_listed_oldest_first_without_their_bodies(database: Database) -> None:
    """A body may hold coded facts about a person; its size is told."""
    remember(database, failure("a", None), failure("b"), failure(None, None), failure("c", None))
    with database.begin() as connection:
        listed = inbox.parked_facts(connection)
        assert inbox.count_parked(connection) == 3
        assert inbox.parked(connection, 10_000) == []
    assert [row["id"] for row in listed] == ["a", None, "c"]
    assert listed[0] == {
        "number": 1,
        "queue": QUEUE,
        "id": "a",
        "tries": 1,
        "reason": "ValueError",
        "failed_at": NOW,
        "bytes": 11,
    }


def test_any_bytes_can_be_parked(database: Database) -> None:
    """Not only text."""
    body = bytes(range(256)) * 4
    (number,) = remember(database, replace(failure(None, None), body=body))
    with database.begin() as connection:
        assert inbox.parked(connection, number)[0].body == body


def _waiting(database: Database) -> bool:
    """Whether one transaction waits for another's row."""
    with database.begin() as connection:
        return bool(connection.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted")))
