"""What has served its time is deleted: never an event that was not published, or that can still come again."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, text
from structlog.testing import capture_logs

from services.chassis import inbox, outbox, pruning
from services.chassis.app import App
from services.chassis.clock import Clock
from services.chassis.database import Database
from services.chassis.outbox import Entry
from services.chassis.pruning import Pruner
from services.chassis.relay import INSIDE, OUTSIDE
from services.chassis.settings import Settings
from services.chassis.tables import failures
from services.contracts.envelope import CONTENT_TYPE
from tests.support.house import eventually

NOW = datetime(2026, 11, 20, 8, 30, tzinfo=UTC)
OLD, YOUNG = NOW - timedelta(days=401), NOW - timedelta(days=399)
# Told by a partner or a person; found in no log.
TOLD = b'{"told": "elle a tout dit"}'


class Still(Clock):
    """A clock that stands still."""

    def now(self) -> datetime:
        """Always the same."""
        return NOW


@pytest.fixture
def app(database: Database) -> App:
    """Make the App of a service on a day of November, with the default retention."""
    return App("referral", Settings(ledger_days=400, parked_days=90), database, clock=Still())


@pytest.fixture
def pruner(app: App) -> Pruner:
    """Make its pruner, as of a service that publishes outside too."""
    return Pruner(app, relayed_outside=True)


def write(database: Database, at: datetime, *recipients: str | None) -> None:
    """Append an event for each recipient, at a time."""
    with database.begin() as connection:
        outbox.append(connection, [Entry(recipient, "t", "k", "{}") for recipient in recipients], at)


def published(database: Database, **positions: int) -> None:
    """Set the marks of the two lanes."""
    with database.begin() as connection:
        for name, position in positions.items():
            outbox.move(connection, {"inside": INSIDE, "outside": OUTSIDE}[name], position)


def kept(database: Database) -> list[int]:
    """The positions still in the ledger."""
    with database.begin() as connection:
        return list(connection.scalars(text("SELECT position FROM outbox ORDER BY position")))


def lost(database: Database, recipient: str) -> list[int]:
    """The positions (of the first ten) after which events of a recipient are missing."""
    with database.begin() as connection:
        return [position for position in range(10) if pruning.has_lost(connection, recipient, position)]


def handled(database: Database, at: datetime, first: int, last: int) -> None:
    """Remember events as handled at a time."""
    with database.begin() as connection:
        numbers = "generate_series(CAST(:first AS int), CAST(:last AS int)) AS n"
        statement = f"INSERT INTO inbox SELECT '/relais/intake', n::text, :at FROM {numbers}"  # noqa: S608 - see above
        connection.execute(text(statement), {"at": at, "first": first, "last": last})


def remembered(database: Database) -> list[int]:
    """The ids in the inbox."""
    with database.begin() as connection:
        return sorted(connection.scalars(text("SELECT id::int FROM inbox")))


def fail(database: Database, at: datetime, due_at: datetime | None, id_: str) -> None:
    """Write a failure down: parked, or due."""
    with database.begin() as connection:
        failure = inbox.Failure(
            "intake.Happened", CONTENT_TYPE, TOLD, 6, "KeyError at x", due_at, "/relais/intake", id_
        )
        inbox.remember(connection, failure, at)


def failed(database: Database) -> list[str]:
    """The ids of what failed."""
    with database.begin() as connection:
        return list(connection.scalars(select(failures.c.id).order_by("number")))


def test_the_ledger_keeps_what_is_young_and_what_is_old_goes(database: Database, pruner: Pruner) -> None:
    """To the row; the day after, nothing more is found to delete."""
    write(database, OLD, None, "one", None)
    write(database, YOUNG, None, "one")
    published(database, inside=5, outside=5)
    assert pruner.prune()["outbox"] == 3
    assert kept(database) == [4, 5]
    assert pruner.prune()["outbox"] == 0


def test_nothing_unpublished_is_deleted_however_old(database: Database, pruner: Pruner) -> None:
    """Neither lane's: the slower one holds back what comes after it, until it has been published."""
    write(database, OLD, None, None, "one", None, "one", None)
    assert pruner.prune()["outbox"] == 0
    published(database, inside=1)
    assert pruner.prune()["outbox"] == 1
    published(database, inside=6, outside=3)
    assert pruner.prune()["outbox"] == 3
    assert kept(database) == [5, 6]
    published(database, outside=5)
    assert pruner.prune()["outbox"] == 2
    assert kept(database) == []


def test_what_nothing_relays_outside_waits_for_no_mark(database: Database, app: App) -> None:
    """Without a broker for partners their events are read over HTTP only, for as long as any."""
    write(database, OLD, None, "one", None)
    published(database, inside=3)
    assert Pruner(app, relayed_outside=False).prune()["outbox"] == 3


def test_a_reader_is_told_exactly_when_it_has_lost_something(database: Database, pruner: Pruner) -> None:
    """A recipient that had read all of its deleted events has lost nothing, however old its position is."""
    write(database, OLD, "one", None, "one", None, None)
    write(database, YOUNG, "one", "other")
    published(database, inside=9, outside=9)
    assert lost(database, "one") == []
    pruner.prune()
    assert kept(database) == [6, 7]
    assert lost(database, "one") == [0, 1, 2]
    assert lost(database, "other") == []


def test_when_the_ledger_begins_is_known(database: Database, pruner: Pruner) -> None:
    """Nothing deleted yet: from the beginning. Everything deleted: nowhere."""

    def begins() -> datetime | None:
        with database.begin() as connection:
            return pruning.ledger_begins(connection)

    write(database, OLD, None)
    write(database, YOUNG, None)
    assert begins() is None
    published(database, inside=2)
    pruner.prune()
    assert begins() == YOUNG


def test_the_inbox_outlives_ledger_and_parked_events(database: Database, pruner: Pruner, app: App) -> None:
    """400 days of ledger, 30 in a queue, 756 seconds of tries and 90 parked: 521 days after being handled it goes."""
    days = app.settings.inbox_time
    assert days == timedelta(days=520, seconds=756)
    handled(database, NOW - days - timedelta(seconds=1), 1, 7000)
    handled(database, NOW - days, 7001, 7003)
    handled(database, NOW, 7004, 7004)
    assert pruner.prune()["inbox"] == 7000
    assert remembered(database) == [7001, 7002, 7003, 7004]


def test_rows_that_took_the_place_of_deleted_ones_are_swept_in_their_turn(database: Database, pruner: Pruner) -> None:
    """The sweep rests on no order of the table's pages."""
    very_old = NOW - timedelta(days=600)
    handled(database, very_old, 1, 1000)
    handled(database, NOW, 1001, 5000)
    assert pruner.prune()["inbox"] == 1000
    with database.engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        connection.execute(text("VACUUM inbox"))
    handled(database, NOW, 5001, 5400)
    handled(database, very_old, 5401, 5700)
    with database.begin() as connection:
        (first,) = connection.scalars(text("SELECT min(ctid) FROM inbox WHERE id::int > 5000")).all()
    assert first == "(0,1)"
    assert pruner.prune()["inbox"] == 300
    assert remembered(database) == list(range(1001, 5401))


def test_a_sweep_reads_each_page_once(database: Database) -> None:
    """By a range of tuple ids: without an index on the time, and without reading the rest of the table."""
    handled(database, NOW, 1, 20_000)
    with database.begin() as connection:
        query = f"EXPLAIN {pruning._SWEEP}"  # noqa: SLF001 - the plan is what this is about
        plan = "\n".join(connection.scalars(text(query), {"first": "(32,0)", "last": "(64,0)", "before": NOW}))
    assert "Tid Range Scan on inbox" in plan


def test_parked_events_nobody_looked_at_go_and_it_is_said(database: Database, pruner: Pruner, app: App) -> None:
    """After 90 days, each with a line that quotes nothing, and counted; what waits for its next try stays."""
    fail(database, NOW - timedelta(days=91), None, "old")
    fail(database, NOW - timedelta(days=91), NOW, "old, and due")
    fail(database, NOW - timedelta(days=89), None, "young")
    with capture_logs() as lines:
        assert pruner.prune()["failures"] == 1
    assert failed(database) == ["old, and due", "young"]
    (line,) = [line for line in lines if line["event"] == "parked event dropped"]
    assert (line["log_level"], line["id"], line["reason"]) == ("warning", "old", "KeyError at x")
    assert "tout dit" not in str(lines)
    assert 'relais_pruned_rows_total{service="referral",table="failures"} 1.0' in app.metrics.text().decode()


def test_a_parked_event_that_somebody_replays_just_now_stays(database: Database) -> None:
    """The pruner waits for the operator's commit, and finds it due."""
    fail(database, OLD, None, "replayed")

    def drop() -> int:
        with database.begin() as connection:
            return len(pruning.drop_parked(connection, NOW))

    with ThreadPoolExecutor(1) as pool:
        with database.begin() as operator:
            assert inbox.replay(operator, [1], NOW) == 1
            dropping = pool.submit(drop)
            eventually(lambda: _waiting(database))
        assert dropping.result(10) == 0
    assert failed(database) == ["replayed"]


def test_two_replicas_at_once_delete_each_row_once(database: Database, app: App, tell: Callable[[str], None]) -> None:
    """Whoever finds the other at it leaves it to that one; together they leave nothing that is old."""
    with database.begin() as connection:
        rows = "INSERT INTO outbox (recipient, type, routing_key, body, created_at) SELECT NULL, 't', 'k', '{}', :at"
        connection.execute(text(f"{rows} FROM generate_series(1, 20000)"), {"at": OLD})
    published(database, inside=20_000)
    handled(database, NOW - timedelta(days=600), 1, 20_000)
    replicas = [Pruner(App("referral", app.settings, database, clock=Still()), relayed_outside=True) for _ in range(3)]
    started = time.monotonic()
    with ThreadPoolExecutor(3) as pool:
        rounds = list(pool.map(Pruner.prune, replicas))
    last = replicas[0].prune()
    tell(f"three replicas prune 40,000 rows in {time.monotonic() - started:.1f} s: {rounds}")
    deleted = {table: sum(one[table] for one in [*rounds, last]) for table in last}
    assert {table: rows for table, rows in deleted.items() if rows} == {"outbox": 20_000, "inbox": 20_000}
    assert kept(database) == []


def test_pruning_ends_when_told_and_goes_on_at_the_next_start(
    database: Database, app: App, pruner: Pruner, monkeypatch: pytest.MonkeyPatch, tell: Callable[[str], None]
) -> None:
    """In the midst of 200,000 old rows: after the batch at hand."""
    monkeypatch.setattr(pruning, "_SOON", 0.01)
    handled(database, NOW - timedelta(days=600), 1, 200_000)
    thread = threading.Thread(target=pruner.run)
    thread.start()
    eventually(lambda: len(remembered(database)) < 200_000)
    told = time.monotonic()
    pruner.finish()
    thread.join(10)
    took = time.monotonic() - told
    left = len(remembered(database))
    tell(f"told to stop with {left} rows to delete, ended in {took * 1000:.0f} ms")
    assert not thread.is_alive()
    assert 0 < left < 200_000
    assert took < 5
    next_start = App("referral", app.settings, database, clock=Still())
    assert Pruner(next_start, relayed_outside=True).prune()["inbox"] == left


def test_a_database_that_is_away_is_waited_for(
    database: Database, app: App, pruner: Pruner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No exception ends the thread, which would end the service; once the database is back, the round is made."""
    monkeypatch.setattr(pruning, "_SOON", 0.01)
    monkeypatch.setattr(pruning, "_AWAY", 0.05)
    handled(database, NOW - timedelta(days=600), 1, 10)
    app.database = Database("postgresql+psycopg://nobody@127.0.0.1:1/nowhere", "test")
    thread = threading.Thread(target=pruner.run)
    thread.start()
    time.sleep(0.5)
    assert thread.is_alive()
    app.database = database
    eventually(lambda: remembered(database) == [])
    pruner.finish()
    thread.join(5)
    assert not thread.is_alive()


def _waiting(database: Database) -> bool:
    """Whether one transaction waits for another's row."""
    with database.begin() as connection:
        return bool(connection.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted")))
