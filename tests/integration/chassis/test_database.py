"""When a database counts as away, and when the statement is wrong."""

import gc
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import create_engine, exc, text

from services.chassis.database import FEW, Database, insert_all
from services.chassis.errors import Unavailable
from services.chassis.postgres import SUPERUSER, EmbeddedPostgres
from services.chassis.tables import metadata, outbox
from tests.support.house import eventually


@pytest.fixture
def server(state_folder: Path) -> Iterator[EmbeddedPostgres]:
    """Start a server of this test's own, to be taken down."""
    server = EmbeddedPostgres(state_folder / "postgres")
    server.start()
    server.ensure("intake", "intake")
    yield server
    server.stop("immediate")


@pytest.fixture
def superuser(database: Database, postgres: EmbeddedPostgres) -> Callable[[str], None]:
    """Return what runs a statement about the database, as the server's administrator."""

    def run(statement: str) -> None:
        engine = create_engine(postgres.url("postgres", SUPERUSER), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(statement.format(name=database.engine.url.database)))
        engine.dispose()

    return run


def test_a_server_that_dies_in_a_transaction_is_away(server: EmbeddedPostgres) -> None:
    """Before the first statement, in the midst and at the commit; and it is found again without a restart of ours."""
    database = Database(server.url("intake", "intake"), "test")
    with database.begin() as connection:
        connection.execute(text("CREATE TABLE visits (number int)"))
    for between in ("", "SELECT 1", "INSERT INTO visits VALUES (1)"):
        with pytest.raises(Unavailable), database.begin() as connection:
            if between:
                connection.execute(text(between))
            server.stop("immediate")
            if between != "INSERT INTO visits VALUES (1)":
                connection.execute(text("SELECT 1"))
        with pytest.raises(Unavailable):
            database.ping()
        server.start()
        with database.begin() as connection:
            assert connection.scalar(text("SELECT count(*) FROM visits")) == 0
    database.close()


def test_a_connection_ended_by_an_administrator_is_away_once(
    database: Database, superuser: Callable[[str], None]
) -> None:
    """The statement at hand fails as unavailable; the next transaction has a new connection."""
    with pytest.raises(Unavailable), database.begin() as connection:
        superuser("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'relais-test'")
        connection.execute(text("SELECT 1"))
    database.ping()


def test_a_connection_that_ended_while_it_was_idle_is_nobodys_trouble(
    database: Database, superuser: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A firewall may end it, or a server that was restarted: it is asked before it is used again."""
    monkeypatch.setattr("services.chassis.database._IDLE_SECONDS", 0.0)
    database.ping()
    superuser("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'relais-test'")
    database.ping()


def test_a_server_that_became_read_only_is_away(database: Database, superuser: Callable[[str], None]) -> None:
    """After a failover to a standby nothing may be parked for it: events wait until the primary is back."""
    superuser("ALTER DATABASE {name} SET default_transaction_read_only = on")
    database.close()
    with pytest.raises(Unavailable), database.begin() as connection:
        connection.execute(text("INSERT INTO marks VALUES ('x', 1)"))
    superuser("ALTER DATABASE {name} SET default_transaction_read_only = off")
    database.close()
    with database.begin() as connection:
        connection.execute(text("INSERT INTO marks VALUES ('x', 1)"))


def test_a_server_without_a_free_connection_is_away(database: Database, superuser: Callable[[str], None]) -> None:
    """Its own limit, or the pool's: somebody else is busy, and the event at hand is not to blame."""
    superuser("ALTER DATABASE {name} CONNECTION LIMIT 0")
    database.close()
    with pytest.raises(Unavailable):
        database.ping()
    superuser("ALTER DATABASE {name} CONNECTION LIMIT -1")
    database.ping()


def test_tries_at_a_server_that_is_away_leave_nothing_behind(tmp_path: Path) -> None:
    """Each would leave its error in a cycle, with libpq’s buffers, until the collector comes by."""
    away = Database(f"postgresql://u@/d?host={tmp_path}", "test")
    gc.collect()
    gc.disable()
    try:
        for _ in range(20):
            with suppress(Unavailable):
                away.ping()
        assert gc.collect() < 20
    finally:
        gc.enable()


def test_a_pool_that_is_busy_is_waited_for_then_away(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty transactions at once; the next one waits for one of them to end, but not for ever."""
    release, busy = threading.Event(), threading.Semaphore(0)

    def occupy() -> None:
        with database.begin() as connection:
            connection.execute(text("SELECT 1"))
            busy.release()
            release.wait(30)

    with ThreadPoolExecutor(21) as pool:
        occupied = [pool.submit(occupy) for _ in range(20)]
        for _ in occupied:
            assert busy.acquire(timeout=10)
        with monkeypatch.context() as patch:
            patch.setattr(database.engine.pool, "_timeout", 0.2)
            with pytest.raises(Unavailable):
                database.ping()
        waiting = pool.submit(database.ping)
        with pytest.raises(TimeoutError):
            waiting.result(0.3)
        release.set()
        waiting.result(10)


WRONG = {
    "syntax": "SELEKT",
    "no-table": "SELECT * FROM nowhere",
    "constraint": "INSERT INTO marks VALUES ('x', NULL)",
    "overflow": "SELECT 10000000000::int",
    "division": "SELECT 1 / 0",
}


@pytest.mark.parametrize("statement", WRONG.values(), ids=WRONG)
def test_a_wrong_statement_is_no_absence(database: Database, statement: str) -> None:
    """It would be wrong for ever: the event is tried a few times and parked, and the queue goes on."""
    with pytest.raises(exc.DBAPIError), database.begin() as connection:
        connection.execute(text(statement))


@pytest.mark.parametrize("value", ["nul \0 in a text", object()], ids=["nul", "unknown-type"])
def test_a_value_that_the_driver_refuses_is_no_absence(database: Database, value: object) -> None:
    """It never reaches the server, and would not be taken however long one waits."""
    with pytest.raises(exc.StatementError), database.begin() as connection:
        connection.execute(text("SELECT CAST(:value AS text)"), {"value": value})


def test_an_error_never_quotes_the_values(database: Database) -> None:
    """SQLAlchemy would repeat what a person told."""
    with pytest.raises(exc.DBAPIError) as caught, database.begin() as connection:
        connection.execute(text("INSERT INTO nowhere VALUES (:told)"), {"told": "¤"})
    assert "¤" not in str(caught.value)


def test_nothing_waits_for_ever(database: Database) -> None:
    """A statement, a lock and a forgotten transaction each have their limit in the session itself."""
    with database.begin() as connection:
        limits = {
            name: connection.scalar(text(f"SHOW {name}"))
            for name in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
        }
    assert limits == {
        "statement_timeout": "30s",
        "lock_timeout": "10s",
        "idle_in_transaction_session_timeout": "1min",
    }


def test_what_another_transaction_holds_is_waited_for(database: Database) -> None:
    """And had once that one ends."""
    with ThreadPoolExecutor(1) as pool:
        with database.begin() as first:
            first.execute(text("LOCK TABLE marks"))
            second = pool.submit(_count, database)
            eventually(lambda: not second.done(), every=0.2)
        assert second.result(10) == 0


def test_a_lock_that_is_held_for_too_long_is_an_absence(database: Database) -> None:
    """By a frozen replica, say: no event is to blame for it."""
    with database.begin() as first:
        first.execute(text("LOCK TABLE marks"))
        with pytest.raises(Unavailable), database.begin() as second:
            second.execute(text("SET LOCAL lock_timeout = '100ms'"))
            second.execute(text("SELECT count(*) FROM marks"))


def test_a_server_that_dies_during_a_copy_is_away(server: EmbeddedPostgres) -> None:
    """Many events at once are written by COPY, which SQLAlchemy knows nothing of."""
    database = Database(server.url("intake", "intake"), "test")
    row = {"type": "t", "routing_key": "k", "body": "x" * 1000, "created_at": datetime(2026, 11, 20, tzinfo=UTC)}
    with database.begin() as connection:
        metadata.create_all(connection)
        insert_all(connection, {outbox: [row] * 1000})
    with pytest.raises(Unavailable), database.begin() as connection:
        server.stop("immediate")
        insert_all(connection, {outbox: [row] * 1000})
    server.start()
    with database.begin() as connection:
        assert connection.scalar(text("SELECT count(*) FROM outbox")) == 1000
        with pytest.raises(exc.IntegrityError):
            insert_all(connection, {outbox: [{**row, "body": None}] * (FEW + 1)})
    database.close()


def _count(database: Database) -> int:
    with database.begin() as connection:
        return connection.scalar(text("SELECT count(*) FROM marks")) or 0
