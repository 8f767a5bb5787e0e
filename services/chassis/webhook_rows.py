"""What is still to be delivered by webhook: a mark in the ledger for each recipient, and rows for what failed.

Beyond its mark a recipient's events have not been tried. One that could not be delivered gets a row, and the mark moves
on: it is due again, or failed for good.
"""

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import (
    JSON,
    ColumnElement,
    Connection,
    ScalarSelect,
    Select,
    cast,
    delete,
    func,
    insert,
    literal,
    select,
    text,
    update,
)
from sqlalchemy.dialects import postgresql

from services.chassis import outbox as outbox_of
from services.chassis.outbox import SKEW
from services.chassis.tables import marks, outbox, webhook_deliveries, webhook_secrets

_MARK = "webhook."
# The position that is being posted to a recipient, 0 in between: it may be there already.
POSTING = "posting."
_JOINED, _COUNTED = 10_000, 10_000
_LEFT = "no webhook any more"
_rows = webhook_deliveries.c
# Between two statements an event may go from one side of its mark to the other.
_AT_ONE_INSTANT = text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
_EVENT = func.json_extract_path_text(cast(outbox.c.body, JSON), "id")


class Delivery(NamedTuple):
    """An event to deliver now. `body` is None when the ledger has it no more; `first_at` when it was never tried."""

    recipient: str
    position: int
    event: str
    body: str | None
    tries: int
    first_at: datetime | None


def subscribe(
    connection: Connection, recipients: Collection[str], relayed: str, now: datetime, queued: Collection[str] = ()
) -> None:
    """From now on these, and nobody else, are told by webhook; those `queued` by the relay.

    A new one is told of what comes after the mark `relayed` (whatever was before went another way), and without such
    a mark of what comes from now on. What one that left was to be told is failed, tried or not, but for what the relay
    still brings to its queue.
    """
    last = select(marks.c.position).where(marks.c.name == relayed).scalar_subquery()
    start = connection.scalar(select(func.coalesce(last, select(func.max(outbox.c.position)).scalar_subquery(), 0)))
    names = {_MARK + recipient for recipient in recipients}
    if names:
        fresh = postgresql.insert(marks).values([{"name": name, "position": start} for name in sorted(names)])
        back = connection.scalars(fresh.on_conflict_do_nothing().returning(marks.c.name)).all()
        # Whoever comes back is told of these as new.
        again = (literal(_MARK) + _rows.recipient).in_(back) & (_rows.position > start)
        connection.execute(delete(webhook_deliveries).where(again))
    left = delete(marks).where(marks.c.name.startswith(_MARK), marks.c.name.not_in(names))
    for name, position in connection.execute(left.returning(marks.c.name, marks.c.position)).all():
        recipient = name.removeprefix(_MARK)
        end = select(func.coalesce(last, 0)).scalar_subquery() if recipient in queued else None
        _fail_untried(connection, recipient, position, end, now)
    waiting = _rows.recipient.not_in(set(recipients)) & _rows.due_at.is_not(None)
    connection.execute(_given_up(waiting, now).values(reason=_LEFT))


def with_work(connection: Connection, recipients: Collection[str], now: datetime) -> Sequence[str]:
    """Which of these have something to be tried now, and a secret to sign it with."""
    recipient = func.substr(marks.c.name, len(_MARK) + 1)
    # One look into an index for each, however long the ledger is.
    new = _first(select(outbox.c.position).where(_beyond(recipient, marks.c.position)).order_by(outbox.c.position))
    due = _first(select(_rows.position).where(_rows.recipient == recipient, _rows.due_at <= now))
    secret = _first(select(webhook_secrets.c.number).where(webhook_secrets.c.recipient == recipient))
    wanted = marks.c.name.in_([_MARK + each for each in recipients])
    some = func.coalesce(new, due).is_not(None)
    return connection.scalars(select(recipient).where(wanted, secret.is_not(None), some)).all()


def without_secret(connection: Connection, recipients: Collection[str]) -> list[str]:
    """Which of these have no secret yet, so that nothing is sent to them."""
    known = set(connection.scalars(select(webhook_secrets.c.recipient).distinct()))
    return sorted(set(recipients) - known)


def due(connection: Connection, recipient: str, now: datetime, limit: int) -> list[Delivery]:
    """What is to be tried now, in the order of the ledger: first what failed before and is due, then what is new."""
    position = _position(connection, recipient)
    if position is None:
        return []
    again = (
        select(_rows.recipient, _rows.position, _rows.event, outbox.c.body, _rows.tries, _rows.first_at)
        .join_from(webhook_deliveries, outbox, _rows.position == outbox.c.position, isouter=True)
        .where(_rows.recipient == recipient, _rows.due_at <= now)
        .order_by(_rows.position)
        .limit(limit)
    )
    found = [Delivery(*row) for row in connection.execute(again)]
    if found:
        return found
    new = select(outbox.c.position, _EVENT, outbox.c.body).where(_beyond(recipient, position))
    rows = connection.execute(new.order_by(outbox.c.position).limit(limit))
    return [Delivery(recipient, *row, tries=0, first_at=None) for row in rows]


def delivered(connection: Connection, delivery: Delivery) -> bool:
    """It arrived: nothing more is kept of it. False when that is known already, by another replica."""
    outbox_of.move(connection, POSTING + delivery.recipient, 0)
    if delivery.first_at is None:
        return _move(connection, delivery.recipient, delivery.position)
    return bool(connection.execute(delete(webhook_deliveries).where(_is_due(delivery))).rowcount)


def failed(  # noqa: PLR0913, PLR0917 - what there is to remember
    connection: Connection,
    delivery: Delivery,
    reason: str,
    now: datetime,
    due_at: datetime | None,
    reached: bool = True,  # noqa: FBT001, FBT002 - of a try
) -> bool:
    """It did not arrive: due again, or (None) failed for good. False when another replica was at it as well."""
    outbox_of.move(connection, POSTING + delivery.recipient, 0)
    told = {"tries": delivery.tries + 1, "reason": reason, "due_at": due_at, "failed_at": None if due_at else now}
    if delivery.first_at:
        again = update(webhook_deliveries).where(_is_due(delivery))
        ever = _rows.reached | literal(reached)
        return bool(connection.execute(again.values(**told, reached=ever)).rowcount)
    told["reached"] = reached
    if not _move(connection, delivery.recipient, delivery.position):
        return False
    row = {"recipient": delivery.recipient, "position": delivery.position, "event": delivery.event, "first_at": now}
    connection.execute(insert(webhook_deliveries).values(**row, **told))
    return True


def begin(connection: Connection, delivery: Delivery) -> bool:
    """Say, in a commit of its own, that it is being posted. False when it was called back meanwhile."""
    outbox_of.move(connection, POSTING + delivery.recipient, delivery.position)
    still = connection.scalar(select(outbox.c.position).where(outbox.c.position == delivery.position))
    if not still:
        outbox_of.move(connection, POSTING + delivery.recipient, 0)
    return bool(still)


def is_subscribed(connection: Connection, recipient: str) -> bool:
    """Whether this recipient is told by webhook."""
    return _position(connection, recipient) is not None


def about(recipient: str, words: str) -> Select[Any]:
    """What of the ledger is for a recipient and holds these words."""
    holds = func.strpos(outbox.c.body, words) > 0
    return select(outbox.c.position, outbox.c.type).where(outbox.c.recipient == recipient, holds)


def waiting(connection: Connection, recipient: str, words: str) -> list[Any]:
    """(position, type, reached) of what is to be delivered yet and holds these words."""
    mark = _position(connection, recipient) or 0
    new = about(recipient, words).add_columns(literal(value=False).label("reached")).where(outbox.c.position > mark)
    again = (
        about(recipient, words).add_columns(_rows.reached).join(webhook_deliveries, _rows.position == outbox.c.position)
    )
    again = again.where(_rows.due_at.is_not(None), outbox.c.position <= mark)
    return [*connection.execute(new), *connection.execute(again)]


def drop(connection: Connection, positions: Collection[int]) -> None:
    """Nothing of these is to be delivered any more."""
    connection.execute(delete(webhook_deliveries).where(_rows.position.in_(positions)))


def join(connection: Connection, recipient: str, now: datetime, due_at: datetime, reason: str) -> None:
    """What is new waits with what failed, 10,000 events at a time: the receiver does not answer just now."""
    position = _position(connection, recipient)
    if position is None:
        return
    values = (_EVENT, literal(0), literal(reason), literal(now), literal(due_at), literal(value=False))
    new = select(outbox.c.position, literal(recipient), *values).where(_beyond(recipient, position))
    names = ["position", "recipient", "event", "tries", "reason", "first_at", "due_at", "reached"]
    some = postgresql.insert(webhook_deliveries).from_select(names, new.order_by(outbox.c.position).limit(_JOINED))
    joined = connection.scalars(some.on_conflict_do_nothing().returning(_rows.position)).all()
    if joined:
        _move(connection, recipient, max(joined))


def put_right(connection: Connection, recipients: Collection[str], now: datetime, longest: timedelta) -> None:
    """What a clock that was ahead wrote: due in more than `longest`, or first tried in the future. It is due now."""
    ahead = (_rows.due_at > now + longest) | (_rows.first_at > now + SKEW)
    which = _rows.recipient.in_(recipients) & (_rows.due_at > now) & ahead
    connection.execute(
        update(webhook_deliveries).where(which).values(due_at=now, first_at=func.least(_rows.first_at, now))
    )


def give_up(connection: Connection, recipient: str, now: datetime, before: datetime, reason: str) -> int:
    """Those due whose time began before `before` are failed for good; how many."""
    late = (_rows.recipient == recipient) & (_rows.due_at <= now) & (_rows.first_at <= before)
    return connection.execute(_given_up(late, now).values(reason=reason)).rowcount


def replay(connection: Connection, recipient: str, events: Collection[str] | None, now: datetime) -> int:
    """Failed ones (or, None, all of them) are due now, and their time begins anew; how many."""
    wanted = (_rows.recipient == recipient) & _rows.failed_at.is_not(None)
    if events is not None:
        wanted &= _rows.event.in_(events)
    anew = {"first_at": now, "due_at": now, "failed_at": None}
    return connection.execute(update(webhook_deliveries).where(wanted).values(**anew)).rowcount


def facts(connection: Connection, *, only_failed: bool) -> Iterator[dict[str, Any]]:
    """What is pending or failed, by recipient in the order of the ledger; of what was never tried the first 10,000.

    Call it first in a transaction, as `counts`.
    """
    connection.execute(_AT_ONE_INSTANT)
    kept = select(
        _rows.recipient,
        _rows.event,
        outbox.c.type,
        _rows.tries,
        _rows.reason,
        func.coalesce(outbox.c.created_at, _rows.first_at).label("since"),
        _rows.due_at,
        _rows.failed_at,
    ).join_from(webhook_deliveries, outbox, _rows.position == outbox.c.position, isouter=True)
    if only_failed:
        kept = kept.where(_rows.failed_at.is_not(None))
    for row in connection.execute(kept.order_by(_rows.recipient, _rows.position)).mappings():
        yield dict(row)
    if only_failed:
        return
    lacking = without_secret(connection, marked := _marked(connection))
    for recipient, position in marked.items():
        new = select(_EVENT, outbox.c.type, outbox.c.created_at).where(_beyond(recipient, position))
        for event, kind, since in connection.execute(new.order_by(outbox.c.position).limit(_COUNTED)):
            reason = "no secret yet" if recipient in lacking else None
            told = {"event": event, "type": kind, "tries": 0, "reason": reason, "since": since}
            yield {"recipient": recipient, **told, "due_at": None, "failed_at": None}


def counts(connection: Connection, recipients: Collection[str]) -> dict[str, tuple[int, int]]:
    """How many are (pending, failed for good) of each; of what was never tried 10,000 at most."""
    connection.execute(_AT_ONE_INSTANT)
    failed_ones = func.count(_rows.failed_at)
    kept = select(_rows.recipient, func.count(_rows.due_at), failed_ones).group_by(_rows.recipient)
    found = {row[0]: (row[1], row[2]) for row in connection.execute(kept)}
    told = {}
    for recipient, position in _marked(connection).items():
        if recipient in recipients:
            new = select(outbox.c.position).where(_beyond(recipient, position)).limit(_COUNTED).subquery()
            pending, failures = found.get(recipient, (0, 0))
            told[recipient] = pending + (connection.scalar(select(func.count()).select_from(new)) or 0), failures
    return told


def held(connection: Connection) -> dict[str, int]:
    """Of each recipient the last position up to which nothing waits to be delivered: what is beyond must be kept."""
    kept = select(_rows.recipient, func.min(_rows.position)).where(_rows.due_at.is_not(None)).group_by(_rows.recipient)
    first = {row[0]: row[1] for row in connection.execute(kept)}
    return {each: min(position, first.get(each, position + 1) - 1) for each, position in _marked(connection).items()}


def _marked(connection: Connection) -> dict[str, int]:
    found = select(marks.c.name, marks.c.position).where(marks.c.name.startswith(_MARK)).order_by(marks.c.name)
    return {row.name.removeprefix(_MARK): row.position for row in connection.execute(found)}


def _position(connection: Connection, recipient: str) -> int | None:
    """None when another replica, with other network files, has ended this subscription."""
    position: int | None = connection.scalar(select(marks.c.position).where(marks.c.name == _MARK + recipient))
    return position


def _fail_untried(
    connection: Connection, recipient: str, position: int, end: ScalarSelect[Any] | None, now: datetime
) -> None:
    """What of the ledger is beyond a position, up to `end` if there is one, was never tried and never will be."""
    values = (_EVENT, literal(0), literal(_LEFT), literal(now), literal(now))
    untried = select(outbox.c.position, literal(recipient), *values).where(_beyond(recipient, position))
    if end is not None:
        untried = untried.where(outbox.c.position <= end)
    names = ["position", "recipient", "event", "tries", "reason", "first_at", "failed_at"]
    rows = postgresql.insert(webhook_deliveries).from_select(names, untried)
    connection.execute(rows.on_conflict_do_nothing())


def _move(connection: Connection, recipient: str, position: int) -> bool:
    """Forward only, since a replica that was frozen may come late; whether it moved."""
    further = (marks.c.name == _MARK + recipient) & (marks.c.position < position)
    return bool(connection.execute(update(marks).where(further).values(position=position)).rowcount)


def _is_due(delivery: Delivery) -> ColumnElement[bool]:
    return (_rows.position == delivery.position) & _rows.due_at.is_not(None)


def _beyond(recipient: str | ColumnElement[str], position: int | ColumnElement[int]) -> ColumnElement[bool]:
    return (outbox.c.recipient == recipient) & (outbox.c.position > position)


def _first(statement: Any) -> ScalarSelect[Any]:  # noqa: ANN401 - of any column
    found: ScalarSelect[Any] = statement.limit(1).scalar_subquery()
    return found


def _given_up(which: ColumnElement[bool], now: datetime) -> Any:  # noqa: ANN401 - an UPDATE
    return update(webhook_deliveries).where(which).values(due_at=None, failed_at=now)
