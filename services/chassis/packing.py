"""Many events in one message: CloudEvents batch mode, between our own services only."""

from collections.abc import Iterable, Iterator

from services.chassis.broker import Message
from services.contracts.envelope import BATCH_CONTENT_TYPE, CONTENT_TYPE

_EVENTS, _BYTES = 100, 256 * 1024


def packed(exchange: str, key: str, kind: str, bodies: Iterable[str]) -> Iterator[Message]:
    """Events of one kind to one place, up to a hundred or 256 KiB in a message; alone, an event travels alone."""
    for chunk in _chunks(bodies):
        if len(chunk) == 1:
            yield Message(exchange, key, chunk[0], CONTENT_TYPE, kind)
        else:
            yield Message(exchange, key, f"[{','.join(chunk)}]", BATCH_CONTENT_TYPE, kind)


def _chunks(bodies: Iterable[str]) -> Iterator[list[str]]:
    chunk: list[str] = []
    size = 0
    for body in bodies:
        if chunk and (len(chunk) == _EVENTS or size + len(body) > _BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(body)
        size += len(body)
    if chunk:
        yield chunk
