"""A PostgreSQL of a test's own, and what a database holds, table by table."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql

from services.chassis.postgres import SUPERUSER, EmbeddedPostgres
from services.contracts.topology import SERVICES

_TABLES = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' ORDER BY table_name"


def dump(url: str) -> dict[str, str]:
    """Every row of every table as text; binary columns as hexadecimal."""
    with psycopg.connect(_plain(url)) as connection:
        tables = [row[0] for row in connection.execute(_TABLES)]
        return {
            table: "\n".join(
                row[0]
                for row in connection.execute(sql.SQL("SELECT t::text FROM {} AS t").format(sql.Identifier(table)))
            )
            for table in tables
        }


def _plain(url: str) -> str:
    return url.replace("postgresql+psycopg://", "postgresql://")


class OnDemand(dict[str, str]):
    """What is made when it is asked for: a database takes some thousand files, and most tests want one of four."""

    def __init__(self, make: Callable[[str], str]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, service: str) -> str:
        """Make it."""
        self[service] = self._make(service)
        return self[service]


def all_of(databases: dict[str, str]) -> dict[str, str]:
    """Those of all four services."""
    return {service: databases[service] for service in SERVICES}


@contextmanager
def server_of(*names: str) -> Iterator[EmbeddedPostgres]:
    """A running server, with a database and a role of each name; thrown away at the end."""
    folder = Path(tempfile.mkdtemp(prefix="relais-test-"))
    folder.chmod(0o755)
    server = EmbeddedPostgres(folder / "postgres")
    server.start()
    # Its transactions would, in any database, hold up what waits for all older ones to end.
    with psycopg.connect(_plain(server.url("postgres", SUPERUSER)), autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET autovacuum = off")
        connection.execute("SELECT pg_reload_conf()")
    for name in names:
        server.ensure(name, name)
    yield server
    server.stop("immediate")
    shutil.rmtree(folder)
