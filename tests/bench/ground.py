"""The ground that every contestant runs on: one RabbitMQ, one PostgreSQL; for each run a fresh vhost and databases.

The tables are Relais's own, made by its migrations, so that every contestant writes the very same ones.
"""

import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final, LiteralString, Self

import pika
import psycopg
from psycopg import sql

from services.chassis import broker, outside, postgres
from services.chassis.database import Database
from services.chassis.migrate import migrate
from services.chassis.postgres import EmbeddedPostgres
from services.chassis.relay import _LOCKS, INSIDE
from services.chassis.settings import Settings
from services.contracts.topology import SERVICES
from services.network.members import partner_queues
from tests.bench.meters import child
from tests.support.rabbit import Rabbit

# As an administrator of a small machine would set them; fsync and synchronous_commit stay on.
POSTGRES: Final = {
    "shared_buffers": "512MB",
    "wal_level": "replica",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
}
# RabbitMQ's own default of both.
_INTERVAL_MILLISECONDS: Final = 5000
_INTERVALS: Final = {"rabbitmq.conf": "collect_statistics_interval", "advanced.config": "quorum_tick_interval"}
Row = tuple[Any, ...]


@dataclass
class Plot:
    """One run's vhost and databases; `databases` holds SQLAlchemy URLs by service."""

    name: str
    amqp_url: str
    databases: dict[str, str]
    _connections: dict[str, psycopg.Connection[Row]] = field(default_factory=dict)

    def dsn(self, service: str) -> str:
        """Where libpq reaches a service's database, as its own role."""
        return self.databases[service].replace("postgresql+psycopg://", "postgresql://")

    def database(self, service: str) -> psycopg.Connection[Row]:
        """The harness's own connection to a service's database, committing each statement."""
        if service not in self._connections:
            self._connections[service] = psycopg.connect(self.dsn(service), autocommit=True)
        return self._connections[service]

    def rows(self, service: str, query: LiteralString, **parameters: object) -> list[Row]:
        """What a query finds in a service's database."""
        return self.database(service).execute(query, parameters).fetchall()

    def count(self, service: str, table: str, where: LiteralString = "true") -> int:
        """How many rows of a table meet a condition."""
        query = sql.SQL("SELECT count(*) FROM {} WHERE {}").format(sql.Identifier(table), sql.SQL(where))
        found = self.database(service).execute(query).fetchone()
        assert found is not None
        return int(found[0])

    @contextmanager
    def channel(self) -> Iterator[Any]:
        """A channel of an independent client on this run's vhost."""
        connection = pika.BlockingConnection(pika.URLParameters(self.amqp_url))
        try:
            yield connection.channel()
        finally:
            with suppress(pika.exceptions.AMQPError):
                connection.close()

    def depths(self, queues: Sequence[str]) -> dict[str, int]:
        """How many messages are ready in each queue."""
        with self.channel() as channel:
            return {queue: channel.queue_declare(queue, passive=True).method.message_count for queue in queues}

    def close(self) -> None:
        """Close the harness's connections."""
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()


class Gate:
    """Shut, no relay of intake publishes: it holds the lock that each of them asks for."""

    def __init__(self, plot: Plot) -> None:
        self._connection = psycopg.connect(plot.dsn("intake"), autocommit=True)
        self._connection.execute("SELECT pg_advisory_lock(%s)", [_LOCKS[INSIDE]])

    def open(self) -> None:
        """The starting shot."""
        self._connection.execute("SELECT pg_advisory_unlock(%s)", [_LOCKS[INSIDE]])

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


class Ground:
    """The two servers; a context manager that starts and ends them."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="relais-bench-"))
        self.folder.chmod(0o755)
        self.rabbit = Rabbit(_subfolder(self.folder / "rabbitmq"))
        # The tests' broker counts more often than RabbitMQ's own default, which costs.
        for file, name in _INTERVALS.items():
            _set_number(self.rabbit.folder / file, name, _INTERVAL_MILLISECONDS)
        self.postgres = EmbeddedPostgres(self.folder / "postgresql")
        self._number = 0

    def __enter__(self) -> Self:
        """Start both."""
        postgres.SETTINGS.update(POSTGRES)
        try:
            self.postgres.start()
            self.rabbit.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """End both and delete their data."""
        self.rabbit.close()
        self.postgres.stop("immediate")
        shutil.rmtree(self.folder, ignore_errors=True)

    @contextmanager
    def plot(self) -> Iterator[Plot]:
        """A fresh vhost with every queue, four fresh databases with every table; all of it deleted at the end."""
        self._number += 1
        vhost = self.rabbit.add_vhost(f"run-{self._number}")
        names = {service: f"{service}_{self._number}" for service in SERVICES}
        for service, name in names.items():
            self.postgres.ensure(name, name)
            database = Database(self.postgres.url(name, name), "bench")
            migrate(database, service)
            database.close()
        urls = {service: self.postgres.url(name, name) for service, name in names.items()}
        plot = Plot(vhost, self.rabbit.url(vhost), urls)
        declare(plot.amqp_url)
        try:
            yield plot
        finally:
            plot.close()
            self.rabbit.delete_vhost(vhost)
            for name in names.values():
                self._administer("DROP DATABASE {} WITH (FORCE)", name)

    def settle(self) -> None:
        """Have everything written so far on the disk, so that no run pays for another's pages."""
        self._administer("CHECKPOINT")

    def version(self) -> str:
        """PostgreSQL's version."""
        with psycopg.connect(self.postgres.url("postgres", "postgres").replace("+psycopg", "")) as connection:
            return f"{connection.info.server_version // 10000}.{connection.info.server_version % 10000}"

    @cached_property
    def postmaster(self) -> int:
        """PostgreSQL's main process."""
        pid_file = self.postgres.home / "data" / "postmaster.pid"
        return int(pid_file.read_text(encoding="utf-8").split("\n", 1)[0])

    @cached_property
    def broker(self) -> int:
        """RabbitMQ's virtual machine."""
        return child("beam.smp")

    def _administer(self, statement: LiteralString, *names: str) -> None:
        url = self.postgres.url("postgres", postgres.SUPERUSER).replace("+psycopg", "")
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


def declare(url: str) -> None:
    """Declare every exchange, queue and binding, as Relais does."""
    with broker.connect(url, "bench") as connection:
        broker.declare_topology(connection)
        outside.declare_partner_queues(connection, partner_queues(Settings()))


def _subfolder(path: Path) -> Path:
    path.mkdir()
    return path


def _set_number(path: Path, name: str, number: int) -> None:
    text, found = re.subn(rf"\b({name}\b\W*)\d+", rf"\g<1>{number}", path.read_text())
    assert found == 1, f"{path.name} says {found} times how much {name} is"
    path.write_text(text)
