"""Cases that were erased, known by their tombstones: what comes late about one is coarsened before it is seen."""

import json
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, Connection, Uuid, delete, func, select, text, update
from sqlalchemy import column as sql_column
from sqlalchemy import table as sql_table

from services.chassis.app import D
from services.chassis.inbox import Failure
from services.chassis.outbox import SKEW
from services.chassis.tables import failures, outbox
from services.contracts import topology
from services.contracts.coarse import digest, noon, pseudonyms
from services.contracts.envelope import CloudEvent
from services.contracts.intake import CaseErased

_KINDS = {event.TYPE: event for event in topology.PUBLISHED}
ID = re.compile("[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# As one text of lines: an array's elements would be quoted one by one. OFFSET 0: each by the index, since the planner
# reads the whole table for each batch until somebody has analysed it. EXISTS: asked once, instead of for each.
_KNOWN = text("""
    SELECT encode(known.digest, 'hex'), secret
    FROM unnest(string_to_array(:digests, E'\\n')) AS wanted (hex)
    CROSS JOIN LATERAL (SELECT digest FROM erased WHERE digest = decode(hex, 'hex') OFFSET 0) AS known
    LEFT JOIN forgetting USING (digest)
    WHERE EXISTS (SELECT FROM erased)""")

_LATEST = text("""
    SELECT digest, secret FROM (SELECT digest FROM erased WHERE at >= :since ORDER BY at DESC LIMIT :most) AS latest
    LEFT JOIN forgetting USING (digest)""")
_MOST = 1000
_NAMING = text("""
    SELECT number, body FROM failures
    WHERE EXISTS (SELECT FROM unnest(string_to_array(:needles, E'\\n')) AS needle
                  WHERE position(convert_to(needle, 'UTF8') IN body) > 0)
    FOR UPDATE""")

# Work at hand names whom, until it is done.
_ID_COLUMNS = text("""
    SELECT table_name, column_name FROM information_schema.columns
    WHERE table_schema = 'public' AND data_type = 'uuid' AND table_name <> 'forgetting'""")
_ROWS = 2000


def among(connection: Connection, subjects: Iterable[UUID]) -> dict[UUID, UUID]:
    """Which of these were erased, each with the secret of its new ids: a fresh one where the first is dropped."""
    digests = {digest(one).hex(): one for one in subjects}
    if not digests:
        return {}
    found = connection.execute(_KNOWN, {"digests": "\n".join(digests)})
    return {digests[known]: secret or uuid4() for known, secret in found}


def arriving(connection: Connection, events: Sequence[CloudEvent[D]], oldest: float) -> Sequence[CloudEvent[D]]:
    """The events, coarsened where they are about a case that was erased; without those of which nothing remains.

    `oldest`: when the first of them was told, in seconds (comparing a thousand times takes longer than all the rest).
    Who erases tells nothing of a case afterwards: its events are compared with the erasures since they were told, which
    are few, and mostly none. What others make of its events may be told at any time after the erasure, by a service
    that has not heard of it yet, and is looked up among all: a tenth of the time of a batch.
    """
    if events[0].data.SERVICE == CaseErased.SERVICE:
        known = _lately(connection, events, datetime.fromtimestamp(oldest, UTC) - SKEW)
    else:
        known = among(connection, {subject for event in events for subject in event.data.subjects()})
    if not known:
        return events
    kept = []
    for event in events:
        secret = next((known[one] for one in event.data.subjects() if one in known), None)
        left = event if secret is None else _coarsened(event, secret)
        if left is not None:
            kept.append(left)
    return kept


def _lately(connection: Connection, events: Sequence[CloudEvent[D]], since: datetime) -> dict[UUID, UUID]:
    """As `among`, of the cases that these events are about: those erased since then."""
    latest = connection.execute(_LATEST, {"since": since, "most": _MOST + 1}).all()
    if not latest:
        return {}
    subjects = {subject for event in events for subject in event.data.subjects()}
    if len(latest) > _MOST:
        return among(connection, subjects)
    secrets = {bytes(row.digest): row.secret for row in latest}
    return {one: secrets[known] or uuid4() for one in subjects if (known := digest(one)) in secrets}


def _coarsened(event: CloudEvent[D], secret: UUID) -> CloudEvent[D] | None:
    data = event.data.coarsened(pseudonyms(secret))
    if data is None:
        return None
    return event.model_copy(update={"data": data, "time": noon(event.time).astimezone(UTC), "traceparent": None})


def is_notice(body: str | bytes) -> bool:
    """Whether a document makes others forget: it names whom, and is kept until they did."""
    try:
        return bool(json.loads(body)["type"] in topology.NOTICES)
    except (ValueError, KeyError, TypeError, RecursionError):
        return False


def document(body: str | bytes, secret: UUID) -> str | None:
    """What is left of an event's document; None: nothing, as of what cannot be read."""
    try:
        told = json.loads(body)
        event: CloudEvent[Any] = CloudEvent.model_validate(told)
        data = _KINDS[event.type].model_validate(event.data).coarsened(pseudonyms(secret))
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    if data is None:
        return None
    time = noon(event.time).astimezone(UTC).isoformat().replace("+00:00", "Z")
    left = {**told, "time": time, "data": data.model_dump(mode="json")}
    left.pop("traceparent", None)
    return json.dumps(left, ensure_ascii=False, separators=(",", ":"))


def failing(connection: Connection, failure: Failure) -> Failure | None:
    """A failure as it may be kept: coarsened where it names an erased case; None where nothing of it may."""
    if is_notice(failure.body):
        return failure
    named = {UUID(one) for one in ID.findall(failure.body.decode(errors="replace").lower())}
    known = among(connection, named)
    if not known:
        return failure
    left = document(failure.body, next(iter(known.values())))
    return replace(failure, body=left.encode()) if left else None


def rewrite_failures(connection: Connection, needles: Collection[UUID], secret: UUID) -> None:
    """Coarsen the events that wait or are parked and name one of these, or drop those of which nothing remains."""
    for row in connection.execute(_NAMING, {"needles": "\n".join(map(str, needles))}).all():
        if is_notice(row.body):
            continue
        left, this = document(row.body, secret), failures.c.number == row.number
        if left is None:
            connection.execute(delete(failures).where(this))
        else:
            connection.execute(update(failures).where(this).values(body=left.encode()))


def held(connection: Connection, digests: Collection[bytes]) -> set[UUID]:
    """Of these, the ids that any table or event of this database still has: after a restore. Reads all of it."""
    found: set[UUID] = set()
    columns = connection.execute(_ID_COLUMNS).all()
    for table, column in columns:
        one: ColumnElement[UUID] = sql_column(column, Uuid)
        its = select(one).distinct().select_from(sql_table(table))
        wanted = its.where(func.sha256(func.uuid_send(one)).in_(digests))
        found.update(connection.scalars(wanted))
    for body in connection.execution_options(yield_per=_ROWS).scalars(select(outbox.c.body)):
        found.update(one for one in map(UUID, ID.findall(body)) if digest(one) in digests)
    return found
