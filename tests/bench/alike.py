"""Whether every contestant writes the same rows and sends the same messages: visits of every kind, compared one by one.

Every other visit is published, and then all of them: what was handled before must not be handled again.

What is drawn anew in each run is taken out first: identifiers, traces, the order of rows, services' ports, and the
instants of the run itself. Deadlines stay, which are of the day: at midnight in Paris they differ.
"""

import json
import re
import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from psycopg import sql

from tests.bench.burst import EXPECTED, QUEUES, Contestant, Wrong
from tests.bench.ground import Ground, Plot
from tests.bench.seeds import Seed, fill, of_every_kind

_DRAWN = (
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}"), "ID"),
    (re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-01"), "TRACE"),
    (re.compile(r"http://127\.0\.0\.1:\d+"), "URL"),
)
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)")
_LEFT_OUT = {"outbox": ("position",), "referrals": ("change",)}
_DOCUMENTS = {"outbox": ("body",), "referrals": ("fallbacks",)}
_QUIET_SECONDS = 1.0
Lines = Counter[str]


def lines_of(ground: Ground, contestant: Contestant, seeds: Sequence[Seed]) -> Lines:
    """All that a contestant makes of these visits, line by line."""
    began = datetime.now(UTC)
    with ground.plot() as plot, contestant.running(ground, plot):
        fill(plot, seeds[::2])
        _await_quiet(plot)
        fill(plot, seeds)
        _await_quiet(plot)
        return Counter(_plain(line, began) for line in (*_rows(plot), *_messages(ground, plot)))


def compare(ground: Ground, contestants: Sequence[Contestant]) -> dict[str, int]:
    """How many rows and messages each has; the first is what the others must equal. Raises Wrong."""
    seeds = of_every_kind()
    first, *others = contestants
    wanted = lines_of(ground, first, seeds)
    told = {first.label: wanted.total()}
    for one in others:
        found = lines_of(ground, one, seeds)
        if found != wanted:
            missing, more = sorted(wanted - found)[:3], sorted(found - wanted)[:3]
            raise Wrong(f"{one.name} differs\nmissing {missing}\nmore {more}")
        told[one.label] = found.total()
    return told


def _rows(plot: Plot) -> list[str]:
    found = []
    for service, tables in EXPECTED.items():
        for table in (*tables, "marks", "failures"):
            query = sql.SQL("SELECT row_to_json(t) FROM {} AS t").format(sql.Identifier(table))
            for (row,) in plot.database(service).execute(query):
                kept = {name: value for name, value in row.items() if name not in _LEFT_OUT.get(table, ())}
                for column in _DOCUMENTS.get(table, ()):
                    kept[column] = json.loads(kept[column])
                found.append(f"{service}.{table} {json.dumps(kept, sort_keys=True)}")
    return found


def _messages(ground: Ground, plot: Plot) -> list[str]:
    """What partners have in their queues."""
    found = []
    for queue in ground.rabbit.queues(plot.name):
        if not queue.startswith("out."):
            continue
        for message in ground.rabbit.drain(plot.name, queue):
            properties = {name: message["properties"].get(name) for name in ("content_type", "type", "delivery_mode")}
            body = json.loads(message["payload"])
            found.append(f"{queue} {json.dumps([properties, body], sort_keys=True)}")
    return found


def _plain(line: str, began: datetime) -> str:
    for pattern, word in _DRAWN:
        line = pattern.sub(word, line)
    return _INSTANT.sub(lambda found: _told(found[0], began), line)


def _told(instant: str, began: datetime) -> str:
    """An instant of the run itself, in a word; any other as it is."""
    found = datetime.fromisoformat(instant)
    if not began - timedelta(minutes=1) < found <= datetime.now(UTC):
        return instant
    if found == found.replace(second=0, microsecond=0):
        return "THIS MINUTE"
    return "NOW" if found >= began else instant


def _await_quiet(plot: Plot) -> None:
    """Wait until nothing has changed for a second and nothing waits. Raises Wrong."""
    deadline = time.monotonic() + 30
    last: object = None
    while time.monotonic() < deadline:
        seen = [plot.count(service, table) for service, tables in EXPECTED.items() for table in tables]
        waiting = sum(plot.depths(QUEUES).values())
        if seen == last and not waiting:
            return
        last = seen
        time.sleep(_QUIET_SECONDS)
    raise Wrong("never quiet")
