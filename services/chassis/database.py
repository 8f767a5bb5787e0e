"""One PostgreSQL database per service."""

import math
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import psycopg
from pydantic_core import to_json
from sqlalchemy import Connection, DateTime, LargeBinary, Table, TextClause, create_engine, event, exc, text
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.schema import sort_tables

from services.chassis.errors import Unavailable

# Nothing in a service may wait for ever: a statement, a lock, a transaction left open by a frozen process.
_LIMITS = "-c statement_timeout=30s -c lock_timeout=10s -c idle_in_transaction_session_timeout=60s"

# A connection used so lately is taken to be alive still.
_IDLE_SECONDS = 1.0
# Up to so many rows, one statement for all tables costs less than a COPY for each.
FEW = 20
_LOCK = text("SELECT pg_advisory_xact_lock(:lock)")
Row = Mapping[str, Any]

# A server going or coming (08, 57P), read-only after a failover (25006), out of disk, memory or connections (53),
# failing to read or write (58), a lock that a frozen replica holds (55P03): never the fault of the event at hand, so
# that it must not be parked for it.
_NOT_NOW = ("08", "25006", "53", "55P03", "57P", "58")


class Database:
    """A pool of connections. Raises Unavailable when the server cannot be reached."""

    def __init__(self, url: str, application_name: str) -> None:
        self.engine = create_engine(
            url,
            pool_size=10,
            max_overflow=10,
            pool_timeout=10,
            # An error's text must not quote what a person told.
            hide_parameters=True,
            connect_args={"connect_timeout": 5, "options": _LIMITS, "application_name": f"relais-{application_name}"},
        )

        event.listen(self.engine, "checkin", _remember)
        event.listen(self.engine, "checkout", self._ping_when_idle)

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """One transaction: committed at the end, rolled back by any exception."""
        try:
            with self.engine.begin() as connection:
                yield connection
        except exc.TimeoutError as error:
            raise Unavailable("database: no connection free") from error
        except exc.DBAPIError as error:
            if error.connection_invalidated or isinstance(error, exc.InterfaceError) or not _reached(error):
                # Without a statement it is the connection that failed: libpq's own words, which quote no data.
                said = str(error.orig).splitlines()[0] if error.statement is None else ""
                _let_go(error)
                raise Unavailable(f"database unreachable {said}".strip()) from error
            raise

    def ping(self) -> None:
        """Raises Unavailable when the database does not answer."""
        with self.begin() as connection:
            connection.execute(text("SELECT 1"))

    def close(self) -> None:
        """Close every pooled connection."""
        self.engine.dispose()

    def _ping_when_idle(self, connection: Any, record: ConnectionPoolEntry, _fairy: object) -> None:  # noqa: ANN401 - the driver's
        """SQLAlchemy's own `pool_pre_ping` asks before each transaction, even a millisecond after the last."""
        if time.monotonic() - record.info.get("used_at", math.inf) < _IDLE_SECONDS:
            return
        try:
            self.engine.dialect.do_ping(connection)
        except psycopg.Error:
            # A new connection takes its place, and that of every other as old.
            raise exc.InvalidatePoolError from None


def _let_go(error: BaseException) -> None:
    """Clear the frames that an error came through.

    psycopg's own refers to the error, which refers to it: each try at a database that is away would leave libpq's
    buffers to the collector, which comes by after thousands (42 MB in 3,000 tries, and 0 so).
    """
    cause: BaseException | None = error
    while cause is not None:
        traceback.clear_frames(cause.__traceback__)
        cause = cause.__cause__ or cause.__context__


def _remember(_connection: object, record: ConnectionPoolEntry) -> None:
    record.info["used_at"] = time.monotonic()


def _reached(error: exc.DBAPIError) -> bool:
    """Whether the server took the statement and found it wrong, rather than being away or able to take nothing.

    A lost connection is an OperationalError without SQLSTATE. What the driver itself refuses to send (a NUL in a
    text) has no SQLSTATE either, and would be refused for ever.
    """
    state = getattr(error.orig, "sqlstate", None)
    if state is None:
        return not isinstance(error, exc.OperationalError)
    return not str(state).startswith(_NOT_NOW)


def lock(connection: Connection, key: int) -> None:
    """Hold an advisory lock until the end of the transaction."""
    connection.execute(_LOCK, {"lock": key})


def insert_all(connection: Connection, tables: Mapping[Table, Sequence[Row]], *, under: int | None = None) -> None:
    """Insert rows into tables; all rows of a table name the same columns.

    A few go in one statement for all tables, many by one COPY for each (docs/decisions/13-many-rows.md). With `under`,
    this advisory lock is held from before the first of them is numbered until the end of the transaction.
    """
    wanted = {table: rows for table, rows in tables.items() if rows}
    if sum(map(len, wanted.values())) > FEW:
        if under is not None:
            lock(connection, under)
        for table in sort_tables(wanted):
            _copy(connection, table, wanted[table])
    elif wanted:
        _insert(connection, wanted, under)


def _insert(connection: Connection, tables: Mapping[Table, Sequence[Row]], under: int | None = None) -> None:
    statement = _insertion(tuple((table, tuple(rows[0])) for table, rows in tables.items()), locked=under is not None)
    rows = {f"rows_{n}": _as_json(*one) for n, one in enumerate(tables.items())}
    connection.execute(statement, rows if under is None else {**rows, "lock": under})


@cache
def _insertion(tables: tuple[tuple[Table, tuple[str, ...]], ...], *, locked: bool) -> TextClause:
    """Foreign keys are checked at the end of a statement, so that the order of its parts is nobody's business.

    The lock is one row that each part reads along with its own, so that none of those has a number before.
    """
    parts, first = [], ["locked AS MATERIALIZED (SELECT pg_advisory_xact_lock(:lock))"] if locked else []
    for number, (table, columns) in enumerate(tables):
        names = _names(columns)
        source = f"json_populate_recordset(CAST(NULL AS {table.name}), CAST(:rows_{number} AS json))"
        source = f"locked, {source}" if locked else source
        parts.append(f"INSERT INTO {table.name} ({names}) SELECT {names} FROM {source}")  # noqa: S608 - our own names
    *others, last = parts
    before = ", ".join([*first, *(f"part_{number} AS ({part})" for number, part in enumerate(others))])
    return text(f"WITH {before} {last}" if before else last)


def _as_json(table: Table, rows: Sequence[Row]) -> str:
    binary = [name for name in rows[0] if isinstance(table.c[name].type, LargeBinary)]
    if binary:
        rows = [{**row, **{name: _hexadecimal(row[name]) for name in binary}} for row in rows]
    return to_json(rows).decode()


def _hexadecimal(value: bytes | None) -> str | None:
    """Bytes as PostgreSQL reads them from a text."""
    return None if value is None else "\\x" + value.hex()


def _copy(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    columns = tuple(rows[0])
    instants = [place for place, name in enumerate(columns) if isinstance(table.c[name].type, DateTime)]
    # The driver takes 1 µs to write one, and many rows share a few: the second time it is a text.
    written: dict[int, str | None] = {}
    statement = f"COPY {table.name} ({_names(columns)}) FROM STDIN"
    driver: Any = connection.connection.driver_connection
    try:
        with driver.cursor() as cursor, cursor.copy(statement) as copy:
            for row in rows:
                values = [row[name] for name in columns]
                for place in instants:
                    instant = values[place]
                    if id(instant) not in written:
                        written[id(instant)] = None
                    elif instant is not None:
                        values[place] = written[id(instant)] = written[id(instant)] or instant.isoformat()
                copy.write_row(values)
    except psycopg.Error as error:
        # As SQLAlchemy tells of any other statement's failure.
        raise exc.DBAPIError.instance(
            statement, None, error, psycopg.Error, hide_parameters=True, connection_invalidated=driver.closed
        ) from None


def _names(columns: Sequence[str]) -> str:
    return ", ".join(f'"{column}"' for column in columns)
