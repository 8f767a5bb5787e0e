"""nameko's entrypoint for events: those that arrive together are handled in one transaction, each once."""

from collections.abc import Callable, Sequence
from functools import partial, wraps
from typing import Any, Generic

import kombu

from services.chassis import broker, consumer, inbox, logs
from services.chassis.app import D, Work
from services.chassis.consumer import Consumer
from services.chassis.errors import Unavailable
from services.chassis.handling import Call, Handling
from services.chassis.provider import app_of
from services.contracts import topology
from services.contracts.envelope import CloudEvent

log = logs.get(__name__)


class Subscription(Consumer, Generic[D]):
    """One event type of a service's. What comes from one publisher shares a queue, which the first of them consumes."""

    def __init__(self, event: type[D], **options: Any) -> None:  # noqa: ANN401 - nameko's
        self.event = event
        super().__init__(**options)

    def start(self) -> None:
        """Called by nameko once everything is set up."""
        app = app_of(self.container)
        events = topology.taken_from(app.service)[self.event.SERVICE]
        if self.event is not events[0]:
            return
        entries = {entry.event: entry for entry in self.container.entrypoints if isinstance(entry, Subscription)}
        methods: dict[str, Call] = {}
        calls = {
            event: methods.setdefault(entries[event].method_name, entries[event]._call)  # noqa: SLF001 - our own
            for event in events
        }
        queue = broker.queues(app.service)[self.event.SERVICE]
        self.handling: Handling[Any] = Handling(app, queue.name, calls)
        self.open(app.settings.broker_url, queue, self.retry)

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

    def declare(self, connection: kombu.Connection) -> None:
        """The whole topology inside."""
        broker.declare_topology(connection)

    def handle_returned(self, connection: kombu.Connection, message: kombu.Message, deliveries: int) -> None:
        """What ended the process again and again is parked."""
        self._patiently(connection, partial(self._handle_returned, message, deliveries))

    def _handle_returned(self, message: kombu.Message, deliveries: int) -> None:
        content_type = message.content_type or ""
        if deliveries >= 2 * consumer.DELIVERIES:
            reason = f"the process ended while reading it, {deliveries} times"
            self.handling.park_message(message.body, content_type, reason)
        elif deliveries >= consumer.DELIVERIES:
            self.handling.give_up(self.handling.read(message.body, content_type), deliveries)
        else:
            self.handling.handle_alone(self.handling.read(message.body, content_type))

    def handle_first(self, connection: kombu.Connection, arrived: Sequence[kombu.Message]) -> int:
        """As many events as fit into one transaction."""
        received = inbox.Received[Any]()
        number = 0
        for message in arrived:
            read = partial(self.handling.read, message.body, message.content_type or "")
            received.add(self._patiently(connection, read))
            number += 1
            if len(received.events) >= self.app.settings.batch_size:
                break
        self._patiently(connection, partial(self.handling.handle, received))
        return number


def subscribe_together(
    *events: type[D],
) -> Callable[
    [Callable[[Any, Sequence[CloudEvent[D]], Work], None]], Callable[[Any, Sequence[CloudEvent[D]], Work], None]
]:
    """Decorate `method(self, events, work)`: called once per transaction, with all its new events in order.

    For what is to be asked of the database once for all of them; the method sets `work.traceparent` for each itself.
    """

    def decorate(
        method: Callable[[Any, Sequence[CloudEvent[D]], Work], None],
    ) -> Callable[[Any, Sequence[CloudEvent[D]], Work], None]:
        for event in events:
            Subscription.decorator(event)(method)
        return method

    return decorate


def subscribe(
    *events: type[D],
) -> Callable[[Callable[[Any, CloudEvent[D], Work], None]], Callable[[Any, Sequence[CloudEvent[D]], Work], None]]:
    """Decorate `method(self, event, work)`: called once per new event, inside the transaction of its batch."""

    def decorate(
        method: Callable[[Any, CloudEvent[D], Work], None],
    ) -> Callable[[Any, Sequence[CloudEvent[D]], Work], None]:
        @wraps(method)
        def each(self: Any, arrived: Sequence[CloudEvent[D]], work: Work) -> None:  # noqa: ANN401 - any service
            for one in arrived:
                work.traceparent = one.traceparent
                method(self, one, work)

        for event in events:
            Subscription.decorator(event)(each)
        return each

    return decorate
