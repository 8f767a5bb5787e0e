"""RabbitMQ through kombu: connections, the topology, and a publisher that waits for every confirm.

The in-memory transport of the embedded mode has neither confirms nor returns; nothing here rests on them there.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

import kombu
from eventlet import Timeout
from kombu.exceptions import OperationalError

from services.chassis import decoding  # noqa: F401 - for what its import does
from services.chassis.settings import MEMORY_BROKER
from services.contracts import topology

HEARTBEAT_SECONDS = 30
CONFIRM_SECONDS = 30
PARTNER_QUEUE_LENGTH = 100_000
# kombu's in-memory transport polls once a second unless told otherwise; 5 ms keeps three hops under 20 ms.
_MEMORY = {"polling_interval": 0.005}

# Whatever a broker that is stopped, killed, cut off or frozen makes the client raise.
BROKER_ERRORS: tuple[type[Exception], ...] = (
    *kombu.Connection("amqp://").connection_errors,
    *kombu.Connection("amqp://").channel_errors,
    OperationalError,
    OSError,
)


class Garbled(Exception):
    """The broker delivered what py-amqp cannot take apart."""


class NotConfirmed(Exception):
    """The broker did not take a message: refused, unroutable, or silent."""


class Message(NamedTuple):
    """What to publish where."""

    exchange: str
    routing_key: str
    body: str
    content_type: str
    type: str


@contextmanager
def connect(url: str, name: str) -> Iterator[kombu.Connection]:
    """A connection, closed at the end. Raises one of BROKER_ERRORS."""
    memory = url.startswith(MEMORY_BROKER)
    connection = kombu.Connection(
        url,
        connect_timeout=5,
        heartbeat=0 if memory else HEARTBEAT_SECONDS,
        transport_options=_MEMORY if memory else {"client_properties": {"connection_name": f"relais-{name}"}},
    )
    try:
        connection.connect()
        yield connection
    finally:
        # A dead or frozen broker must not keep us waiting for its goodbye.
        with Timeout(2, exception=False):
            connection.release()


def reachable(url: str) -> bool:
    """Whether the broker would take an event now: tried anew, since a connection may be dead without knowing."""
    try:
        with connect(url, "readyz"):
            return True
    except BROKER_ERRORS:
        return False


def exchange(service: str) -> kombu.Exchange:
    """The topic exchange of a publishing service."""
    return kombu.Exchange(topology.exchange_of(service), "topic", durable=True)


def queues(service: str) -> dict[str, kombu.Queue]:
    """A consuming service's queues by event type name."""
    return {
        event.name(): kombu.Queue(
            topology.queue_of(service, event),
            # The name alone, and the name with more: `#` would match both on RabbitMQ, only the second in memory.
            bindings=[
                kombu.binding(exchange(event.SERVICE), routing_key=key) for key in (event.name(), f"{event.name()}.#")
            ],
            durable=True,
        )
        for event in topology.SUBSCRIPTIONS.get(service, ())
    }


def declare_topology(connection: kombu.Connection) -> None:
    """Declare every exchange, queue and binding inside."""
    with connection.channel() as channel:
        for service in topology.SERVICES:
            exchange(service).bind(channel).declare()
        for service in topology.SERVICES:
            for queue in queues(service).values():
                queue.bind(channel).declare()


def partner_queue(partner: str) -> str:
    """The queue a partner reads."""
    return f"out.{partner}"


def declare_partner_queues(connection: kombu.Connection, partners: Iterable[str]) -> None:
    """Declare the queue of each partner: when full it drops its oldest, which the ledger still has."""
    with connection.channel() as channel:
        for partner in partners:
            arguments = {"x-max-length": PARTNER_QUEUE_LENGTH, "x-overflow": "drop-head"}
            kombu.Queue(partner_queue(partner), durable=True, queue_arguments=arguments).bind(channel).declare()


def drain(connection: kombu.Connection, timeout: float) -> None:
    """Take one frame, or wait for it. Raises TimeoutError, Garbled or one of BROKER_ERRORS."""
    try:
        connection.drain_events(timeout=timeout)
    except BROKER_ERRORS:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a stranger put there
        raise Garbled(type(error).__name__) from None


def keep_alive(connection: kombu.Connection) -> None:
    """Exchange heartbeats on a connection that has nothing else to say. Raises one of BROKER_ERRORS."""
    if connection.transport.driver_type != "amqp":
        return
    connection.heartbeat_check()
    with suppress(TimeoutError):
        connection.drain_events(timeout=0.001)


class Publisher:
    """Publishes on one channel and returns once the broker has taken everything."""

    def __init__(self, connection: kombu.Connection) -> None:
        self._connection = connection
        self._producer = kombu.Producer(connection.channel())
        self._confirming = connection.transport.driver_type == "amqp"
        self._unconfirmed: set[int] = set()
        self._refused = 0
        self.returned: list[str] = []
        self._tag = 0
        if self._confirming:
            channel: Any = self._producer.channel
            channel.confirm_select()
            channel.events["basic_ack"].add(self._on_ack)
            channel.events["basic_nack"].add(self._on_nack)
            channel.events["basic_return"].add(self._on_return)

    def publish(self, messages: Iterable[Message]) -> None:
        """Publish all, then wait for all confirms. Raises NotConfirmed or one of BROKER_ERRORS.

        A returned (unroutable) message is confirmed by the broker all the same: `returned` holds the routing keys.
        """
        self.returned = []
        silent = NotConfirmed("the broker stays silent")
        with Timeout(CONFIRM_SECONDS, silent):
            for message in messages:
                self._tag += 1
                self._unconfirmed.add(self._tag)
                self._producer.publish(
                    message.body.encode(),
                    exchange=message.exchange,
                    routing_key=message.routing_key,
                    content_type=message.content_type,
                    content_encoding="utf-8",
                    delivery_mode=2,
                    mandatory=True,
                    type=message.type,
                )
            while self._confirming and self._unconfirmed:
                try:
                    self._connection.drain_events(timeout=CONFIRM_SECONDS)
                except TimeoutError:
                    raise silent from None
        self._unconfirmed.clear()
        if self._refused:
            self._refused = 0
            raise NotConfirmed("refused by the broker")

    def _settle(self, tag: int, *, multiple: bool) -> None:
        if multiple:
            self._unconfirmed = {other for other in self._unconfirmed if other > tag}
        else:
            self._unconfirmed.discard(tag)

    def _on_ack(self, tag: int, multiple: bool) -> None:  # noqa: FBT001 - py-amqp calls it so
        self._settle(tag, multiple=multiple)

    def _on_nack(self, tag: int, multiple: bool) -> None:  # noqa: FBT001 - py-amqp calls it so
        self._refused += 1
        self._settle(tag, multiple=multiple)

    def _on_return(self, _error: object, _exchange: str, routing_key: str, _message: object) -> None:
        self.returned.append(routing_key)
