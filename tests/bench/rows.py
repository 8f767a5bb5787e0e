"""How to insert many rows from a green thread: `python -m tests.bench.rows` times four ways, side by side.

Each round is one transaction of 200 outbox rows; the ways take turns, so that a noisy machine is noisy for all.
"""

from services.chassis import green  # noqa: F401, I001 - first: the figures are about green threads

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

from services.chassis.database import insert_all
from services.chassis.postgres import EmbeddedPostgres
from services.chassis.tables import metadata, outbox

ROWS, ROUNDS = 200, 30
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
    """One statement with one JSON parameter: what Relais does."""
    insert_all(connection, {outbox: rows})


def main() -> None:
    """Print the median of each way, and its ratio to the one in use."""
    folder = Path(tempfile.mkdtemp(prefix="relais-bench-"))
    folder.chmod(0o755)
    server = EmbeddedPostgres(folder / "postgresql")
    server.start()
    server.ensure("bench", "bench")
    engine = create_engine(server.url("bench", "bench"))
    metadata.create_all(engine)
    now = datetime.now(UTC)
    rows = [{"type": "t", "routing_key": "k", "body": "x" * 700, "created_at": now} for _ in range(ROWS)]
    ways: tuple[Callable[[Connection, Rows], None], ...] = (executemany, values, unnest, as_json)
    seconds: dict[str, list[float]] = {way.__name__: [] for way in ways}
    for _ in range(ROUNDS):
        for way in ways:
            started = time.perf_counter()
            with engine.begin() as connection:
                way(connection, rows)
            seconds[way.__name__].append(time.perf_counter() - started)
    engine.dispose()
    server.stop("immediate")
    shutil.rmtree(folder)
    table = Table("way", "median, ms", "ratio", title=f"{ROWS} rows in one transaction, {ROUNDS} rounds")
    ours = statistics.median(seconds["as_json"])
    for name, taken in seconds.items():
        table.add_row(name, f"{statistics.median(taken) * 1000:.1f}", f"{statistics.median(taken) / ours:.1f}")
    Console().print(table)


if __name__ == "__main__":
    main()
