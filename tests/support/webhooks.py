"""A lane of webhooks in a test: its clock, its ledger, and what is still to be delivered."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from uuid import uuid4

from services.chassis import webhook_rows, webhook_secrets
from services.chassis.app import App
from services.chassis.clock import Clock
from services.chassis.outbox import Entry
from services.chassis.relay import OUTSIDE
from services.chassis.webhooks import Webhooks

DAY = timedelta(hours=24)


class Moved(Clock):
    """The real clock, after as much time as a test says; `wrong`: by how much somebody has set it wrong."""

    def __init__(self) -> None:
        self.by = self.wrong = timedelta(0)

    def now(self) -> datetime:
        """The present, moved, as the clock shows it."""
        return super().now() + self.by + self.wrong

    def monotonic(self) -> float:
        """Time passed, however the clock was set."""
        return super().monotonic() + self.by.total_seconds()


def subscribe(app: App, *recipients: str) -> None:
    """Have these told by webhook from now on."""
    with app.read() as connection:
        webhook_rows.subscribe(connection, recipients, OUTSIDE, app.clock.now())


@contextmanager
def running(webhooks: Webhooks) -> Iterator[None]:
    """Let a lane run, to its very end."""
    threading.Thread(target=webhooks.run, daemon=True).start()
    try:
        yield
    finally:
        webhooks.finish()
        assert webhooks.stopped.wait(20)


@contextmanager
def lane(app: App, **urls: str) -> Iterator[Webhooks]:
    """Deliver to these, each with a secret, until the end of the test."""
    subscribe(app, *urls)
    for name in urls:
        secret_of(app, name)
    webhooks = Webhooks(app, urls)
    with running(webhooks):
        yield webhooks


def idle(webhooks: Webhooks) -> bool:
    """Whether nobody is delivered to just now: who failed is at rest, counted from a time that is past."""
    return not any(each.busy for each in webhooks._receivers.values())  # noqa: SLF001 - told to nobody else


def secret_of(app: App, recipient: str, *, rotate: bool = False) -> str | None:
    """Make a secret as the command does."""
    with app.work() as work:
        return webhook_secrets.make(work, recipient, rotate=rotate)


def write(app: App, *recipients: str | None, at: datetime | None = None) -> list[str]:
    """Append an event for each to the ledger; their ids."""
    ids = [str(uuid4()) for _ in recipients]
    entries = [
        Entry(recipient, "fr.relais.ReferralSent.v1", "k", json.dumps({"id": id_, "data": {"reason": "été"}}))
        for recipient, id_ in zip(recipients, ids, strict=True)
    ]
    with app.work() as work:
        work._ledger += entries  # noqa: SLF001 - as `emit` does, with a body of the test's own
        if at:
            work.now = at
    return ids


def pending(app: App) -> int:
    """How many events are to be delivered, to whomever."""
    with app.read() as connection:
        return sum(not row["failed_at"] for row in webhook_rows.facts(connection, only_failed=False))


def failed(app: App) -> list[tuple[str, str]]:
    """(id, reason) of what was given up."""
    with app.read() as connection:
        return [(row["event"], row["reason"]) for row in webhook_rows.facts(connection, only_failed=True)]


def reason(app: App) -> str:
    """Why the first event that is pending was not delivered; empty before its first try."""
    with app.read() as connection:
        return next((row["reason"] or "" for row in webhook_rows.facts(connection, only_failed=False)), "")
