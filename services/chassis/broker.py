"""RabbitMQ through kombu: connections, the topology, and a publisher that waits for every confirm.

The in-memory transport of the embedded mode has neither confirms nor returns; nothing here rests on them there.
"""

import socket
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

import kombu
from amqp.method_framing import frame_writer
from eventlet import Timeout
from kombu.exceptions import OperationalError

from services.chassis import decoding, tls  # noqa: F401 - decoding for what its import does
from services.chassis.settings import MEMORY_BROKER
from services.contracts import topology

HEARTBEAT_SECONDS = 30
CONFIRM_SECONDS = 30
# On one node half the broker's time of a classic queue as well (docs/decisions/16-quorum-queues.md). Our consumers
# take a message out of the way long before the limit; it ends what never reaches them. Not set, RabbitMQ 4 drops at 20.
QUORUM: dict[str, object] = {"x-queue-type": "quorum", "x-delivery-limit": 1000}
# How long the kernel keeps a connection whose other end takes nothing. py-amqp's own second is less than a busy broker
# may need; a dead one is noticed by its missing heartbeats and confirms. 0: for ever. Only Linux knows this option.
_TCP_USER_TIMEOUT: int | None = getattr(socket, "TCP_USER_TIMEOUT", None)
_TCP_MILLISECONDS = 2 * CONFIRM_SECONDS * 1000
# Many messages in one write take half the time of a write for each, here and at the broker, measured.
_WRITE_BYTES = 1024 * 1024
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
    type: str | None
    correlation_id: str | None = None
    message_id: str | None = None


@contextmanager
def connect(url: str, name: str) -> Iterator[kombu.Connection]:
    """A connection, closed at the end. Raises one of BROKER_ERRORS."""
    memory = url.startswith(MEMORY_BROKER)
    amqp = {
        "client_properties": {"connection_name": f"relais-{name}"},
        "socket_settings": {_TCP_USER_TIMEOUT: _TCP_MILLISECONDS} if _TCP_USER_TIMEOUT else {},
    }
    nodes, trusted = tls.taken_apart(url)
    connection = kombu.Connection(
        nodes,
        ssl=trusted or False,
        connect_timeout=5,
        heartbeat=0 if memory else HEARTBEAT_SECONDS,
        transport_options=_MEMORY if memory else amqp,
    )
    try:
        # Of a cluster, each node in turn; `connect` would try the first and the second only.
        connection.ensure_connection(
            # The next node has a name of its own.
            errback=lambda *_: trusted and trusted.update(server_hostname=None),
            max_retries=len(connection.alt) or 1,
            interval_start=0,
            interval_step=0,
            reraise_as_library_errors=False,
        )
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
    """A consuming service's queues by publisher."""
    return {
        publisher: kombu.Queue(
            topology.queue_of(service, publisher),
            # The name alone, and the name with more: `#` would match both on RabbitMQ, only the second in memory.
            bindings=[
                kombu.binding(exchange(publisher), routing_key=key)
                for event in events
                for key in (event.name(), f"{event.name()}.#")
            ],
            durable=True,
            queue_arguments=QUORUM,
        )
        for publisher, events in topology.taken_from(service).items()
    }


def declare_topology(connection: kombu.Connection) -> None:
    """Declare every exchange, queue and binding inside."""
    with connection.channel() as channel:
        for service in topology.SERVICES:
            exchange(service).bind(channel).declare()
        for service in topology.SERVICES:
            for queue in queues(service).values():
                queue.bind(channel).declare()


def drain(connection: kombu.Connection, timeout: float) -> None:
    """Take one frame, or wait for it (1 ms at least). Raises TimeoutError, Garbled or one of BROKER_ERRORS.

    With no time at all py-amqp would spin on half a frame until the rest comes, and no green thread would run.
    """
    try:
        connection.drain_events(timeout=max(timeout, 0.001))
    except BROKER_ERRORS:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a stranger put there
        raise Garbled(type(error).__name__) from None


def take(queue: Any) -> Any:  # noqa: ANN401 - kombu is untyped
    """One message of a bound queue, or none. Raises Garbled or one of BROKER_ERRORS."""
    try:
        return queue.get()
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


class _Memory:
    """Stands for a connection's transport."""

    def __init__(self, written: bytearray) -> None:
        self.write = written.extend


class Publisher:
    """Publishes on one channel and returns once the broker has taken everything.

    A broker short of disk or memory blocks those who publish: it reads no more from them, and says so on the first
    message it does not read. `tell` is called with True then, and with False when it reads again.
    """

    def __init__(self, connection: kombu.Connection, tell: Callable[[bool], None] = lambda _: None) -> None:
        self._connection = connection
        self._channel: Any = connection.channel()
        self._gathered = bytearray()
        self._heads: dict[tuple[str | None, ...], tuple[bytes, bytes]] = {}
        self._confirming = connection.transport.driver_type == "amqp"
        self._unconfirmed: set[int] = set()
        self._refused = 0
        self.returned: list[str] = []
        self._tag = self._settled = 0
        self._tell = tell
        self._blocked = False
        if self._confirming:
            channel = self._channel
            channel.confirm_select()
            channel.events["basic_ack"].add(self._on_ack)
            channel.events["basic_nack"].add(self._on_nack)
            channel.events["basic_return"].add(self._on_return)
            channel.connection.on_blocked = lambda _reason: self._on_blocked(blocked=True)
            channel.connection.on_unblocked = lambda: self._on_blocked(blocked=False)

    def publish(self, messages: Iterable[Message], meanwhile: Callable[[], None] = lambda: None) -> None:
        """Publish all, then wait for all confirms. Raises NotConfirmed or one of BROKER_ERRORS.

        A returned (unroutable) message is confirmed by the broker all the same: `returned` holds the routing keys.
        While the broker blocks us it is waited for on this very connection, however long: each new connection would
        leave one more copy of the messages in a buffer, to be published when the broker reads again. `meanwhile` is
        called after each second without a word from the broker; what it raises ends the wait.
        """
        self.returned = []
        for message in messages:
            self._gather(message)
            if len(self._gathered) >= _WRITE_BYTES:
                self._write(meanwhile)
        self._write(meanwhile)
        self._wait(lambda: self._confirming and bool(self._unconfirmed), meanwhile)
        if self._refused:
            self._refused = 0
            raise NotConfirmed("refused by the broker")

    def _gather(self, message: Message) -> None:
        """Add a message to what is written next; the broker in memory takes it at once."""
        body = message.body.encode()
        if not self._confirming:
            self._channel.basic_publish(
                self._prepared(message, body), exchange=message.exchange, routing_key=message.routing_key
            )
            return
        self._tag += 1
        self._unconfirmed.add(self._tag)
        before, after = self._head(message)
        self._gathered += before + len(body).to_bytes(8) + after
        most = self._amqp().frame_max - 8
        for start in range(0, len(body), most):
            part = body[start : start + most]
            self._gathered += b"".join(
                (b"\3", self._channel.channel_id.to_bytes(2), len(part).to_bytes(4), part, b"\xce")
            )

    def _head(self, message: Message) -> tuple[bytes, bytes]:
        exchange, routing_key, _, content_type, kind, correlation_id, message_id = message
        if correlation_id or message_id:
            return self._marshal(message)
        key = (exchange, routing_key, content_type, kind)
        if key not in self._heads:
            self._heads[key] = self._marshal(message)
        return self._heads[key]

    def _prepared(self, message: Message, body: bytes) -> Any:  # noqa: ANN401 - kombu is untyped
        named = {name: getattr(message, name) for name in ("type", "correlation_id", "message_id")}
        properties = {"delivery_mode": 2} | {name: text for name, text in named.items() if text is not None}
        return self._channel.prepare_message(
            body, content_type=message.content_type, content_encoding="utf-8", properties=properties
        )

    def _marshal(self, message: Message) -> tuple[bytes, bytes]:
        """py-amqp's frames of a message before and behind the size of its body: the same for all of its kind.

        A frame is type (1 byte), channel (2), size (4), payload, end (1). The first is the method, the second the
        header: class (2), weight (2), size of the body (8), properties.
        """
        connection, frames = self._amqp(), bytearray()
        writer, connection.frame_writer = connection.frame_writer, frame_writer(connection, _Memory(frames))
        try:
            self._channel.basic_publish(
                self._prepared(message, b""), exchange=message.exchange, routing_key=message.routing_key, mandatory=True
            )
        finally:
            connection.frame_writer = writer
        size_at = 8 + int.from_bytes(frames[3:7]) + 7 + 4
        return bytes(frames[:size_at]), bytes(frames[size_at + 8 :])

    def _amqp(self) -> Any:  # noqa: ANN401 - py-amqp is untyped
        if self._channel.connection is None or self._channel.connection.transport is None:
            raise NotConfirmed("the connection is closed")
        return self._channel.connection

    def _write(self, meanwhile: Callable[[], None]) -> None:
        if not self._gathered:
            return
        self._listen()
        self._while_blocked(meanwhile)
        transport = self._amqp().transport
        try:
            with transport.having_timeout(CONFIRM_SECONDS):
                transport.write(bytes(self._gathered))
        except BROKER_ERRORS:
            # A full socket that took half a frame is of no more use, but still tells when the broker reads again.
            self._listen()
            self._while_blocked(meanwhile)
            raise
        self._gathered.clear()

    def _listen(self) -> None:
        """Take what the broker has said already; that it blocks us, perhaps."""
        with suppress(TimeoutError):
            # Of a connection that is gone kombu would make a new one, unasked.
            while self._connection.connected and not self._blocked:
                self._connection.drain_events(timeout=0)

    def _while_blocked(self, meanwhile: Callable[[], None]) -> None:
        self._wait(lambda: self._blocked, meanwhile)

    def _wait(self, condition: Callable[[], bool], meanwhile: Callable[[], None]) -> None:
        """Take what the broker says for as long as `condition` holds. Raises NotConfirmed when it stays silent."""
        heard = time.monotonic()
        while condition():
            try:
                self._connection.drain_events(timeout=min(1.0, CONFIRM_SECONDS))
                heard = time.monotonic()
            except TimeoutError:
                meanwhile()
                if self._blocked:
                    self._connection.heartbeat_check()
                elif time.monotonic() - heard >= CONFIRM_SECONDS:
                    raise NotConfirmed("the broker stays silent") from None

    def _on_blocked(self, *, blocked: bool) -> None:
        self._blocked = blocked
        if _TCP_USER_TIMEOUT:
            sock: socket.socket = self._connection.connection.sock
            sock.setsockopt(socket.IPPROTO_TCP, _TCP_USER_TIMEOUT, 0 if blocked else _TCP_MILLISECONDS)
        self._tell(blocked)

    def _settle(self, tag: int, *, multiple: bool) -> None:
        if multiple:
            self._unconfirmed.difference_update(range(self._settled + 1, tag + 1))
            self._settled = tag
        else:
            self._unconfirmed.discard(tag)

    def _on_ack(self, tag: int, multiple: bool) -> None:  # noqa: FBT001 - py-amqp calls it so
        self._settle(tag, multiple=multiple)

    def _on_nack(self, tag: int, multiple: bool) -> None:  # noqa: FBT001 - py-amqp calls it so
        self._refused += 1
        self._settle(tag, multiple=multiple)

    def _on_return(self, _error: object, _exchange: str, routing_key: str, _message: object) -> None:
        self.returned.append(routing_key)
