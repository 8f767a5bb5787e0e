"""Calls events for outsiders back before they are delivered, and knows when it is too late for that.

An outsider gets an event in three ways: from its queue, by webhook, and from the ledger over HTTP. Whoever delivers
says beforehand, in a commit of its own, how far it is going to get (the marks below); so that what is beyond is
certainly on no way, even where a delivery was cut off in its middle. What is in a broker's queue already cannot be
called back.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from sqlalchemy import Connection, delete, func, select, update
from sqlalchemy.dialects import postgresql

from services.chassis import outbox, webhook_rows
from services.chassis.tables import marks
from services.chassis.tables import outbox as ledger

# How far the relay has got to outsiders' queues, and how far it is going to get; what a recipient has read over HTTP.
RELAYED, RELAYING, _READ = "relay.partners", "relaying.partners", "read."


class _Waiting(NamedTuple):
    position: int
    type: str
    certain: bool


def recall(connection: Connection, recipient: str, words: str, first: str) -> bool:
    """Take out of the ledger what waits to be delivered to a recipient and holds `words`; whether it never got any.

    True: of what holds these words, from the event of type `first` on, nothing was delivered or read over HTTP, and
    nothing will be: the recipient need not know. False: it may have some of it, and is to be told what has become of
    it; what still waited is taken out all the same. Call it in the transaction that decides: deliveries wait for its
    end.
    """
    read = _locked(connection, _READ + recipient)
    if webhook_rows.is_subscribed(connection, recipient):
        waiting = _of_webhook(connection, recipient, words)
    else:
        waiting = _of_queue(connection, recipient, words)
    positions = [each.position for each in waiting]
    if positions:
        connection.execute(delete(ledger).where(ledger.c.position.in_(positions)))
        webhook_rows.drop(connection, positions)
    untold = all(each.certain and each.position > read for each in waiting)
    return untold and any(each.type == first for each in waiting)


@contextmanager
def reading(connection: Connection, recipient: str) -> Iterator[None]:
    """Around whatever shows a recipient over HTTP what its events tell: nothing of it is called back from then on."""
    _locked(connection, _READ + recipient)
    yield
    last = select(func.max(ledger.c.position)).where(ledger.c.recipient == recipient).scalar_subquery()
    mine = update(marks).where(marks.c.name == _READ + recipient, marks.c.position < last)
    connection.execute(mine.values(position=last))


def going_to_relay(connection: Connection, limit: int) -> int:
    """How far the next batch to outsiders' queues will get; 0 when there is none. To be committed before publishing."""
    last = outbox.last_waiting(connection, RELAYED, outside=True, limit=limit)
    if last > (_locked(connection, RELAYING) if last else 0):
        outbox.move(connection, RELAYING, last)
    return last


def _of_queue(connection: Connection, recipient: str, words: str) -> list[_Waiting]:
    """What the relay was going to publish may have left, though it got no further: it was cut off, or is at it."""
    going = _locked(connection, RELAYING)
    relayed = outbox.position_of(connection, RELAYED)
    found = webhook_rows.about(recipient, words).where(ledger.c.position > relayed)
    return [_Waiting(row.position, row.type, row.position > going) for row in connection.execute(found)]


def _of_webhook(connection: Connection, recipient: str, words: str) -> list[_Waiting]:
    """What is being posted, or what a try has brought as far as the receiver, may be there."""
    posting = _locked(connection, webhook_rows.POSTING + recipient)
    return [
        _Waiting(row.position, row.type, not row.reached and row.position != posting)
        for row in webhook_rows.waiting(connection, recipient, words)
    ]


def _locked(connection: Connection, mark: str) -> int:
    """Where a mark stands, which stays there until the commit."""
    statement = postgresql.insert(marks).values(name=mark, position=0)
    same = statement.on_conflict_do_update(index_elements=["name"], set_={"position": marks.c.position})
    return int(connection.execute(same.returning(marks.c.position)).scalar_one())
