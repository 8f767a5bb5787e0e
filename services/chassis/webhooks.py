"""Delivers events to recipients outside by signed POSTs: each by itself, retried with backoff for as long as set.

One replica at a time (a database lock, held by a connection that does nothing else; another takes over by itself), one
thread for each receiver that has something to get. What is not delivered is known by `webhook_rows` only, so that an
end at any moment loses nothing; a POST that was not written down is sent again, under the same id.
"""

import random
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Event as Signal

import httpx
from prometheus_client.metrics_core import Metric
from sqlalchemy import text

from services.chassis import logs, webhook_post, webhook_rows, webhook_secrets
from services.chassis.app import App
from services.chassis.errors import Unavailable
from services.chassis.metrics import gauge
from services.chassis.webhook_post import Outcome
from services.chassis.webhook_rows import Delivery

_LOCK = text("SELECT pg_try_advisory_xact_lock(:key)")
_KEY = 0x57454248
_ALIVE = text("SELECT 1")
_ROWS = 20
# So many failures in a row are the receiver's; fewer may be the events'. It is then left alone, a minute at most.
_IN_A_ROW = 3
_REST = timedelta(minutes=1)
_JITTER = 0.1
_LOOK_AHEAD_SECONDS = 60.0
_IDLE_SECONDS, _BETWEEN_SECONDS, _AWAY_SECONDS = 1.0, 0.1, 2.0
# The service's other work needs the database's connections too.
_AT_ONCE = 4

log = logs.get(__name__)


@dataclass
class _Receiver:
    """What a replica remembers of a receiver; another that takes over tries it anew."""

    url: str
    busy: bool = False
    rounds_failed: int = 0
    # Of the clock that nobody sets.
    rests_until: float = 0.0


def next_try(first_at: datetime, now: datetime, delays: Sequence[timedelta], chance: float) -> datetime | None:
    """The first time of the schedule after `now`, later by up to a tenth of its delay; None at its end."""
    at = first_at
    for delay in delays:
        at += delay
        if at > now:
            return min(at + chance * _JITTER * delay, first_at + sum(delays, timedelta(0)))
    return None


class Webhooks:
    """The lane of those who are told by webhook: recipient -> address."""

    def __init__(self, app: App, urls: Mapping[str, str]) -> None:
        self._app = app
        self._receivers = {recipient: _Receiver(url) for recipient, url in urls.items()}
        self._delays = app.settings.webhook_tries
        self._time = sum(self._delays, timedelta(0))
        self._longest = max(self._delays) * (1 + _JITTER)
        self._looked_ahead = float("-inf")
        self._committed = app.wakes()
        self._stopping = False
        self._leading = Signal()
        self._turn = threading.BoundedSemaphore(_AT_ONCE)
        self.stopped = Signal()

    def run(self) -> None:
        """Deliver until stopped; a database that is away, or another replica that delivers, is waited for."""
        while not self._stopping:
            wait = _IDLE_SECONDS
            try:
                with self._app.read() as connection:
                    if connection.scalar(_LOCK, {"key": _KEY}):
                        self._tell_lacking()
                        self._leading.set()
                        while not self._stopping:
                            self._committed.clear()
                            # Nothing else on this connection: a lock of a table would hold up the next release.
                            connection.execute(_ALIVE)
                            self._look()
                            time.sleep(_BETWEEN_SECONDS)
                            self._committed.wait(_IDLE_SECONDS)
            except Unavailable as error:
                log.warning("webhooks paused", service=self._app.service, reason=str(error))
                wait = _AWAY_SECONDS
            finally:
                self._leading.clear()
            if not self._stopping:
                time.sleep(wait)
        while any(receiver.busy for receiver in self._receivers.values()):
            time.sleep(_BETWEEN_SECONDS)
        self.stopped.set()

    def finish(self) -> None:
        """End after the POSTs at hand; `stopped` tells when. What is left waits for the next start."""
        self._stopping = True
        self._leading.clear()
        self._committed.set()

    def readings(self) -> Iterator[Metric]:
        """How much is pending and failed of each recipient."""
        with self._app.read() as connection:
            found = webhook_rows.counts(connection, self._receivers.keys())
        for place, (name, help_) in enumerate(
            (
                ("relais_webhook_pending", "Events to deliver by webhook."),
                ("relais_webhook_failed", "Events that were given up by webhook."),
            )
        ):
            yield gauge(name, help_, ("partner",), [((each,), numbers[place]) for each, numbers in found.items()])

    def _tell_lacking(self) -> None:
        with self._app.read() as connection:
            for recipient in webhook_rows.without_secret(connection, self._receivers.keys()):
                log.warning("webhook without secret", recipient=recipient)

    def _look(self) -> None:
        """Begin a round for each receiver that has something to get, and is neither at it nor at rest."""
        now, passed = self._app.clock.now(), self._app.clock.monotonic()
        ready = [
            recipient
            for recipient, receiver in self._receivers.items()
            if not receiver.busy and receiver.rests_until <= passed
        ]
        if not ready:
            return
        with self._app.read() as connection:
            if passed >= self._looked_ahead + _LOOK_AHEAD_SECONDS:
                webhook_rows.put_right(connection, ready, now, self._longest)
                self._looked_ahead = passed
            found = webhook_rows.with_work(connection, ready, now)
        for recipient in found:
            self._receivers[recipient].busy = True
            threading.Thread(target=self._begin, args=(recipient,), name=f"webhook-{recipient}", daemon=True).start()

    def _begin(self, recipient: str) -> None:
        receiver = self._receivers[recipient]
        try:
            self._round(recipient, receiver)
        except Unavailable:
            pass  # the leader waits for the database
        except Exception as error:  # noqa: BLE001 - no reason for the service to die
            log.error("webhooks failed", recipient=recipient, reason=logs.reason_of(error))  # noqa: TRY400
            receiver.rests_until = self._app.clock.monotonic() + _REST.total_seconds()
        finally:
            receiver.busy = False

    def _round(self, recipient: str, receiver: _Receiver) -> None:
        """Deliver what there is, until nothing is left or the receiver seems not to take anything."""
        in_a_row, outcome = 0, Outcome(delivered=True)
        with webhook_post.new_client() as client:
            while self._leading.is_set() and in_a_row < _IN_A_ROW and not outcome.wait:
                deliveries, keys = self._due(recipient)
                for delivery in deliveries:
                    tried = self._post(client, receiver, keys, delivery)
                    if tried is None:
                        continue
                    outcome = tried
                    if not self._write_down(delivery, outcome):
                        return
                    in_a_row = 0 if outcome.delivered else in_a_row + 1
                    if not self._leading.is_set() or in_a_row == _IN_A_ROW or outcome.wait:
                        break
                if not deliveries:
                    break
        if not self._leading.is_set():
            return
        if in_a_row:
            self._rest(recipient, receiver, outcome)
        else:
            if receiver.rounds_failed:
                log.info("webhook receiver answers again", recipient=recipient)
            receiver.rounds_failed, receiver.rests_until = 0, 0.0

    def _due(self, recipient: str) -> tuple[list[Delivery], list[bytes]]:
        with self._turn, self._app.work() as work:
            keys = webhook_secrets.signing(work, recipient)
            return (webhook_rows.due(work.connection, recipient, work.now, _ROWS) if keys else []), keys

    def _post(
        self, client: httpx.Client, receiver: _Receiver, keys: Sequence[bytes], delivery: Delivery
    ) -> Outcome | None:
        """What came of it; None when the event was called back meanwhile."""
        if delivery.body is None:
            return Outcome(delivered=False, reason="not in the ledger any more", final=True)
        with self._turn, self._app.read() as connection:
            if not webhook_rows.begin(connection, delivery):
                return None
        return webhook_post.post(client, receiver.url, keys, delivery.event, delivery.body)

    def _write_down(self, delivery: Delivery, outcome: Outcome) -> bool:
        """False when another replica was at it too: of two that take themselves for the leader, one goes on."""
        now = self._app.clock.now()
        due_at = None
        if not outcome.delivered and not outcome.final:
            due_at = next_try(delivery.first_at or now, now, self._delays, random.random())  # noqa: S311 - no secret
        if due_at and outcome.wait:
            due_at = max(due_at, now + outcome.wait)
        with self._turn, self._app.read() as connection:
            if outcome.delivered:
                written = webhook_rows.delivered(connection, delivery)
            else:
                written = webhook_rows.failed(connection, delivery, outcome.reason, now, due_at, outcome.reached)
        if not written:
            return False
        if not outcome.delivered and due_at is None:
            facts = {"event_id": delivery.event, "tries": delivery.tries + 1, "reason": outcome.reason}
            log.warning("webhook given up", recipient=delivery.recipient, **facts)
        self._count(delivery.recipient, "delivered" if outcome.delivered else "retried" if due_at else "failed")
        return True

    def _rest(self, recipient: str, receiver: _Receiver, outcome: Outcome) -> None:
        """Leave the receiver alone for a while: what is new meanwhile waits too, and its time begins."""
        now = self._app.clock.now()
        if not receiver.rounds_failed:
            log.warning("webhook receiver fails", recipient=recipient, reason=outcome.reason)
        delay = self._delays[min(receiver.rounds_failed, len(self._delays) - 1)]
        receiver.rounds_failed += 1
        rest = outcome.wait or min(delay, _REST)
        receiver.rests_until = self._app.clock.monotonic() + rest.total_seconds()
        with self._turn, self._app.read() as connection:
            webhook_rows.join(connection, recipient, now, now + rest, outcome.reason)
            late = webhook_rows.give_up(connection, recipient, now, now - self._time, outcome.reason)
        if late:
            log.warning("webhooks given up", recipient=recipient, events=late, reason=outcome.reason)
            self._count(recipient, "failed", late)

    def _count(self, recipient: str, outcome: str, number: int = 1) -> None:
        self._app.metrics.count(
            "relais_webhook_deliveries", "Tries to deliver an event.", number, partner=recipient, outcome=outcome
        )
