"""nameko's entrypoint for events, on kombu.

nameko's own handler loses work (it acknowledges what raised), so this one: takes whatever has already arrived, handles
it in one transaction, acknowledges after the commit. While the database is away it keeps what it took and waits. It
reconnects by itself.
"""

import time
from collections.abc import Callable, Sequence
from functools import partial, wraps
from typing import Any, Generic, TypeVar

import kombu
from eventlet import Timeout
from eventlet.event import Event as Result
from nameko.extensions import Entrypoint

from services.chassis import broker, inbox, logs
from services.chassis.app import App, D, Work
from services.chassis.errors import Unavailable
from services.chassis.handling import Handling
from services.chassis.provider import STOP_SECONDS, app_of
from services.contracts.envelope import CloudEvent

_POLL_SECONDS = 1.0
# Of up to 256 KiB each: what a consumer has at hand while it handles, at most some 25 MB.
_PREFETCH = 100
# A message that came back so often, each time with the end of the process, is taken out of the way.
_DELIVERIES = 20

R = TypeVar("R")
log = logs.get(__name__)
AWAY: tuple[type[Exception], ...] = (*broker.BROKER_ERRORS, broker.Garbled, Unavailable)


class Subscription(Entrypoint, Generic[D]):  # type: ignore[misc]
    """Consumes one event type for one service; the method below it is called once per new event."""

    def __init__(self, event: type[D], **options: Any) -> None:  # noqa: ANN401 - nameko's
        self.event = event
        super().__init__(**options)

    def setup(self) -> None:
        """Called by nameko before any start."""
        self._stopping = self._paused = False

    def start(self) -> None:
        """Called by nameko once everything is set up."""
        self.app: App = app_of(self.container)
        self.queue: kombu.Queue = broker.queues(self.app.service)[self.event.name()]
        self.handling: Handling[D] = Handling(self.app, self.event, self.queue.name, self._call)
        self._threads = [
            self.container.spawn_managed_thread(run, identifier=f"{self.queue.name} {run.__name__}")
            for run in (self.consume, self.retry)
        ]

    def stop(self) -> None:
        """Finish and acknowledge the batch at hand, then end; a frozen broker is not waited for.

        What is not acknowledged comes again, and the inbox knows whether it was handled.
        """
        self._stopping = True
        with Timeout(None if self.app.settings.in_memory else STOP_SECONDS, exception=False):
            for thread in self._threads:
                thread.wait()

    def consume(self) -> None:
        """Consume until stopped, whatever happens to broker and database."""
        while not self._stopping:
            try:
                self.app.database.ping()
                with broker.connect(self.app.settings.broker_url, self.queue.name) as connection:
                    broker.declare_topology(connection)
                    self._tell_resumed()
                    if not self.app.settings.in_memory:
                        self._consume_returned(connection)
                    self._consume(connection)
            except AWAY as error:
                self._tell_paused(error)
                self._pause()

    def retry(self) -> None:
        """Try failed events again when they are due."""
        while not self._stopping:
            try:
                while self.handling.retry_one():
                    if self._stopping:
                        return
            except Unavailable:
                log.warning("retries paused", queue=self.queue.name)
            self._pause()

    def _consume_returned(self, connection: kombu.Connection) -> None:
        """First, one at a time, what was delivered before: if one of them ends the process, it alone is to blame.

        The broker counts deliveries: what is at hand together, in this consumer or another, is counted together.
        """
        channel = connection.channel()
        queue = self.queue.bind(channel)
        returned = True
        while returned and not self._stopping:
            while not self.app.one_at_a_time.acquire(timeout=_POLL_SECONDS):
                broker.keep_alive(connection)
            try:
                message = broker.take(queue)
                returned = message is not None and message.delivery_info["redelivered"]
                if message is not None:
                    self._patiently(connection, partial(self._handle_returned, message))
                    self._acknowledge(channel, [message])
            finally:
                self.app.one_at_a_time.release()

    def _handle_returned(self, message: kombu.Message) -> None:
        deliveries = int((message.headers or {}).get("x-delivery-count", 0))
        content_type = message.content_type or ""
        if deliveries >= 2 * _DELIVERIES:
            reason = f"the process ended while reading it, {deliveries} times"
            self.handling.park_message(message.body, content_type, reason)
        elif deliveries >= _DELIVERIES:
            self.handling.give_up(self.handling.read(message.body, content_type), deliveries)
        else:
            self.handling.handle_alone(self.handling.read(message.body, content_type))

    def _consume(self, connection: kombu.Connection) -> None:
        arrived: list[kombu.Message] = []
        channel = connection.channel()
        consumer = kombu.Consumer(
            channel, [self.queue], on_message=arrived.append, prefetch_count=_PREFETCH, auto_declare=False
        )
        with consumer:
            while not self._stopping:
                connection.heartbeat_check()
                try:
                    broker.drain(connection, _POLL_SECONDS)
                    while len(arrived) < _PREFETCH:
                        broker.drain(connection, 0)
                except TimeoutError:
                    pass
                # The broker in memory would forget what is left behind.
                while arrived and (not self._stopping or self.app.settings.in_memory):
                    self._take(connection, channel, arrived)

    def _take(self, connection: kombu.Connection, channel: Any, arrived: list[kombu.Message]) -> None:  # noqa: ANN401 - kombu is untyped
        """Handle the first messages that make a batch together, and acknowledge them."""
        batch: list[kombu.Message] = []
        received = inbox.Received[D]()
        try:
            for message in arrived:
                received.add(
                    self._patiently(connection, partial(self.handling.read, message.body, message.content_type or ""))
                )
                batch.append(message)
                if len(received.events) >= self.app.settings.batch_size:
                    break
            self._patiently(connection, partial(self.handling.handle, received))
        except BaseException:
            self._give_back(arrived)
            raise
        self._acknowledge(channel, batch)
        del arrived[: len(batch)]

    def _patiently(self, connection: kombu.Connection, do: Callable[[], R]) -> R:
        """Do it, and as long as the database is away again; what was delivered is kept, so that nobody counts it twice.

        Raises Unavailable when told to stop meanwhile, and one of BROKER_ERRORS.
        """
        while True:
            try:
                done = do()
            except Unavailable as error:
                self._tell_paused(error)
                if self._stopping:
                    raise
                self._pause()
                broker.keep_alive(connection)
            else:
                self._tell_resumed()
                return done

    def _acknowledge(self, channel: Any, batch: Sequence[kombu.Message]) -> None:  # noqa: ANN401 - kombu is untyped
        if self.app.settings.in_memory:
            for message in batch:
                message.ack()
        else:
            channel.basic_ack(batch[-1].delivery_tag, multiple=True)

    def _give_back(self, messages: Sequence[kombu.Message]) -> None:
        """A real broker sends again what was not acknowledged; the one in memory would forget it."""
        if self.app.settings.in_memory:
            for message in messages:
                message.requeue()

    def _call(self, events: Sequence[CloudEvent[D]], work: Work) -> None:
        """Run the service's method in a nameko worker and wait for it; raises what it raised."""
        result = Result()

        def done(_context: object, value: object, raised: Any) -> tuple[object, Any]:  # noqa: ANN401 - nameko's
            result.send(value, raised)
            # Told to nobody else: nameko would log the exception's text, which may quote data.
            return value, None

        self.container.spawn_worker(self, (events, work), {}, handle_result=done)
        result.wait()

    def _pause(self) -> None:
        for _ in range(10):
            if not self._stopping:
                time.sleep(_POLL_SECONDS / 10)

    def _tell_paused(self, error: Exception) -> None:
        self._paused = True
        log.warning("consumer paused", service=self.app.service, queue=self.queue.name, reason=type(error).__name__)

    def _tell_resumed(self) -> None:
        if self._paused:
            log.info("consumer resumed", service=self.app.service, queue=self.queue.name)
        self._paused = False


def subscribe(
    event: type[D],
) -> Callable[[Callable[[Any, CloudEvent[D], Work], None]], Callable[[Any, Sequence[CloudEvent[D]], Work], None]]:
    """Decorate `method(self, event, work)`: called once per new event, inside the transaction of its batch."""

    def decorate(
        method: Callable[[Any, CloudEvent[D], Work], None],
    ) -> Callable[[Any, Sequence[CloudEvent[D]], Work], None]:
        @wraps(method)
        def each(self: Any, events: Sequence[CloudEvent[D]], work: Work) -> None:  # noqa: ANN401 - any service
            for one in events:
                work.traceparent = one.traceparent
                method(self, one, work)

        entrypoint: Callable[[Any], Any] = Subscription.decorator(event)
        decorated: Callable[[Any, Sequence[CloudEvent[D]], Work], None] = entrypoint(each)
        return decorated

    return decorate
