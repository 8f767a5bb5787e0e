"""What was called back in time is delivered to nobody; what may have left is known to have."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.chassis import outbox, recalling, webhook_rows
from services.chassis.app import App
from services.chassis.database import Database
from services.chassis.outbox import Entry
from services.chassis.recalling import RELAYED, RELAYING
from services.chassis.relay import Relay
from tests.support.house import eventually
from tests.support.rabbit import Rabbit

NOW = datetime(2026, 11, 20, 8, 30, tzinfo=UTC)
SENT, LATER = "fr.relais.ReferralSent.v1", "fr.relais.ReferralReminded.v1"


def write(database: Database, *told: tuple[str, str, str]) -> list[int]:
    """Append (recipient, type, words) to the ledger; their positions."""
    with database.begin() as connection:
        outbox.append(connection, [Entry(to, kind, "k", f'{{"id": "{words}"}}') for to, kind, words in told], NOW)
    return [row.position for row in left(database)[-len(told) :]]


def left(database: Database) -> list[Any]:
    """What the ledger has for outsiders."""
    with database.begin() as connection:
        return list(outbox.waiting(connection, "nobody", outside=True, limit=100))


def recall(database: Database, words: str = "mine", recipient: str = "a") -> bool:
    """Call it back."""
    with database.begin() as connection:
        return recalling.recall(connection, recipient, words, SENT)


def move(database: Database, mark: str, position: int) -> None:
    """Set a mark."""
    with database.begin() as connection:
        outbox.move(connection, mark, position)


def test_what_nobody_has_begun_to_deliver_is_gone(database: Database) -> None:
    """All that holds the words, for this recipient; others' stay, and so do its others."""
    write(database, ("a", SENT, "mine"), ("a", SENT, "other"), ("b", SENT, "mine"), ("a", LATER, "mine"))
    assert recall(database)
    assert [(row.recipient, row.body) for row in left(database)] == [("a", '{"id": "other"}'), ("b", '{"id": "mine"}')]
    assert not recall(database)  # nothing of it is there any more


def test_what_may_have_left_is_told(database: Database) -> None:
    """Published; or about to be, even where the publishing was cut off; or read over HTTP; or only its beginning."""
    sent, reminded = write(database, ("a", SENT, "mine"), ("a", LATER, "mine"))
    move(database, RELAYED, sent)
    assert not recall(database)
    assert [row.position for row in left(database)] == [sent]  # what still waited does not leave any more
    (cut,) = write(database, ("a", SENT, "cut off"))
    move(database, RELAYING, cut)
    assert not recall(database, "cut off")
    write(database, ("a", SENT, "read"))
    with database.begin() as connection, recalling.reading(connection, "a"):
        assert len(outbox.after(connection, reminded, recipient="a", limit=9)) == 1
    assert not recall(database, "read")
    write(database, ("a", SENT, "unread"))
    assert recall(database, "unread")


def test_a_reader_and_a_recall_wait_for_each_other(database: Database) -> None:
    """Whoever is reading has it; whoever comes after a recall has begun finds it gone."""
    write(database, ("a", SENT, "mine"))
    with ThreadPoolExecutor(1) as pool:
        with database.begin() as connection, recalling.reading(connection, "a"):
            assert outbox.after(connection, 0, recipient="a", limit=9)
            late = pool.submit(recall, database)
        assert late.result(timeout=10) is False
    write(database, ("a", SENT, "again"))
    with ThreadPoolExecutor(1) as pool:
        with database.begin() as connection:
            assert recalling.recall(connection, "a", "again", SENT)
            reading = pool.submit(_read, database)
        assert reading.result(timeout=10) == []


def _read(database: Database) -> list[str]:
    with database.begin() as connection, recalling.reading(connection, "a"):
        return [row.body for row in outbox.after(connection, 0, recipient="a", limit=9)]


def test_the_relay_says_before_how_far_it_goes(
    app: App, database: Database, rabbit: Rabbit, vhosts: Callable[[], str]
) -> None:
    """What is called back while the relay holds still is not published; what it has said to publish is not certain."""
    vhost = vhosts()
    first, second = write(database, ("a", SENT, "first"), ("a", SENT, "second"))
    with database.begin() as connection:
        assert recalling.going_to_relay(connection, 1) == first
    assert not recall(database, "first")  # gone, but it may have left
    assert recall(database, "second")
    write(database, ("a", SENT, "third"))
    relay = Relay(app, rabbit.url(vhost), outside=True, queues=("a",))
    threading.Thread(target=relay.run, daemon=True).start()
    try:
        eventually(lambda: relay_is_done(database), within=20)
    finally:
        relay.finish()
        assert relay.stopped.wait(20)
    (message,) = rabbit.drain(vhost, "out.a")
    assert "third" in message["payload"]
    with database.begin() as connection:
        assert outbox.position_of(connection, RELAYING) == outbox.position_of(connection, RELAYED) > second


def relay_is_done(database: Database) -> bool:
    """Whether everything is published."""
    with database.begin() as connection:
        return outbox.last_waiting(connection, RELAYED, outside=True, limit=9) == 0


@pytest.mark.parametrize(("reached", "certain"), [(False, True), (True, False)])
def test_a_webhook_that_waits_is_called_back(database: Database, *, reached: bool, certain: bool) -> None:
    """Certainly, if every try ended before the receiver was reached; whatever happens, it is not tried again."""
    with database.begin() as connection:
        webhook_rows.subscribe(connection, ["a"], RELAYED, NOW)
    write(database, ("a", SENT, "mine"), ("a", SENT, "new"))
    with database.begin() as connection:
        delivery = webhook_rows.due(connection, "a", NOW, 1)[0]
        assert webhook_rows.begin(connection, delivery)
    for again, reached_now in ((False, reached), (True, False)):
        with database.begin() as connection:
            tried = delivery._replace(tries=1, first_at=NOW) if again else delivery
            assert webhook_rows.failed(connection, tried, "refused", NOW, NOW + timedelta(hours=1), reached_now)
    move(database, RELAYED, 99)  # the relay passes over who has no queue
    assert recall(database) is certain
    assert recall(database, "new")
    with database.begin() as connection:
        assert webhook_rows.due(connection, "a", NOW + timedelta(days=1), 9) == []
    with database.begin() as connection:
        assert list(webhook_rows.facts(connection, only_failed=False)) == []


def test_what_is_being_posted_may_be_there(database: Database) -> None:
    """Until it is written down what came of it; and what was called back before its turn is not posted."""
    with database.begin() as connection:
        webhook_rows.subscribe(connection, ["a"], RELAYED, NOW)
    write(database, ("a", SENT, "mine"), ("a", SENT, "next"))
    with database.begin() as connection:
        first, second = webhook_rows.due(connection, "a", NOW, 9)
        assert webhook_rows.begin(connection, first)
    assert not recall(database)
    assert recall(database, "next")
    with database.begin() as connection:
        assert webhook_rows.delivered(connection, first)
        assert not webhook_rows.begin(connection, second)
