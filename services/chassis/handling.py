"""What a consumer does with what arrived: one transaction for many events, and a place for each that fails.

A batch that fails is tried one event at a time, so that one poison event takes no other with it: it waits in PostgreSQL
for its next try, and is parked in the end.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Generic

from services.chassis import erased, inbox, logs
from services.chassis.app import App, D, Work
from services.chassis.errors import Rejected, RetryLater, Unavailable
from services.contracts.envelope import CONTENT_TYPE, CloudEvent

log = logs.get(__name__)
Call = Callable[[Sequence[CloudEvent[Any]], Work], None]
# In metrics, of what could not be read.
UNREADABLE = "unreadable"


class Handling(Generic[D]):
    """Handles the events of one queue, each kind by its call, inside the transaction that also remembers them.

    What arrived together is called kind by kind, in the order of `calls`.
    """

    def __init__(self, app: App, queue: str, calls: Mapping[type[D], Call]) -> None:
        self._app, self._queue = app, queue
        self._kinds = tuple(calls)
        self._calls = {kind.TYPE: call for kind, call in calls.items()}

    def read(self, body: bytes, content_type: str) -> inbox.Received[D]:
        """What can be read of a message; what cannot is parked, alone. Raises Unavailable."""
        try:
            return inbox.read(body, content_type, self._kinds)
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
                read: inbox.Received[D] = inbox.read(row.body, row.content_type, self._kinds)
                admitted = inbox.admit(work.connection, read.events)
                self._handle(admitted, _times(admitted), work)
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
            kind = UNREADABLE if unreadable else read.events[0].type
            self._tell(
                inbox.Failure(row.queue, row.content_type, row.body, tries, reason, due_at, row.source, row.id), kind
            )
        else:
            self._count_handled(admitted, _times(admitted))
        return True

    def _transact(self, events: Sequence[CloudEvent[D]]) -> None:
        with self._app.work() as work:
            admitted = inbox.admit(work.connection, events)
            times = _times(admitted)
            self._handle(admitted, times, work)
        if len(admitted) < len(events):
            again = Counter(event.type for event in events) - Counter(event.type for event in admitted)
            self._count("duplicate", again)
        self._count_handled(admitted, times)

    def _handle(self, events: Sequence[CloudEvent[D]], times: Sequence[float], work: Work) -> None:
        """As they may be seen, now that some cases were erased; each kind by its own method, those of one together."""
        if not events:
            return
        together: dict[Call, list[CloudEvent[D]]] = {call: [] for call in self._calls.values()}
        for event in erased.arriving(work.connection, events, min(times)):
            together[self._calls[event.type]].append(event)
        for call, some in together.items():
            if some:
                call(some, work)

    def _set_aside(
        self, received: inbox.Received[D], place: int, tries: int, reason: str, due_at: datetime | None
    ) -> None:
        event, document = received.events[place], received.document(place)
        self._remember(
            inbox.Failure(self._queue, CONTENT_TYPE, document, tries, reason, due_at, event.source, event.id),
            event.type,
        )

    def _remember(self, failure: inbox.Failure, kind: str = UNREADABLE) -> None:
        with self._app.work() as work:
            kept = erased.failing(work.connection, failure)
            if kept:
                inbox.remember(work.connection, kept, self._app.clock.now())
        if kept:
            self._tell(kept, kind)

    def _due(self, tries: int, error: Exception) -> datetime | None:
        """When to try again after `tries` tries; None: not any more."""
        delays = self._app.settings.delays
        if isinstance(error, Rejected) or tries > len(delays):
            return None
        wait = error.after if isinstance(error, RetryLater) else timedelta(seconds=delays[tries - 1])
        return self._app.clock.now() + wait

    def _tell(self, failure: inbox.Failure, kind: str) -> None:
        facts = {"queue": failure.queue, "id": failure.id, "tries": failure.tries, "reason": failure.reason}
        if failure.due_at:
            log.warning("event failed", **facts, again_at=failure.due_at.isoformat())
        else:
            log.warning("event parked", **facts)
        self._count("retried" if failure.due_at else "parked", [kind])

    def _count_handled(self, events: Sequence[CloudEvent[D]], times: Sequence[float]) -> None:
        self._count("handled", (event.type for event in events))
        now = self._app.clock.now().timestamp()
        self._app.metrics.lag.observe(max(0.0, now - time) for time in times)

    def _count(self, outcome: str, kinds: Iterable[str]) -> None:
        for kind, number in Counter(kinds).items():
            self._app.metrics.handled.labels(self._app.service, kind, outcome).inc(number)


def _times(events: Sequence[CloudEvent[D]]) -> list[float]:
    """When each was told, in seconds."""
    return [event.time.timestamp() for event in events]
