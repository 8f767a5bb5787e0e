"""How to insert many rows from a green thread: `python -m tests.bench.rows` times five ways, side by side.

Each round is one transaction of outbox rows; the ways take turns, so that a noisy machine is noisy for all.
"""

from services.chassis import green  # noqa: F401, I001 - first: the figures are about green threads

import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from sqlalchemy import Connection, create_engine, insert, text

from services.chassis.database import _copy, _insert
from services.chassis.postgres import EmbeddedPostgres
from services.chassis.tables import metadata, outbox

ROWS, ROUNDS = 1000, 50
Rows = Sequence[Mapping[str, Any]]
_UNNEST = text(
    "INSERT INTO outbox (type, routing_key, body, created_at) SELECT * FROM unnest("
    "CAST(:type AS text[]), CAST(:routing_key AS text[]), CAST(:body AS text[]), CAST(:created_at AS timestamptz[]))"
)


def executemany(connection: Connection, rows: Rows) -> None:
    """What SQLAlchemy does by itself: the driver sends row after row in a pipeline."""
    connection.execute(insert(outbox), list(rows))


def values(connection: Connection, rows: Rows) -> None:
    """One statement with a VALUES list, compiled anew for each number of rows."""
    connection.execute(insert(outbox).values(list(rows)))


def unnest(connection: Connection, rows: Rows) -> None:
    """One statement with an array for each column."""
    connection.execute(_UNNEST, {column: [row[column] for row in rows] for column in rows[0]})


def as_json(connection: Connection, rows: Rows) -> None:
    """One statement with one JSON parameter: what Relais does with few."""
    _insert(connection, {outbox: rows})


def copy(connection: Connection, rows: Rows) -> None:
    """COPY: what Relais does with many."""
    _copy(connection, outbox, rows)


def main() -> None:
    """Print what each way takes."""
    folder = Path(tempfile.mkdtemp(prefix="relais-bench-"))
    folder.chmod(0o755)
    server = EmbeddedPostgres(folder / "postgresql")
    server.start()
    server.ensure("bench", "bench")
    engine = create_engine(server.url("bench", "bench"))
    metadata.create_all(engine)
    now = datetime.now(UTC)
    rows = [{"type": "t", "routing_key": "k", "body": "x" * 700, "created_at": now} for _ in range(ROWS)]
    ways: tuple[Callable[[Connection, Rows], None], ...] = (executemany, values, unnest, as_json, copy)
    taken: dict[str, list[list[float]]] = {way.__name__: [] for way in ways}
    for _ in range(ROUNDS):
        for way in ways:
            with engine.begin() as connection:
                backend: int = connection.scalar(text("SELECT pg_backend_pid()"))
                started = _now(backend)
                way(connection, rows)
                ended = _now(backend)
            taken[way.__name__].append([end - start for start, end in zip(started, ended, strict=True)])
    engine.dispose()
    server.stop("immediate")
    shutil.rmtree(folder)
    table = Table("way", "median, ms", "Python, µs a row", "server, µs a row", title=f"{ROWS} rows, {ROUNDS} rounds")
    for name, rounds in taken.items():
        wall, ours, its = zip(*rounds, strict=True)
        cells = (statistics.median(wall) * 1000, *(statistics.mean(one) / ROWS * 1e6 for one in (ours, its)))
        table.add_row(name, *(f"{cell:.1f}" for cell in cells))
    Console().print(table)


def _now(backend: int) -> tuple[float, float, float]:
    """Seconds: the clock's, our processor's, the server's for this connection."""
    fields = Path(f"/proc/{backend}/stat").read_text().rpartition(")")[2].split()
    return time.perf_counter(), time.process_time(), (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
