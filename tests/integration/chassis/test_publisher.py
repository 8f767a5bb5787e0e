"""Publishing to a real broker: nothing counts as published before the broker says so."""

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import kombu
import pytest

from services.chassis import broker, outside
from services.chassis.broker import Message, NotConfirmed, Publisher
from services.contracts.topology import SERVICES
from tests.support.house import eventually
from tests.support.rabbit import Rabbit

QUEUE = "intake.Happened"


@pytest.fixture
def vhost(rabbit: Rabbit) -> Iterator[str]:
    """Lend an empty vhost of the private node, which these tests freeze."""
    vhost = rabbit.add_vhost(f"publisher-{threading.get_native_id()}")
    yield vhost
    rabbit.thaw()
    rabbit.delete_vhost(vhost)


@pytest.fixture
def connection(rabbit: Rabbit, vhost: str) -> Iterator[kombu.Connection]:
    """Connect, and declare one queue."""
    with broker.connect(rabbit.url(vhost), "test") as connection:
        with connection.channel() as channel:
            kombu.Queue(QUEUE, durable=True).bind(channel).declare()
        yield connection
        rabbit.thaw()  # a frozen broker never says goodbye to a process without green threads


def messages(number: int, routing_key: str = QUEUE) -> Iterator[Message]:
    """Number events, straight to a queue."""
    for place in range(number):
        yield Message("", routing_key, f'{{"number": {place}}}', "application/cloudevents+json", "Happened")


def test_all_are_in_the_queue_when_publish_returns(rabbit: Rabbit, vhost: str, connection: kombu.Connection) -> None:
    """In order, persistent, with their types; a second call goes on where the first one ended."""
    publisher = Publisher(connection)
    publisher.publish(messages(1500))
    publisher.publish(messages(1))
    publisher.publish([])
    found = rabbit.drain(vhost, QUEUE)
    assert [one["payload"] for one in found] == [f'{{"number": {place}}}' for place in [*range(1500), 0]]
    assert {one["properties"]["delivery_mode"] for one in found} == {2}
    assert {one["properties"]["content_type"] for one in found} == {"application/cloudevents+json"}
    assert {one["properties"]["type"] for one in found} == {"Happened"}
    assert publisher.returned == []


def test_publish_waits_for_the_brokers_word(rabbit: Rabbit, vhost: str, connection: kombu.Connection) -> None:
    """While the broker is frozen nothing returns; once it is thawed, everything is there."""
    publisher = Publisher(connection)
    rabbit.freeze()
    with ThreadPoolExecutor(1) as pool:
        publishing = pool.submit(publisher.publish, messages(10))
        with pytest.raises(TimeoutError):
            publishing.result(1.0)
        rabbit.thaw()
        publishing.result(10)
    assert len(rabbit.drain(vhost, QUEUE)) == 10


def test_a_silent_broker_has_not_taken_anything(
    rabbit: Rabbit, connection: kombu.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a time publish gives up, saying so: the rows stay where they are and are published again."""
    monkeypatch.setattr(broker, "CONFIRM_SECONDS", 0.5)
    publisher = Publisher(connection)
    rabbit.freeze()
    with pytest.raises(NotConfirmed, match="silent"):
        publisher.publish(messages(10))


def test_a_broker_that_blocks_publishers_is_waited_for(
    rabbit: Rabbit, vhost: str, connection: kombu.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond every timeout, on the same connection: 10 MB are in the queue, once and in order, when it reads again."""
    monkeypatch.setattr(broker, "CONFIRM_SECONDS", 4.0)
    large = [
        Message("", QUEUE, f"{place} " * 20_000, "application/cloudevents+json", "Happened") for place in range(100)
    ]

    def with_a_pause() -> Iterator[Message]:
        first = 22  # a megabyte, which is written at once; then a busy broker needs a moment to say that it reads none
        yield from large[:first]
        time.sleep(2)
        yield from large[first:]

    told: list[bool] = []
    seconds: list[None] = []
    publisher = Publisher(connection, told.append)
    with ThreadPoolExecutor(1) as pool:
        with rabbit.alarm("disk"):
            publishing = pool.submit(publisher.publish, with_a_pause(), lambda: seconds.append(None))
            with pytest.raises(TimeoutError):
                publishing.result(8.0)
            assert told == [True]
            assert 3 <= len(seconds) <= 8
        publishing.result(30)
    assert told == [True, False]
    assert [one["payload"] for one in rabbit.drain(vhost, QUEUE)] == [one.body for one in large]


def test_whoever_waits_for_a_blocking_broker_may_give_up(rabbit: Rabbit, connection: kombu.Connection) -> None:
    """What `meanwhile` raises ends the wait: a service that was told to stop."""

    def give_up() -> None:
        raise NotConfirmed("told to stop")

    with rabbit.alarm("disk"), pytest.raises(NotConfirmed, match="told to stop"):
        Publisher(connection).publish(messages(10), give_up)


def test_a_blocking_broker_is_waited_for_when_the_socket_is_full(
    rabbit: Rabbit, connection: kombu.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a message was sent: the connection is given up, though only when a new one would not be blocked as well."""
    monkeypatch.setattr(broker, "CONFIRM_SECONDS", 1.0)
    told: list[bool] = []
    publisher = Publisher(connection, told.append)
    with ThreadPoolExecutor(1) as pool:
        with rabbit.alarm("disk"):
            large = Message("", QUEUE, "x" * 50_000_000, "application/cloudevents+json", "Happened")
            publishing = pool.submit(publisher.publish, [large])
            with pytest.raises(TimeoutError):
                publishing.result(3.5)
            assert told == [True]
        with pytest.raises(broker.BROKER_ERRORS):
            publishing.result(10)
    connection.collect()  # a broker that waits for the other half never says goodbye


def test_what_no_queue_takes_is_told(rabbit: Rabbit, vhost: str, connection: kombu.Connection) -> None:
    """The broker confirms it all the same, so only its return tells; what has a queue arrives."""
    publisher = Publisher(connection)
    publisher.publish([*messages(1, "nobody"), *messages(2), *messages(1, "nobody.else")])
    assert publisher.returned == ["nobody", "nobody.else"]
    publisher.publish(messages(1))
    assert publisher.returned == []
    assert len(rabbit.drain(vhost, QUEUE)) == 3


def test_what_the_broker_refuses_is_an_error(rabbit: Rabbit, vhost: str, connection: kombu.Connection) -> None:
    """A full queue that rejects: an ack of some does not hide the nack of others."""
    with connection.channel() as channel:
        arguments = {"x-max-length": 1, "x-overflow": "reject-publish"}
        kombu.Queue("full", durable=True, queue_arguments=arguments).bind(channel).declare()
    publisher = Publisher(connection)
    publisher.publish(messages(1, "full"))
    with pytest.raises(NotConfirmed, match="refused"):
        publisher.publish([*messages(1), *messages(1, "full"), *messages(1)])
    publisher.publish(messages(1))
    assert len(rabbit.drain(vhost, QUEUE)) == 3


def test_an_exchange_that_does_not_exist_is_a_broker_error(connection: kombu.Connection) -> None:
    """The relay then declares everything anew, which is the remedy."""
    publisher = Publisher(connection)
    with pytest.raises(broker.BROKER_ERRORS):
        publisher.publish([Message("nowhere.events", "Happened", "{}", "application/cloudevents+json", "Happened")])


def test_a_connection_cut_by_an_operator_is_a_broker_error(
    rabbit: Rabbit, vhost: str, connection: kombu.Connection
) -> None:
    """Nothing is taken for published on a connection that is gone."""
    publisher = Publisher(connection)
    eventually(lambda: any(one.get("vhost") == vhost for one in rabbit.api("GET", "/connections")))
    rabbit.close_connections(vhost)
    with pytest.raises(broker.BROKER_ERRORS):
        publisher.publish(messages(10))


def test_a_broker_that_is_away_is_a_broker_error(rabbit: Rabbit) -> None:
    """Nobody there, a wrong password, or no such vhost: waited for, never a bug."""
    for url in (
        f"amqp://x:y@127.0.0.1:{_closed_port()}/",
        rabbit.url("/", rabbit.user, "wrong"),
        rabbit.url("no-such-vhost"),
    ):
        with pytest.raises(broker.BROKER_ERRORS), broker.connect(url, "test"):
            pass


def test_declaring_everything_twice_is_declaring_it_once(rabbit: Rabbit, vhost: str) -> None:
    """Each service declares all of it, in any order, whenever it starts."""
    with broker.connect(rabbit.url(vhost), "test") as connection:
        for _ in range(2):
            broker.declare_topology(connection)
            outside.declare_partner_queues(connection, ["one", "other"])
    ours = {queue.name for service in SERVICES for queue in broker.queues(service).values()}
    assert {"orientation.from-intake", "referral.from-orientation"} < ours
    assert set(rabbit.queues(vhost)) == ours | {"out.one", "out.other"}


def _closed_port() -> int:
    """Find a port where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port
