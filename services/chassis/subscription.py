"""nameko's entrypoint for events: those of a batch are handled in one transaction, each once."""

from collections.abc import Callable, Sequence
from functools import partial, wraps
from typing import Any, Generic

import kombu

from services.chassis import broker, consumer, inbox, logs
from services.chassis.app import D, Work
from services.chassis.consumer import Consumer
from services.chassis.errors import Unavailable
from services.chassis.handling import Handling
from services.chassis.provider import app_of
from services.contracts.envelope import CloudEvent

log = logs.get(__name__)


class Subscription(Consumer, Generic[D]):
    """Consumes one event type for one service; the method below it is called once per new event."""

    def __init__(self, event: type[D], **options: Any) -> None:  # noqa: ANN401 - nameko's
        self.event = event
        super().__init__(**options)

    def start(self) -> None:
        """Called by nameko once everything is set up."""
        app = app_of(self.container)
        queue = broker.queues(app.service)[self.event.name()]
        self.handling: Handling[D] = Handling(app, self.event, queue.name, self._call)
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
        received = inbox.Received[D]()
        number = 0
        for message in arrived:
            read = partial(self.handling.read, message.body, message.content_type or "")
            received.add(self._patiently(connection, read))
            number += 1
            if len(received.events) >= self.app.settings.batch_size:
                break
        self._patiently(connection, partial(self.handling.handle, received))
        return number


def subscribe(
    *events: type[D],
) -> Callable[[Callable[[Any, CloudEvent[D], Work], None]], Callable[[Any, Sequence[CloudEvent[D]], Work], None]]:
    """Decorate `method(self, event, work)`: called once per new event, inside the transaction of its batch.

    Each of the events has a queue, a connection and a retry loop of its own: eight more of them cost a service 3 MB and
    1 % of a core, measured.
    """

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
