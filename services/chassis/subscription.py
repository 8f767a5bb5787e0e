"""nameko's entrypoint for events, on kombu.

nameko's own handler loses work (it acknowledges what raised), so this one: takes whatever has already arrived, handles
it in one transaction, acknowledges after the commit. A batch that fails is tried one event at a time; an event that
fails waits in PostgreSQL for its next try and is parked in the end. If the database is away nothing is acknowledged.
It reconnects by itself.
"""

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import wraps
from typing import Any, Generic

import kombu
from eventlet import Timeout
from eventlet.event import Event as Result
from nameko.extensions import Entrypoint

from services.chassis import broker, inbox, logs
from services.chassis.app import App, D, Event, Work
from services.chassis.errors import Rejected, RetryLater, Unavailable
from services.chassis.provider import STOP_SECONDS, app_of
from services.contracts.envelope import CONTENT_TYPE

_POLL_SECONDS = 1.0

log = logs.get(__name__)
AWAY: tuple[type[Exception], ...] = (*broker.BROKER_ERRORS, broker.Garbled, Unavailable)
Handler = Callable[[Any, Event[D], Work], None]


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
                    if self._paused:
                        log.info("consumer resumed", service=self.app.service, queue=self.queue.name)
                    self._paused = False
                    self._consume(connection)
            except AWAY as error:
                self._paused = True
                log.warning(
                    "consumer paused", service=self.app.service, queue=self.queue.name, reason=type(error).__name__
                )
                self._pause()

    def retry(self) -> None:
        """Try failed events again when they are due."""
        while not self._stopping:
            try:
                while self._retry_one():
                    if self._stopping:
                        return
            except Unavailable:
                log.warning("retries paused", queue=self.queue.name)
            self._pause()

    def _pause(self) -> None:
        for _ in range(10):
            if not self._stopping:
                time.sleep(_POLL_SECONDS / 10)

    def _consume(self, connection: kombu.Connection) -> None:
        arrived: list[kombu.Message] = []
        channel = connection.channel()
        size = self.app.settings.batch_size
        consumer = kombu.Consumer(
            channel, [self.queue], on_message=arrived.append, prefetch_count=2 * size, auto_declare=False
        )
        with consumer:
            while not self._stopping:
                connection.heartbeat_check()
                try:
                    broker.drain(connection, _POLL_SECONDS)
                    while len(arrived) < size:
                        broker.drain(connection, 0)
                except TimeoutError:
                    pass
                while arrived:
                    batch = arrived[:size]
                    try:
                        self._handle_messages(batch)
                    except BaseException:
                        self._give_back(arrived)
                        raise
                    self._acknowledge(channel, batch)
                    del arrived[:size]

    def _acknowledge(self, channel: Any, batch: list[kombu.Message]) -> None:  # noqa: ANN401 - kombu is untyped
        if self.app.settings.in_memory:
            for message in batch:
                message.ack()
        else:
            channel.basic_ack(batch[-1].delivery_tag, multiple=True)

    def _give_back(self, messages: list[kombu.Message]) -> None:
        """A real broker sends again what was not acknowledged; the one in memory would forget it."""
        if self.app.settings.in_memory:
            for message in messages:
                message.requeue()

    def _handle_messages(self, messages: list[kombu.Message]) -> None:
        received: list[inbox.Received[D]] = []
        for message in messages:
            body = message.body
            if not isinstance(body, bytes):  # py-amqp has decoded it, as the sender's content-encoding said
                body = str(body).encode(errors="backslashreplace")
            received += self._read(body, message.content_type or "")
        if received:
            self._handle(received)

    def _read(self, body: bytes, content_type: str) -> list[inbox.Received[D]]:
        """What can be read; what cannot is parked, alone."""
        try:
            return inbox.read(body, content_type, self.event)
        except inbox.Unreadable as error:
            parts = inbox.parts(body, content_type)
            if not parts:
                self._park_message(body, content_type, str(error))
            return [one for part in parts for one in self._read(part, CONTENT_TYPE)]

    def _handle(self, received: list[inbox.Received[D]]) -> None:
        """All together; if that fails, one at a time, so that one poison event takes no other with it."""
        try:
            self._transact(received)
        except Unavailable:
            raise
        except Exception as error:  # noqa: BLE001 - any bug of a handler: retried, then parked
            if len(received) == 1:
                self._fail(received[0], error)
                return
            for one in received:
                self._handle([one])

    def _transact(self, received: list[inbox.Received[D]]) -> None:
        with self.app.work() as work:
            fresh = inbox.admit(work.connection, received)
            if fresh:
                self._call([one.event for one in fresh], work)
        self._count("duplicate", len(received) - len(fresh))
        self._handled([one.event for one in fresh])

    def _call(self, events: list[Event[D]], work: Work) -> None:
        """Run the service's method in a nameko worker and wait for it; raises what it raised."""
        result = Result()

        def done(_context: object, value: object, raised: Any) -> tuple[object, Any]:  # noqa: ANN401 - nameko's
            result.send(value, raised)
            # Told to nobody else: nameko would log the exception's text, which may quote data.
            return value, None

        self.container.spawn_worker(self, (events, work), {}, handle_result=done)
        result.wait()

    def _handled(self, events: list[Event[D]]) -> None:
        self._count("handled", len(events))
        now = self.app.clock.now()
        for event in events:
            self.app.metrics.lag.observe(max(0.0, (now - event.time).total_seconds()))

    def _count(self, outcome: str, number: int = 1) -> None:
        self.app.metrics.handled.labels(self.app.service, self.event.TYPE, outcome).inc(number)

    def _due(self, tries: int, error: Exception) -> datetime | None:
        """When to try again after `tries` tries; None: not any more."""
        delays = self.app.settings.delays
        if isinstance(error, Rejected) or tries > len(delays):
            return None
        wait = error.after if isinstance(error, RetryLater) else timedelta(seconds=delays[tries - 1])
        return self.app.clock.now() + wait

    def _fail(self, one: inbox.Received[D], error: Exception) -> None:
        due_at = self._due(1, error)
        failure = inbox.Failure(
            self.queue.name,
            CONTENT_TYPE,
            one.document,
            1,
            logs.reason_of(error),
            due_at,
            one.event.source,
            one.event.id,
        )
        with self.app.work() as work:
            inbox.remember(work.connection, failure, self.app.clock.now())
        self._tell(failure)

    def _park_message(self, body: bytes, content_type: str, reason: str) -> None:
        # A text column takes no NUL, and no half of a surrogate pair.
        kind = content_type if content_type.isprintable() else ""
        failure = inbox.Failure(self.queue.name, kind, body, 1, reason, None)
        with self.app.work() as work:
            inbox.remember(work.connection, failure, self.app.clock.now())
        self._tell(failure)

    def _tell(self, failure: inbox.Failure) -> None:
        facts = {"queue": failure.queue, "id": failure.id, "tries": failure.tries, "reason": failure.reason}
        if failure.due_at:
            log.warning("event failed", **facts, again_at=failure.due_at.isoformat())
        else:
            log.warning("event parked", **facts)
        self._count("retried" if failure.due_at else "parked")

    def _retry_one(self) -> bool:
        """Try the failed event that is due first; whether there was one."""
        row = None
        try:
            with self.app.work() as work:
                row = inbox.take_due(work.connection, self.queue.name, self.app.clock.now())
                if row is None:
                    return False
                inbox.forget(work.connection, row.number)
                fresh = inbox.admit(work.connection, inbox.read(row.body, row.content_type, self.event))
                events = [one.event for one in fresh]
                if events:
                    self._call(events, work)
        except Unavailable:
            raise
        except Exception as error:
            if row is None:
                raise
            unreadable = isinstance(error, inbox.Unreadable)
            due_at = None if unreadable else self._due(row.tries + 1, error)
            tries, reason = row.tries + 1, logs.reason_of(error)
            with self.app.work() as work:
                inbox.postpone(work.connection, row.number, tries=tries, reason=reason, due_at=due_at)
            self._tell(inbox.Failure(row.queue, row.content_type, row.body, tries, reason, due_at, row.source, row.id))
        else:
            self._handled(events)
        return True


def subscribe(event: type[D]) -> Callable[[Handler[D]], Callable[[Any, list[Event[D]], Work], None]]:
    """Decorate `method(self, event, work)`: called once per new event, inside the transaction of its batch."""

    def decorate(method: Handler[D]) -> Callable[[Any, list[Event[D]], Work], None]:
        @wraps(method)
        def each(self: Any, events: list[Event[D]], work: Work) -> None:  # noqa: ANN401 - any service
            for one in events:
                work.traceparent = one.traceparent
                method(self, one, work)

        entrypoint: Callable[[Any], Any] = Subscription.decorator(event)
        decorated: Callable[[Any, list[Event[D]], Work], None] = entrypoint(each)
        return decorated

    return decorate
