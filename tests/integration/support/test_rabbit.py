"""The tests' own broker: what the fault tests rest on."""

import httpx
import pika
import pytest

from tests.support.rabbit import Rabbit


def publish(url: str, queue: str, body: bytes) -> None:
    """Declare a durable queue and put one persistent message in it, confirmed."""
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.queue_declare(queue, durable=True)
        channel.basic_publish("", queue, body, pika.BasicProperties(delivery_mode=2))


@pytest.mark.soak
def test_a_confirmed_message_survives_kill_and_stop(rabbit: Rabbit) -> None:
    """The node comes back on the same ports with the same data, if its queue was not declared just before.

    A confirm speaks for the message. The queue's own declaration lies for up to two seconds in the write cache of
    Erlang's disk_log, and a SIGKILL in that time takes both.
    """
    vhost = rabbit.add_vhost("survival")
    publish(rabbit.url(vhost), "kept", b"one")
    rabbit.write_down()
    rabbit.kill()
    rabbit.start()
    rabbit.stop()
    rabbit.start()
    assert list(rabbit.queues(vhost)) == ["kept"]
    assert [message["payload"] for message in rabbit.drain(vhost, "kept")] == ["one"]


def test_a_frozen_node_answers_nobody_until_thawed(rabbit: Rabbit) -> None:
    """The port stays open and silent, which is what a client finds hardest."""
    rabbit.freeze()
    try:
        with pytest.raises(httpx.ReadTimeout):
            httpx.get(f"http://127.0.0.1:{rabbit.http_port}/", timeout=0.5, trust_env=False)
    finally:
        rabbit.thaw()
    assert rabbit.api("GET", "/overview")["node"].endswith("@localhost")


def test_an_account_does_what_it_may_and_nothing_else(rabbit: Rabbit) -> None:
    """Users and permissions set through the management API hold on the wire."""
    vhost = rabbit.add_vhost("rights")
    rabbit.add_user("partner", "secret")
    rabbit.permit("partner", vhost, configure="^$", write="^$", read="^out$")
    publish(rabbit.url(vhost), "out", b"for you")
    with pika.BlockingConnection(pika.URLParameters(rabbit.url(vhost, "partner", "secret"))) as connection:
        channel = connection.channel()
        _, _, body = channel.basic_get("out", auto_ack=True)
        assert body == b"for you"
        with pytest.raises(pika.exceptions.ChannelClosedByBroker, match="ACCESS_REFUSED"):
            channel.queue_declare("mine")
    rabbit.delete_user("partner")
