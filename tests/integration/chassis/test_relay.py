"""The lane to partners, from a real ledger to the real broker."""

import threading
from collections.abc import Callable

import pika
from structlog.testing import capture_logs

from services.chassis.app import App
from services.chassis.relay import Relay
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


def _waiting(app: App, relay: Relay) -> int:
    with app.read() as connection:
        return relay.backlog(connection)[0]
