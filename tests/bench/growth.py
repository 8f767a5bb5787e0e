"""Growth: the same burst on databases that already hold many visits, and memory while many events wait.

What is stored is made by SQL: for each visit the rows that Relais would have written in all four databases, in the
order of time, with identifiers like Relais's. Texts that nothing looks up (events, facts) are cut short: 5 million
visits take some 30 GB.
"""

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from string import Template
from typing import Final, LiteralString

import psycopg
from psycopg import sql

from services.contracts.topology import SERVICES
from tests.bench import burst
from tests.bench.burst import Wrong
from tests.bench.ground import Ground, Plot
from tests.bench.meters import peak_megabytes
from tests.bench.relais import house_on, pids
from tests.bench.seeds import fill, visits

_CHUNK: Final = 250_000
# How old a stored visit is: they came one after the other, ten a minute, until yesterday.
_AGE: Final = "make_interval(secs => (%(total)s::int - i) * 6 + 86400)"
_WORDS: Final = {
    "id": f"uuidv7(-{_AGE})",
    "seen": f"(now() - {_AGE})",
    "some": "FROM generate_series(%(first)s::int, %(last)s::int) AS i",
}
_MARK: Final[LiteralString] = """INSERT INTO marks (name, position)
    SELECT {}, max(position) FROM outbox WHERE {} HAVING max(position) IS NOT NULL"""


def store(ground: Ground, plot: Plot, total: int) -> None:
    """Have so many visits in all four databases, published and counted."""
    with house_on(ground, plot, "intake", "referral"):
        pass  # the key that each of them checks its master key by is the first in its vault
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda service: _store(plot, service, total), SERVICES))


def _store(plot: Plot, service: str, total: int) -> None:
    with psycopg.connect(plot.dsn(service), autocommit=True) as database:
        for first in range(1, total + 1, _CHUNK):
            bounds = {"first": first, "last": min(first + _CHUNK - 1, total), "total": total}
            for statement in _statements(service):
                database.execute(statement.encode(), bounds)
        for mark, where in (("relay", "recipient IS NULL"), ("relay.partners", "recipient IS NOT NULL")):
            database.execute(sql.SQL(_MARK).format(mark, sql.SQL(where)))
        database.execute("VACUUM ANALYZE")
        # A look at the first key must find that first one, wherever another scan has just been.
        database.execute(
            sql.SQL("ALTER DATABASE {} SET synchronize_seqscans = off").format(sql.Identifier(database.info.dbname))
        )


def _statements(service: str) -> list[str]:
    """The statements below `-- service` in stored.sql."""
    text = Path(__file__).with_name("stored.sql").read_text()
    mine = text.partition(f"\n-- {service}\n")[2].partition("\n-- ")[0]
    return [Template(one).substitute(_WORDS) for one in mine.split(";") if one.strip()]


def waiting(ground: Ground, number: int) -> Mapping[str, float]:
    """Peak resident MiB of each service that starts while so many visits' events wait for it; they are then handled.

    One service after the other is started, so that each finds all of its events waiting. Raises Wrong.
    """
    found: dict[str, float] = {}
    with ground.plot() as plot:
        fill(plot, visits(number))
        # Intake twice: its visits wait to be published, and later what became of them to be heard.
        for service in ("intake", "orientation", "referral", "reporting", "intake"):
            with house_on(ground, plot, service) as house:
                _await(plot, service, number, heard=service != "intake" or service in found)
                found[service] = max(found.get(service, 0.0), peak_megabytes(pids(house)[service]))
    return found


def _await(plot: Plot, service: str, number: int, *, heard: bool) -> None:
    """Wait until a service has published all, and (if there is) handled all that it hears. Raises Wrong."""
    deadline = time.monotonic() + 60 + number / 100
    tables = burst.EXPECTED[service] if heard else {"outbox": 1}
    while time.monotonic() < deadline:
        written = all(plot.count(service, table) == each * number for table, each in tables.items())
        if written and plot.rows(service, burst.CONFIRMED)[0][0]:
            return
        time.sleep(0.25)
    raise Wrong(f"{service} has {burst.counts(plot)[service]} of {number}")
