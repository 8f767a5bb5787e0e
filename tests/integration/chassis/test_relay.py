"""The relay, from a real ledger to the real broker."""

import threading
import time
from collections.abc import Callable

import pika
from sqlalchemy import text
from structlog.testing import capture_logs

from services.chassis.app import App
from services.chassis.outbox import Entry
from services.chassis.relay import Relay
from services.contracts.intake import VisitRecorded
from services.contracts.topology import queue_of
from tests.support.house import eventually
from tests.support.rabbit import Rabbit
from tests.support.webhooks import write


def test_a_queue_with_other_arguments_stops_nobody(app: App, rabbit: Rabbit, vhosts: Callable[[], str]) -> None:
    """It is named in the log; the others get their events, and it gets its own as it is."""
    vhost = vhosts()
    with pika.BlockingConnection(pika.URLParameters(rabbit.url(vhost))) as connection:
        connection.channel().queue_declare("out.b", durable=True)
    ids = write(app, "a", "b", "c")
    relay = Relay(app, rabbit.url(vhost), outside=True, queues=("a", "b", "c"))
    with capture_logs() as logged:
        threading.Thread(target=relay.run, daemon=True).start()
        try:
            eventually(lambda: _waiting(app, relay) == 0)
        finally:
            relay.finish()
            assert relay.stopped.wait(20)
    for partner, id_ in zip("abc", ids, strict=True):
        (message,) = rabbit.drain(vhost, f"out.{partner}")
        assert id_ in message["payload"]
    assert [line["queues"] for line in logged if line["event"] == "queue has other arguments"] == [["out.b"]]


def test_what_cannot_be_marked_is_not_published_again_and_again(
    app: App, rabbit: Rabbit, vhosts: Callable[[], str]
) -> None:
    """The database turns read-only, as after a failover: the pauses grow (0.2, 0.5, 1, 2, 5 s), and it goes on then."""
    vhost = vhosts()
    with app.work() as work:
        work._ledger.append(Entry(None, VisitRecorded.TYPE, VisitRecorded.name(), "{}"))  # noqa: SLF001 - as `emit` does
    _turn_read_only(app, "on")
    relay = Relay(app, rabbit.url(vhost))
    with capture_logs() as logged:
        threading.Thread(target=relay.run, daemon=True).start()
        try:
            eventually(lambda: logged)
            time.sleep(3)
            assert not [line for line in logged if line["event"] == "relay resumed"]
            _turn_read_only(app, "off")
            eventually(lambda: [line for line in logged if line["event"] == "relay resumed"], within=20)
        finally:
            relay.finish()
            assert relay.stopped.wait(20)
    published = len(rabbit.drain(vhost, queue_of("orientation", "intake")))
    assert 2 <= published <= 6, published
    assert _waiting(app, relay) == 0


def _turn_read_only(app: App, value: str) -> None:
    """For whoever connects from now on."""
    with app.database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("SET default_transaction_read_only = off"))
        name = connection.engine.url.database
        connection.execute(text(f'ALTER DATABASE "{name}" SET default_transaction_read_only = {value}'))
    app.database.close()


def _waiting(app: App, relay: Relay) -> int:
    with app.read() as connection:
        return relay.backlog(connection)[0]
