"""Sending a ledger again: what is sent, in what order of time, and at whose pace."""

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pika
import pytest
from sqlalchemy import text

from services.chassis import broker, outbox, replaying
from services.chassis.database import Database
from services.chassis.outbox import Entry
from services.chassis.replaying import NobodyReads
from services.contracts.envelope import BATCH_CONTENT_TYPE, CONTENT_TYPE
from tests.support.house import eventually
from tests.support.rabbit import Rabbit

NOW = datetime(2026, 11, 20, 8, 30, tzinfo=UTC)
VISIT, SENT = "fr.relais.VisitRecorded.v1", "fr.relais.ReferralSent.v1"
QUEUE = "reporting.from-intake"


@pytest.fixture
def vhost(vhosts: Callable[[], str]) -> str:
    """Lend an empty vhost."""
    return vhosts()


@pytest.fixture
def url(rabbit: Rabbit, vhost: str) -> str:
    """Declare our queues in it."""
    url = rabbit.url(vhost)
    with broker.connect(url, "test") as connection:
        broker.declare_topology(connection)
    return url


def write(database: Database, numbers: range, at: datetime = NOW, kind: str = VISIT, *, to: str | None = None) -> None:
    """Append numbered events, written at a time."""
    with database.begin() as connection:
        outbox.append(connection, [Entry(to, kind, "k", json.dumps({"number": number})) for number in numbers], at)


def wanted(since: datetime | None = None) -> replaying.Wanted:
    """All visits since."""
    return replaying.Wanted(QUEUE, ["VisitRecorded"], since)


def waiting(url: str, queue: str = QUEUE) -> int:
    """How many messages are ready in a queue."""
    with broker.connect(url, "test") as connection, connection.channel() as channel:
        count: int = channel.queue_declare(queue, passive=True).message_count
        return count


@contextmanager
def reader(url: str, *, takes: int = 0) -> Iterator[list[tuple[str, bytes]]]:
    """Read the queue of visits; holding back after `takes` messages, if any are given."""
    read: list[tuple[str, bytes]] = []
    ready, stop = threading.Event(), threading.Event()

    def consume() -> None:
        with pika.BlockingConnection(pika.URLParameters(url)) as connection:
            channel = connection.channel()
            channel.basic_qos(prefetch_count=takes)
            channel.basic_consume(
                QUEUE, lambda _c, _m, properties, body: read.append((properties.content_type, body)), auto_ack=not takes
            )
            ready.set()
            while not stop.is_set():
                connection.process_data_events(0.05)

    thread = threading.Thread(target=consume, daemon=True)
    thread.start()
    try:
        assert ready.wait(10)
        yield read
    finally:
        stop.set()
        thread.join(10)


def numbers(read: list[tuple[str, bytes]]) -> list[int]:
    """The events read, one by one."""
    events = [
        event
        for kind, body in read
        for event in (json.loads(body) if kind == BATCH_CONTENT_TYPE else [json.loads(body)])
    ]
    return [event["number"] for event in events]


def wait_for(read: list[tuple[str, bytes]], number: int) -> None:
    """Until so many events were read: what is on its way to a reader that leaves is lost."""
    eventually(lambda: len(numbers(read)) >= number)


def test_only_what_the_consumer_takes_is_sent_and_only_from_inside(database: Database, url: str) -> None:
    """In order, a hundred to a message, one alone as it first came; a partner's own view stays where it is."""
    write(database, range(1, 251))
    write(database, range(900, 950), kind=SENT)
    write(database, range(960, 962), to="one")
    write(database, range(251, 302))
    with reader(url) as read:
        sent = replaying.replay(database, url, wanted())
        wait_for(read, 301)
    assert (sent.events, sent.messages, sent.begins) == ({"VisitRecorded": 301}, 4, None)
    assert numbers(read) == list(range(1, 302))
    assert Counter(kind for kind, _ in read) == {BATCH_CONTENT_TYPE: 3, CONTENT_TYPE: 1}
    assert [waiting(url, other) for other in ("orientation.from-intake", "reporting.from-referral")] == [0, 0]


def test_a_ledger_is_entered_at_any_time_however_many_positions_are_missing(database: Database, url: str) -> None:
    """By halving; also where a sequence was set forward, as after a restore."""
    for day in range(20):
        write(database, range(day * 10, day * 10 + 10), NOW + timedelta(days=day))
        if day % 5 == 4:
            with database.begin() as connection:
                connection.execute(text("SELECT setval('outbox_position_seq', nextval('outbox_position_seq') + 5000)"))
    for day in (0, 1, 4, 5, 10, 19):
        for since, first in ((timedelta(0), day * 10), (timedelta(seconds=1), day * 10 + 10)):
            with reader(url) as read:
                sent = replaying.replay(database, url, wanted(NOW + timedelta(days=day) + since))
                wait_for(read, 200 - first)
            assert sent.events["VisitRecorded"] == 200 - first
            assert numbers(read) == list(range(first, 200))


def test_nothing_is_sent_to_a_consumer_that_does_not_run(
    database: Database, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A year of events in a queue that nobody reads would fill the broker, and stop everybody."""
    monkeypatch.setattr(replaying, "_READER_SECONDS", 0.5)
    write(database, range(10))
    with pytest.raises(NobodyReads, match=QUEUE):
        replaying.replay(database, url, wanted())
    assert waiting(url) == 0


def test_no_more_is_sent_than_the_consumer_takes(
    database: Database, url: str, monkeypatch: pytest.MonkeyPatch, tell: Callable[[str], None]
) -> None:
    """A consumer that hesitates at its third message has a bounded number before it, however much is to be sent."""
    monkeypatch.setattr(replaying, "_QUEUED_MESSAGES", 5)
    monkeypatch.setattr(replaying, "_WINDOW", 300)
    write(database, range(3000))
    told: list[tuple[int, int]] = []
    with reader(url, takes=3):
        replay = threading.Thread(
            target=lambda: replaying.replay(
                database, url, wanted(), tell=lambda done, total: told.append((done, total))
            ),
            daemon=True,
        )
        replay.start()
        eventually(lambda: waiting(url) >= 5)
        replay.join(1)
        assert replay.is_alive()
        depth = waiting(url)
        with reader(url) as read:
            replay.join(20)
            assert not replay.is_alive()
            wait_for(read, 3000 - 300)
    tell(f"3,000 events for a consumer that stopped taking: {depth} messages waited, and the rest went on once it took")
    assert 5 <= depth < 5 + 3
    assert told == [(done, 3000) for done in range(0, 3000, 300)]
    assert len(set(numbers(read))) == 3000 - 300


@pytest.mark.parametrize("missing", [1, 0.5])
def test_an_empty_ledger_is_soon_sent(database: Database, url: str, missing: float) -> None:
    """Nothing there, or nothing so late."""
    if missing < 1:
        write(database, range(10))
    sent = replaying.replay(database, url, wanted(NOW + timedelta(days=1)))
    assert (sent.events, sent.messages) == ({"VisitRecorded": 0}, 0)


def test_the_operators_account_may_do_it_and_a_services_may_not(
    database: Database, url: str, rabbit: Rabbit, vhost: str
) -> None:
    """As the production's definitions have it: whoever may write into any queue could forge any event."""
    definitions = json.loads((Path(__file__).parents[3] / "deploy/rabbitmq/definitions.json").read_text())
    rights = {
        one["user"]: {right: one[right].replace("$$", "$") for right in ("configure", "write", "read")}
        for one in definitions["permissions"]
        if one["vhost"] == "relais"
    }
    write(database, range(10))
    for user in ("operator", "intake"):
        rabbit.add_user(user, "secret")
        rabbit.permit(user, vhost, **rights[user])
    with reader(url) as read:
        replaying.replay(database, rabbit.url(vhost, "operator", "secret"), wanted())
        with pytest.raises(replaying.AWAY):
            replaying.replay(database, rabbit.url(vhost, "intake", "secret"), wanted())
        wait_for(read, 10)
    assert numbers(read) == list(range(10))
    for user in ("operator", "intake"):
        rabbit.delete_user(user)
