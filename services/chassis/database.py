"""One PostgreSQL database per service."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import psycopg
from pydantic_core import to_json
from sqlalchemy import Connection, LargeBinary, Table, TextClause, create_engine, exc, text

from services.chassis.errors import Unavailable

# Nothing in a service may wait for ever: a statement, a lock, a transaction left open by a frozen process.
_LIMITS = "-c statement_timeout=30s -c lock_timeout=10s -c idle_in_transaction_session_timeout=60s"

_ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"})
_ESCAPED = re.compile(r"[\\\n\r\t]")

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
            pool_pre_ping=True,
            # An error's text must not quote what a person told.
            hide_parameters=True,
            connect_args={"connect_timeout": 5, "options": _LIMITS, "application_name": f"relais-{application_name}"},
        )

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
                raise Unavailable(f"database unreachable {said}".strip()) from error
            raise

    def ping(self) -> None:
        """Raises Unavailable when the database does not answer."""
        with self.begin() as connection:
            connection.execute(text("SELECT 1"))

    def close(self) -> None:
        """Close every pooled connection."""
        self.engine.dispose()


def _reached(error: exc.DBAPIError) -> bool:
    """Whether the server took the statement and found it wrong, rather than being away or able to take nothing.

    A lost connection is an OperationalError without SQLSTATE. What the driver itself refuses to send (a NUL in a
    text) has no SQLSTATE either, and would be refused for ever.
    """
    state = getattr(error.orig, "sqlstate", None)
    if state is None:
        return not isinstance(error, exc.OperationalError)
    return not str(state).startswith(_NOT_NOW)


def insert_all(connection: Connection, tables: Mapping[Table, Sequence[Mapping[str, Any]]]) -> None:
    """Insert rows into tables, in their order, with one statement whatever their number.

    All rows of a table name the same columns. They travel as one JSON parameter: on green threads five times as fast as
    the driver's `executemany`, which waits for the server row by row (docs/decisions/13-rows-as-json.md).
    """
    wanted = {table: rows for table, rows in tables.items() if rows}
    if not wanted:
        return
    statement = _insertion(tuple((table, tuple(rows[0])) for table, rows in wanted.items()))
    connection.execute(statement, {f"rows_{n}": _as_json(*one) for n, one in enumerate(wanted.items())})


@cache
def _insertion(tables: tuple[tuple[Table, tuple[str, ...]], ...]) -> TextClause:
    """Foreign keys are checked at the end of a statement, so that the order of its parts is nobody's business."""
    parts = []
    for number, (table, columns) in enumerate(tables):
        names = ", ".join(f'"{column}"' for column in columns)
        source = f"json_populate_recordset(CAST(NULL AS {table.name}), CAST(:rows_{number} AS json))"
        parts.append(f"INSERT INTO {table.name} ({names}) SELECT {names} FROM {source}")  # noqa: S608 - our own names
    *others, last = parts
    before = ", ".join(f"part_{number} AS ({part})" for number, part in enumerate(others))
    return text(f"WITH {before} {last}" if before else last)


def _as_json(table: Table, rows: Sequence[Mapping[str, Any]]) -> str:
    binary = [name for name in rows[0] if isinstance(table.c[name].type, LargeBinary)]
    if binary:
        rows = [{**row, **{name: _hexadecimal(row[name]) for name in binary}} for row in rows]
    return to_json(rows).decode()


def copy_all(
    connection: Connection, table: Table, columns: Sequence[str], rows: Sequence[Sequence[str | None]]
) -> None:
    """Add rows of texts by COPY: half the server's time of `insert_all` for rows of a kilobyte."""
    if not rows:
        return
    names = ", ".join(f'"{column}"' for column in columns)
    statement = f"COPY {table.name} ({names}) FROM STDIN"
    driver: Any = connection.connection.driver_connection
    try:
        with driver.cursor() as cursor, cursor.copy(statement) as copy:
            copy.write("".join("\t".join(map(_copied, row)) + "\n" for row in rows))
    except psycopg.Error as error:
        # As SQLAlchemy tells of any other statement's failure.
        raise exc.DBAPIError.instance(
            statement, None, error, psycopg.Error, hide_parameters=True, connection_invalidated=driver.closed
        ) from None


def _copied(value: str | None) -> str:
    """A text as COPY reads it."""
    if value is None:
        return "\\N"
    return value.translate(_ESCAPES) if _ESCAPED.search(value) else value


def _hexadecimal(value: bytes | None) -> str | None:
    """Bytes as PostgreSQL reads them from a text."""
    return None if value is None else "\\x" + value.hex()
