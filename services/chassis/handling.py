"""What a consumer does with what arrived: one transaction for many events, and a place for each that fails.

A batch that fails is tried one event at a time, so that one poison event takes no other with it: it waits in PostgreSQL
for its next try, and is parked in the end.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Generic

from services.chassis import inbox, logs
from services.chassis.app import App, D, Work
from services.chassis.errors import Rejected, RetryLater, Unavailable
from services.contracts.envelope import CONTENT_TYPE, CloudEvent

log = logs.get(__name__)


class Handling(Generic[D]):
    """Handles the events of one queue by `call`, inside the transaction that also remembers them."""

    def __init__(
        self, app: App, event: type[D], queue: str, call: Callable[[Sequence[CloudEvent[D]], Work], None]
    ) -> None:
        self._app, self._event, self._queue, self._call = app, event, queue, call

    def read(self, body: bytes, content_type: str) -> inbox.Received[D]:
        """What can be read of a message; what cannot is parked, alone. Raises Unavailable."""
        try:
            return inbox.read(body, content_type, self._event)
        except inbox.Unreadable as error:
            parts = inbox.parts(body, content_type)
            if not parts:
                self.park_message(body, content_type, str(error))
            received = inbox.Received[D]()
            for part in parts:
                received.add(self.read(part, CONTENT_TYPE))
            return received

    def handle(self, received: inbox.Received[D]) -> None:
        """All together; if that fails, one at a time. Raises Unavailable."""
        if len(received.events) > 1:
            try:
                self._transact(received.events)
            except Unavailable:
                raise
            except Exception:  # noqa: BLE001 - any bug of a handler: each alone will tell whose
                log.debug("batch failed", queue=self._queue)
            else:
                return
        self.handle_alone(received)

    def handle_alone(self, received: inbox.Received[D]) -> None:
        """One at a time, each in a transaction of its own. Raises Unavailable."""
        for place, event in enumerate(received.events):
            try:
                self._transact([event])
            except Unavailable:
                raise
            except Exception as error:  # noqa: BLE001 - any bug of a handler: retried, then parked
                self._set_aside(received, place, 1, logs.reason_of(error), self._due(1, error))

    def give_up(self, received: inbox.Received[D], deliveries: int) -> None:
        """A message that came back again and again, each time with the end of the process. Raises Unavailable.

        The events before its culprit were handled and are remembered. The first that was not is the culprit, and is
        parked; those behind it are tried as if they had failed once.
        """
        with self._app.read() as connection:
            left = inbox.unhandled(connection, received.events)
        reason = f"the process ended while handling it, {deliveries} times"
        for place in left:
            if place == left[0]:
                self._set_aside(received, place, deliveries, reason, None)
            else:
                self._set_aside(received, place, 1, reason, self._app.clock.now())

    def park_message(self, body: bytes, content_type: str, reason: str) -> None:
        """Set a whole message aside, as it came. Raises Unavailable."""
        # A text column takes no NUL, and no half of a surrogate pair.
        kind = content_type if content_type.isprintable() else ""
        self._remember(inbox.Failure(self._queue, kind, body, 1, reason, None))

    def retry_one(self) -> bool:
        """Try the failed event that is due first; whether there was one. Raises Unavailable."""
        row = None
        try:
            with self._app.work() as work:
                row = inbox.take_due(work.connection, self._queue, self._app.clock.now())
                if row is None:
                    return False
                inbox.forget(work.connection, row.number)
                events = inbox.admit(work.connection, inbox.read(row.body, row.content_type, self._event).events)
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
            with self._app.work() as work:
                inbox.postpone(work.connection, row.number, tries=tries, reason=reason, due_at=due_at)
            self._tell(inbox.Failure(row.queue, row.content_type, row.body, tries, reason, due_at, row.source, row.id))
        else:
            self._count_handled(events)
        return True

    def _transact(self, events: Sequence[CloudEvent[D]]) -> None:
        with self._app.work() as work:
            fresh = inbox.admit(work.connection, events)
            if fresh:
                self._call(fresh, work)
        self._count("duplicate", len(events) - len(fresh))
        self._count_handled(fresh)

    def _set_aside(
        self, received: inbox.Received[D], place: int, tries: int, reason: str, due_at: datetime | None
    ) -> None:
        event, document = received.events[place], received.document(place)
        self._remember(
            inbox.Failure(self._queue, CONTENT_TYPE, document, tries, reason, due_at, event.source, event.id)
        )

    def _remember(self, failure: inbox.Failure) -> None:
        with self._app.work() as work:
            inbox.remember(work.connection, failure, self._app.clock.now())
        self._tell(failure)

    def _due(self, tries: int, error: Exception) -> datetime | None:
        """When to try again after `tries` tries; None: not any more."""
        delays = self._app.settings.delays
        if isinstance(error, Rejected) or tries > len(delays):
            return None
        wait = error.after if isinstance(error, RetryLater) else timedelta(seconds=delays[tries - 1])
        return self._app.clock.now() + wait

    def _tell(self, failure: inbox.Failure) -> None:
        facts = {"queue": failure.queue, "id": failure.id, "tries": failure.tries, "reason": failure.reason}
        if failure.due_at:
            log.warning("event failed", **facts, again_at=failure.due_at.isoformat())
        else:
            log.warning("event parked", **facts)
        self._count("retried" if failure.due_at else "parked")

    def _count_handled(self, events: Sequence[CloudEvent[D]]) -> None:
        self._count("handled", len(events))
        now = self._app.clock.now().timestamp()
        self._app.metrics.lag.observe(max(0.0, now - event.time.timestamp()) for event in events)

    def _count(self, outcome: str, number: int = 1) -> None:
        self._app.metrics.handled.labels(self._app.service, self._event.TYPE, outcome).inc(number)
