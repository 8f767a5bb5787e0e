"""The outbox: what makes it a ledger that no reader can miss a row of."""

import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from services.chassis import outbox
from services.chassis.database import Database
from services.chassis.outbox import Entry
from tests.support.house import eventually

WRITERS, TRANSACTIONS = 8, 40
NOW = datetime(2026, 11, 20, 8, 30, tzinfo=UTC)


def inside(body: str) -> Entry:
    """An event for everyone inside."""
    return Entry(None, "fr.relais.Happened.v1", "Happened", body)


def to(recipient: str, body: str) -> Entry:
    """An event for one recipient outside."""
    return Entry(recipient, "fr.relais.Happened.v1", "Happened", body)


def write(database: Database, *entries: Entry, at: datetime = NOW) -> None:
    """Append in one transaction."""
    with database.begin() as connection:
        outbox.append(connection, entries, at)


def waiting(database: Database, mark: str = "reader", *, outside: bool = False, limit: int = 100) -> list[str]:
    """The bodies beyond a mark, in order."""
    with database.begin() as connection:
        return [row.body for row in outbox.waiting(connection, mark, outside=outside, limit=limit)]


def writers_waiting(database: Database) -> bool:
    """Whether a transaction waits for the right to number."""
    with database.begin() as connection:
        return bool(
            connection.scalar(text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"))
        )


def test_a_later_writer_waits_for_the_commit_of_an_earlier_one(database: Database) -> None:
    """Otherwise its row could be read first, and a reader that remembers it would never see the earlier one."""
    with ThreadPoolExecutor(1) as pool:
        with database.begin() as earlier:
            outbox.append(earlier, [inside("earlier")], NOW)
            later = pool.submit(write, database, inside("later"))
            eventually(lambda: writers_waiting(database))
            assert waiting(database) == []
            assert not later.done()
        later.result(10)
    assert waiting(database) == ["earlier", "later"]


def test_a_writer_that_gives_up_lets_the_next_one_through(database: Database) -> None:
    """Its number is lost, and no reader waits for it."""
    with ThreadPoolExecutor(1) as pool:
        with pytest.raises(ZeroDivisionError), database.begin() as failing:
            outbox.append(failing, [inside("never")], NOW)
            later = pool.submit(write, database, inside("later"))
            eventually(lambda: writers_waiting(database))
            raise ZeroDivisionError
        later.result(10)
    assert waiting(database) == ["later"]


def dawdling(database: Database, bodies: list[str], seconds: float, *, gives_up: bool) -> list[str]:
    """Append, wait before the commit, and perhaps give up; what was committed."""
    with suppress(ZeroDivisionError), database.begin() as connection:
        connection.execute(text("SELECT count(*) FROM marks"))  # a snapshot taken before the lock
        outbox.append(connection, [inside(body) for body in bodies], NOW)
        time.sleep(seconds)
        if gives_up:
            raise ZeroDivisionError
    return [] if gives_up else bodies


def following(database: Database, done: threading.Event) -> list[tuple[int, str]]:
    """Read by mark, a few rows at a time, until nothing comes any more; (position, body) as seen."""
    seen: list[tuple[int, str]] = []
    last_look = False
    while True:
        with database.begin() as connection:
            rows = outbox.waiting(connection, "reader", outside=False, limit=7)
            if rows:
                outbox.move(connection, "reader", rows[-1].position)
        seen += [(row.position, row.body) for row in rows]
        if last_look and not rows:
            return seen
        last_look = done.is_set()


def test_a_reader_by_mark_skips_nothing_whatever_writers_do(database: Database, tell: Callable[[str], None]) -> None:
    """Eight threads append and dawdle before their commits, some give up; a reader follows and sees all, in order."""
    chance = random.Random(20261120)  # noqa: S311 - repeatable, not secret
    plans = [
        [
            ([f"{writer}/{number}/{place}" for place in range(chance.randint(1, 4))], chance.random() / 250)
            for number in range(TRANSACTIONS)
        ]
        for writer in range(WRITERS)
    ]

    def write_all(plan: list[tuple[list[str], float]]) -> list[str]:
        written = [
            dawdling(database, bodies, seconds, gives_up=number % 10 == 9)
            for number, (bodies, seconds) in enumerate(plan)
        ]
        return [body for bodies in written for body in bodies]

    done = threading.Event()
    started = time.monotonic()
    with ThreadPoolExecutor(WRITERS + 1) as pool:
        reader = pool.submit(following, database, done)
        committed = [writing.result(60) for writing in [pool.submit(write_all, plan) for plan in plans]]
        done.set()
        seen = reader.result(60)
    tell(f"outbox: {len(seen)} rows of {WRITERS} writers in {time.monotonic() - started:.1f} s, none skipped")
    assert [position for position, _ in seen] == sorted({position for position, _ in seen})
    for writer, bodies in enumerate(committed):
        assert [body for _, body in seen if body.startswith(f"{writer}/")] == bodies
    assert len(seen) == sum(map(len, committed))


def test_a_recipient_pages_through_its_own_events_only(database: Database) -> None:
    """In commit order, from any position, whatever others get in between."""
    for number in range(5):
        write(database, inside("i"), to("one", f"one {number}"), to("other", "o"), to("one", f"one {number}, again"))
    read: list[str] = []
    position = 0
    with database.begin() as connection:
        while rows := outbox.after(connection, position, recipient="one", limit=3):
            assert len(rows) <= 3
            read += [row.body for row in rows]
            assert rows[0].position > position
            position = rows[-1].position
        assert read == [f"one {number}{suffix}" for number in range(5) for suffix in ("", ", again")]
        assert outbox.after(connection, 0, recipient="nobody", limit=3) == []


def test_the_two_lanes_have_marks_of_their_own(database: Database) -> None:
    """What is for a recipient is not relayed inside, and the other way round."""
    write(database, inside("inside 1"), to("one", "outside 1"), inside("inside 2"))
    assert waiting(database) == ["inside 1", "inside 2"]
    assert waiting(database, "partners", outside=True) == ["outside 1"]
    with database.begin() as connection:
        assert outbox.position_of(connection, "reader") == 0
        outbox.move(connection, "reader", outbox.waiting(connection, "reader", outside=False, limit=1)[0].position)
    assert waiting(database) == ["inside 2"]
    assert waiting(database, "partners", outside=True) == ["outside 1"]


def test_the_backlog_is_what_waits_beyond_the_mark_and_since_when(database: Database) -> None:
    """Rows kept as a ledger do not count; nothing waiting is no age at all."""
    with database.begin() as connection:
        assert outbox.backlog(connection, "reader", outside=False) == (0, 0.0)
    hour_ago = datetime.now(UTC) - timedelta(hours=1)
    write(database, inside("old"), to("one", "old"), at=hour_ago)
    write(database, inside("new"), inside("new"), at=hour_ago + timedelta(minutes=50))
    with database.begin() as connection:
        count, age = outbox.backlog(connection, "reader", outside=False)
        assert count == 3
        assert age == pytest.approx(3600, abs=5)
        assert outbox.backlog(connection, "partners", outside=True)[0] == 1
        outbox.move(connection, "reader", outbox.waiting(connection, "reader", outside=False, limit=1)[0].position)
        count, age = outbox.backlog(connection, "reader", outside=False)
        assert count == 2
        assert age == pytest.approx(600, abs=5)
        outbox.move(connection, "reader", outbox.waiting(connection, "reader", outside=False, limit=9)[-1].position)
        assert outbox.backlog(connection, "reader", outside=False) == (0, 0.0)


def test_a_long_backlog_is_told_soon_and_nearly(database: Database, tell: Callable[[str], None]) -> None:
    """300,000 rows of two lanes: exact up to 20,000 positions, within 5 % beyond, whatever the planner knows."""
    rows = (
        "INSERT INTO outbox (recipient, type, routing_key, body, created_at)"
        " SELECT CASE WHEN n % 3 = 0 THEN 'one' END, 't', 'k', '{}', now() FROM generate_series(1, 300000) AS n"
    )
    with database.begin() as connection:
        connection.execute(text("ALTER TABLE outbox SET (autovacuum_enabled = false)"))
        connection.execute(text(rows))
    for position, outside, waiting in ((100, False, 199_933), (100, True, 99_967), (290_000, False, 6666)):
        with database.begin() as connection:
            outbox.move(connection, "reader", position)
            started = time.perf_counter()
            count, _ = outbox.backlog(connection, "reader", outside=outside)
            took = time.perf_counter() - started
        tell(f"{waiting} rows waiting, {count} told in {took * 1000:.0f} ms")
        assert took < 5
        assert count == pytest.approx(waiting, rel=0.05)
        assert count == waiting or waiting > 20_000


def test_appending_nothing_makes_nobody_wait(database: Database) -> None:
    """A transaction without events takes no lock."""
    with database.begin() as first:
        outbox.append(first, [], NOW)
        write(database, inside("meanwhile"))
    assert waiting(database) == ["meanwhile"]
