"""The statements and the packing that the fast peers share; the drivers differ, the words do not."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from services.chassis.recalling import RELAYING
from services.chassis.relay import _LOCKS, INSIDE, OUTSIDE
from services.contracts import topology
from services.contracts.envelope import BATCH_CONTENT_TYPE, CONTENT_TYPE
from tests.bench.peer_batch import COLUMNS, Row

# Events in one CloudEvents batch, and its bytes: as Relais.
BATCH_EVENTS, BATCH_BYTES = 100, 256 * 1024
# No value is taken for NULL: contracts and JSON allow no bare control character.
NULL: Final = "\x02"
_ESCAPES = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}
# As `services.chassis.outbox`: whoever numbers events holds it until the commit.
APPENDING: Final = 0x4F555442
COPY: Final = {
    table: "COPY {} ({}) FROM STDIN (NULL '{}')".format(table, ", ".join(f'"{name}"' for name in columns), NULL)
    for table, columns in COLUMNS.items()
}
# How far the next window to partners gets, committed before it is published: what is beyond can be called back still.
ANNOUNCE: Final = f"""INSERT INTO marks (name, position)
    SELECT '{RELAYING}', max(position) FROM (
        SELECT position FROM outbox WHERE recipient IS NOT NULL
        AND position > coalesce((SELECT position FROM marks WHERE name = '{OUTSIDE}'), 0)
        ORDER BY position LIMIT %d) AS next
    HAVING max(position) IS NOT NULL
    ON CONFLICT (name) DO UPDATE SET position = greatest(marks.position, excluded.position) RETURNING position"""  # noqa: S608 - our own names
# How far a window inside may get.
ANYWHERE: Final = 2**63 - 1
LOCKS: Final = {INSIDE: _LOCKS[INSIDE], OUTSIDE: _LOCKS[OUTSIDE]}
Message = tuple[str, str, bytes, str, str]  # exchange, routing key, body, content type, type


def copied(rows: Sequence[Row]) -> bytes:
    """Rows in COPY's text format."""
    lines = []
    for row in rows:
        line = "\t".join([NULL if value is None else str(value) for value in row])
        if "\\" in line or "\n" in line or "\r" in line or line.count("\t") >= len(row):
            line = "\t".join([NULL if value is None else _escaped(str(value)) for value in row])
        lines.append(line)
    return ("\n".join(lines) + "\n").encode()


def _escaped(text: str) -> str:
    for character, spelt in _ESCAPES.items():
        text = text.replace(character, spelt)
    return text


def in_order(tables: Iterable[str]) -> list[str]:
    """The outbox last, since its lock is held until the commit."""
    return sorted(tables, key=lambda table: table == "outbox")


def packed(service: str, rows: Iterable[tuple[str, str, str]]) -> Iterator[Message]:
    """(type, routing key, body) as messages: those of one kind and key share one, as in Relais."""
    exchange = topology.exchange_of(service)
    groups: defaultdict[tuple[str, str], list[bytes]] = defaultdict(list)
    for kind, key, body in rows:
        groups[kind, key].append(body.encode())
    for (kind, key), group in groups.items():
        for bodies in _chunks(group):
            if len(bodies) == 1:
                yield exchange, key, bodies[0], CONTENT_TYPE, kind
            else:
                yield exchange, key, b"[" + b",".join(bodies) + b"]", BATCH_CONTENT_TYPE, kind


def addressed(rows: Iterable[tuple[str, str, str]]) -> Iterator[Message]:
    """(recipient, type, body) as messages to partners: each alone."""
    for recipient, kind, body in rows:
        yield "", f"out.{recipient}", body.encode(), CONTENT_TYPE, kind


def _chunks(bodies: Sequence[bytes]) -> Iterator[list[bytes]]:
    chunk: list[bytes] = []
    size = 0
    for body in bodies:
        if chunk and (len(chunk) == BATCH_EVENTS or size + len(body) > BATCH_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(body)
        size += len(body)
    if chunk:
        yield chunk
