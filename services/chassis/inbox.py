"""What a consumer remembers: events handled, events that failed, events given up."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Annotated, Any, Generic, Literal, Union

from pydantic import Field, TypeAdapter, ValidationError, create_model
from sqlalchemy import Connection, Row, delete, func, select, text, update
from sqlalchemy.dialects import postgresql

from services.chassis.app import D
from services.chassis.tables import failures
from services.contracts.envelope import BATCH_CONTENT_TYPE, CloudEvent, EventData

# As two texts of lines, which neither may break: an array's elements would be quoted one by one.
_WANTED = """
    SELECT * FROM unnest(string_to_array(:sources, E'\\n'), string_to_array(:ids, E'\\n')) AS wanted (source, id)"""
_ADMIT = text(f"""
    WITH wanted AS ({_WANTED}),
    fresh AS (INSERT INTO inbox (source, id) SELECT * FROM wanted ON CONFLICT DO NOTHING RETURNING source, id)
    SELECT * FROM wanted EXCEPT ALL SELECT * FROM fresh""")  # noqa: S608 - our own words
_KNOWN = text(f"SELECT source, id FROM inbox JOIN ({_WANTED}) AS wanted USING (source, id)")  # noqa: S608 - same


# What pydantic says of a document where several types may be, as it says it where one is.
_WRONG = {
    "union_tag_not_found": ("type", "missing"),
    "union_tag_invalid": ("type", "literal_error"),
    "model_attributes_type": ("document", "model_type"),
}


class Unreadable(Exception):
    """A message that will never be understood; says why without quoting it."""


class Received(Generic[D]):
    """The events of one message, or of several, in order; and where each came from."""

    def __init__(self, body: bytes = b"", events: Sequence[CloudEvent[D]] = ()) -> None:
        self.events = list(events)
        self.messages = [(body, len(self.events))]

    def add(self, other: "Received[D]") -> None:
        """Those of another message behind ours."""
        self.events += other.events
        self.messages += other.messages

    def document(self, place: int) -> bytes:
        """One event's own document, as it came, to be kept in case it fails."""
        for body, number in self.messages:
            if place < number:
                found = json.loads(body)
                return json.dumps(found[place]).encode() if isinstance(found, list) else body
            place -= number
        raise IndexError(place)


def read(body: bytes, content_type: str, accepted: tuple[type[D], ...]) -> Received[D]:
    """The events in one message, of these kinds: one, or many in CloudEvents batch mode. Raises Unreadable."""
    batch = content_type == BATCH_CONTENT_TYPE
    one, many = _readers(accepted)
    try:
        return Received(body, many.validate_json(body) if batch else [one.validate_json(body)])
    except ValidationError:
        return Received(body, _read_in_steps(body, accepted, batch=batch))


@cache
def _readers(accepted: tuple[type[EventData], ...]) -> tuple[TypeAdapter[Any], TypeAdapter[Any]]:
    """One pass from bytes to events takes a third of the time of three: JSON, envelope, data."""
    envelopes = [_envelope(kind) for kind in accepted]
    # mypy takes no variables for types.
    one: Any = Annotated[Union[tuple(envelopes)], Field(discriminator="type")] if len(envelopes) > 1 else envelopes[0]  # noqa: UP007
    return TypeAdapter(one), TypeAdapter(list[one])


def _envelope(accepted: type[EventData]) -> Any:  # noqa: ANN401 - a type
    kind: Any = Literal[accepted.TYPE]
    base: Any = CloudEvent.__class_getitem__(accepted)
    return create_model(f"{accepted.name()}Event", __base__=base, type=(kind, ...))


def _read_in_steps(body: bytes, accepted: tuple[type[D], ...], *, batch: bool) -> list[CloudEvent[D]]:
    """Says what is wrong; and reads what Python's JSON takes and pydantic's does not, such as half a surrogate pair."""
    try:
        document = json.loads(body)
    except ValueError as error:  # not UTF-8, not JSON, or a number of thousands of digits
        raise Unreadable(f"not JSON: {type(error).__name__}") from None
    except RecursionError:
        raise Unreadable("not JSON: nested too deeply") from None
    if not batch:
        return [_read_one(document, accepted)]
    if not isinstance(document, list):
        raise Unreadable("a batch must be a JSON array")
    return [_read_one(one, accepted) for one in document]


def _read_one(document: Any, accepted: tuple[type[D], ...]) -> CloudEvent[D]:  # noqa: ANN401 - any JSON
    try:
        event: CloudEvent[D] = _readers(accepted)[0].validate_python(document)
    except ValidationError as error:
        types = [kind.TYPE for kind in accepted]
        problems = [
            _WRONG.get(problem["type"])
            or (".".join(str(part) for part in problem["loc"] if part not in types) or "document", problem["type"])
            for problem in error.errors()
        ]
        if ("type", "literal_error") in problems:
            raise Unreadable(f"expected type {', '.join(types)}"[:500]) from None
        places = ", ".join(f"{place} ({kind})" for place, kind in problems)
        raise Unreadable(f"not a valid event: {places}"[:500]) from None
    return event


def parts(body: bytes, content_type: str) -> list[bytes]:
    """The documents of a batch one by one, so that an unreadable one takes no other with it; none for anything else."""
    if content_type != BATCH_CONTENT_TYPE:
        return []
    try:
        documents = json.loads(body)
        return [json.dumps(one).encode() for one in documents] if isinstance(documents, list) else []
    except (ValueError, RecursionError):
        return []


def unhandled(connection: Connection, events: Sequence[CloudEvent[D]]) -> list[int]:
    """The places of those events that were never handled here; nothing is remembered of them."""
    known = {tuple(row) for row in connection.execute(_KNOWN, _keys(events))}
    return [place for place, event in enumerate(events) if (event.source, event.id) not in known]


def admit(connection: Connection, events: Sequence[CloudEvent[D]]) -> Sequence[CloudEvent[D]]:
    """Those of the events that were never handled here, each once, in order; they count as handled from the commit."""
    again = Counter(tuple(row) for row in connection.execute(_ADMIT, _keys(events)))
    if not again:
        return events
    admitted = []
    # From the end: of an event that is here twice the first is admitted.
    for event in reversed(events):
        key = (event.source, event.id)
        if again[key]:
            again[key] -= 1
        else:
            admitted.append(event)
    return admitted[::-1]


def _keys(events: Sequence[CloudEvent[D]]) -> dict[str, str]:
    return {
        "sources": "\n".join([event.source for event in events]),
        "ids": "\n".join([event.id for event in events]),
    }


@dataclass(frozen=True, slots=True)
class Failure:
    """A message that could not be handled: tried again at `due_at`, or parked (None)."""

    queue: str
    content_type: str
    body: bytes
    tries: int
    reason: str
    due_at: datetime | None
    source: str | None = None
    id: str | None = None


def remember(connection: Connection, failure: Failure, now: datetime) -> None:
    """Write a failure down; the same event failing again replaces what was known of it."""
    statement = postgresql.insert(failures).values(
        queue=failure.queue,
        source=failure.source,
        id=failure.id,
        content_type=failure.content_type,
        body=failure.body,
        tries=failure.tries,
        reason=failure.reason,
        failed_at=now,
        due_at=failure.due_at,
    )
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["queue", "source", "id"],
            index_where=failures.c.id.is_not(None),
            set_={"tries": failure.tries, "reason": failure.reason, "failed_at": now, "due_at": failure.due_at},
        )
    )


def take_due(connection: Connection, queue: str, now: datetime) -> Row[Any] | None:
    """One failed message whose time has come, locked for this transaction; other replicas skip it."""
    return connection.execute(
        select(failures)
        .where(failures.c.queue == queue, failures.c.due_at <= now)
        .order_by(failures.c.due_at)
        .limit(1)
        .with_for_update(skip_locked=True)
    ).first()


def forget(connection: Connection, number: int) -> bool:
    """Drop a failure: handled at last, or given up by an operator. Whether there was one."""
    return connection.execute(delete(failures).where(failures.c.number == number)).rowcount > 0


def postpone(connection: Connection, number: int, *, tries: int, reason: str, due_at: datetime | None) -> None:
    """Another try failed: wait until `due_at`, or park (None)."""
    connection.execute(
        update(failures).where(failures.c.number == number).values(tries=tries, reason=reason, due_at=due_at)
    )


def parked(connection: Connection, number: int | None = None) -> Sequence[Row[Any]]:
    """The parked messages, oldest first; or the one with `number`."""
    statement = select(failures).where(failures.c.due_at.is_(None)).order_by(failures.c.number)
    return connection.execute(statement if number is None else statement.where(failures.c.number == number)).all()


def replay(connection: Connection, numbers: Iterable[int], now: datetime) -> int:
    """Try parked messages again at once, as if for the first time; how many."""
    statement = update(failures).where(failures.c.number.in_(list(numbers)), failures.c.due_at.is_(None))
    return connection.execute(statement.values(tries=0, due_at=now)).rowcount


def count_parked(connection: Connection) -> int:
    """How many messages are parked."""
    return connection.scalar(select(func.count()).select_from(failures).where(failures.c.due_at.is_(None))) or 0


def parked_facts(connection: Connection, queue: str | None = None, reason: str | None = None) -> list[dict[str, Any]]:
    """What may be told of the parked messages, oldest first: of one queue, with these words in their reason."""
    columns = [failures.c[name] for name in ("number", "queue", "id", "tries", "reason", "failed_at")]
    statement = select(*columns, func.length(failures.c.body).label("bytes")).where(failures.c.due_at.is_(None))
    if queue:
        statement = statement.where(failures.c.queue == queue)
    if reason:
        statement = statement.where(failures.c.reason.icontains(reason, autoescape=True))
    return [dict(row._mapping) for row in connection.execute(statement.order_by(failures.c.number))]  # noqa: SLF001


def drop(connection: Connection, numbers: Iterable[int]) -> int:
    """Forget parked messages for good; how many."""
    statement = delete(failures).where(failures.c.number.in_(list(numbers)), failures.c.due_at.is_(None))
    return connection.execute(statement).rowcount
