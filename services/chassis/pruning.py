"""Deletes what has served its time: published, handled and parked events, ended sessions, used invitations.

Once a day, a few thousand rows a transaction, with a pause after each at least as long as the work. No index is needed
for it: the ledger is in order of time, and the inbox is swept page by page (docs/decisions/14-pruning.md).
"""

import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from itertools import takewhile
from threading import Event as Signal
from typing import Any

from sqlalchemy import Connection, Table, delete, select, text

from services.chassis import logs, outbox, webhook_rows
from services.chassis.app import App
from services.chassis.errors import Unavailable
from services.chassis.relay import INSIDE, OUTSIDE
from services.chassis.tables import failures, inbox, invitations_used, sessions, webhook_deliveries, webhook_secrets
from services.chassis.tables import outbox as ledger
from services.chassis.tokens import INVITATION_VALID

_PRUNED = "pruned"
_ROWS, _PAGES = 2000, 32  # of eight KiB: some 2,800 rows of the inbox
_LOCK = 0x5052554E
_SOON, _DAILY, _AWAY = 10.0, 24 * 3600.0, 60.0
_PAUSE = 0.05

log = logs.get(__name__)

_INBOX_PAGES = text("SELECT pg_relation_size('inbox') / CAST(current_setting('block_size') AS int)")
_SWEEP = (
    delete(inbox)
    .where(text("inbox.ctid >= CAST(:first AS tid) AND inbox.ctid < CAST(:last AS tid)"))
    .where(inbox.c.handled_at < text(":before"))
)


def prune_ledger(
    connection: Connection, before: datetime, *, relayed_outside: bool, webhooks: bool = False, rows: int = _ROWS
) -> int:
    """Delete the ledger's oldest rows, from before `before` and published; how many, `rows` at most.

    It stops at the first row to keep, so that what is left has no gaps. Rows for outsiders count as published when
    nothing relays them (`relayed_outside` false): they are read over HTTP only. With `webhooks`, what waits to be
    delivered by webhook is kept.
    """
    held = webhook_rows.held(connection) if webhooks else {}
    last_inside = outbox.position_of(connection, INSIDE)
    last_outside = outbox.position_of(connection, OUTSIDE) if relayed_outside else None
    pruned = outbox.position_of(connection, _PRUNED)

    def served(row: Any) -> bool:  # noqa: ANN401 - a row of the ledger
        last = last_inside if row.recipient is None else held.get(row.recipient, last_outside)
        return row.created_at < before and (last is None or row.position <= last)

    oldest = (
        select(ledger.c.position, ledger.c.recipient, ledger.c.created_at)
        .where(ledger.c.position > pruned)
        .order_by(ledger.c.position)
        .limit(rows)
    )
    old = list(takewhile(served, connection.execute(oldest)))
    if not old:
        return 0
    connection.execute(delete(ledger).where(ledger.c.position.between(pruned + 1, old[-1].position)))
    outbox.move(connection, _PRUNED, old[-1].position)
    for recipient, position in {row.recipient: row.position for row in old if row.recipient}.items():
        outbox.move(connection, f"{_PRUNED}.{recipient}", position)
    return len(old)


def has_lost(connection: Connection, recipient: str, position: int) -> bool:
    """Whether any event for `recipient` after `position` has been deleted."""
    return outbox.position_of(connection, f"{_PRUNED}.{recipient}") > position


def ledger_begins(connection: Connection) -> datetime | None:
    """When the oldest event still kept was written, if older ones have been deleted."""
    pruned = outbox.position_of(connection, _PRUNED)
    kept = select(ledger.c.created_at).where(ledger.c.position > pruned).order_by(ledger.c.position).limit(1)
    return connection.scalar(kept) if pruned else None


def sweep_inbox(connection: Connection, before: datetime, page: int, pages: int = _PAGES) -> int:
    """Forget events handled before `before`, in `pages` pages of the table from `page` on; how many."""
    tids = {"first": f"({page},0)", "last": f"({page + pages},0)"}
    return connection.execute(_SWEEP, {**tids, "before": before}).rowcount


def drop_parked(connection: Connection, before: datetime, rows: int = _ROWS) -> Sequence[Any]:
    """Delete events parked and failed before `before`: number, queue, id, reason, failed_at of each, `rows` at most."""
    parked = failures.c.due_at.is_(None)
    found = select(failures.c.number).where(parked, failures.c.failed_at < before).order_by("number").limit(rows)
    # `parked` twice: somebody may be replaying one just now.
    statement = delete(failures).where(parked, failures.c.number.in_(found))
    columns = (failures.c.number, failures.c.queue, failures.c.id, failures.c.reason, failures.c.failed_at)
    return connection.execute(statement.returning(*columns)).all()


def drop_ended(connection: Connection, table: Table, column: str, before: datetime, rows: int = _ROWS) -> int:
    """Delete rows whose time in `column` is before `before`; how many, `rows` at most. No row without the table."""
    if connection.scalar(text("SELECT to_regclass(:name)"), {"name": table.name}) is None:
        return 0
    (key,) = table.primary_key.columns
    found = select(key).where(table.c[column] < before).limit(rows)
    return connection.execute(delete(table).where(key.in_(found))).rowcount


class _Elsewhere(Exception):
    """Another replica is at it."""


class Pruner:
    """Prunes one service's database, every day; replicas leave it to whoever is at it."""

    def __init__(self, app: App, *, relayed_outside: bool, webhooks: bool = False) -> None:
        self._app = app
        self._ledger = partial(prune_ledger, relayed_outside=relayed_outside, webhooks=webhooks)
        self._stopping = Signal()
        self._deleted = app.metrics.counter("relais_pruned_rows", "Rows deleted for their age.", "service", "table")

    def run(self) -> None:
        """Prune until told to finish; a database that is away is waited for."""
        wait = _SOON
        while not self._stopping.wait(wait):
            wait = _DAILY
            try:
                self.prune()
            except Unavailable:
                wait = _AWAY
            except Exception as error:  # noqa: BLE001 - no reason for the service to die
                log.error("pruning failed", service=self._app.service, reason=logs.reason_of(error))  # noqa: TRY400

    def finish(self) -> None:
        """End after the batch at hand."""
        self._stopping.set()

    def prune(self) -> dict[str, int]:
        """One round; how many rows of each table were deleted. Raises Unavailable."""
        now, settings = self._app.clock.now(), self._app.settings
        parked_since = now - timedelta(days=settings.parked_days)
        tables = (failures, webhook_deliveries, webhook_secrets, sessions, invitations_used, ledger, inbox)
        deleted = dict.fromkeys((table.name for table in tables), 0)
        try:
            self._drop_parked(parked_since, deleted)
            self._drop_ended(webhook_deliveries, "failed_at", parked_since, deleted)
            self._drop_ended(webhook_secrets, "ends_at", now, deleted)
            self._drop_ended(sessions, "expires_at", now, deleted)
            # Twice as long as an invitation is valid: clocks differ.
            self._drop_ended(invitations_used, "used_at", now - 2 * INVITATION_VALID, deleted)
            self._prune_ledger(now - timedelta(days=settings.ledger_days), deleted)
            self._sweep_inbox(now - settings.inbox_time, deleted)
        except _Elsewhere:
            pass
        if any(deleted.values()):
            log.info("pruned", service=self._app.service, **deleted)
        return deleted

    def _drop_parked(self, before: datetime, deleted: dict[str, int]) -> None:
        while rows := self._batch(partial(drop_parked, before=before)):
            self._count("failures", len(rows), deleted)
            for row in rows:
                facts = {"queue": row.queue, "id": row.id, "number": row.number, "reason": row.reason}
                log.warning("parked event dropped", **facts, failed_at=row.failed_at.isoformat())

    def _drop_ended(self, table: Table, column: str, before: datetime, deleted: dict[str, int]) -> None:
        while rows := self._batch(partial(drop_ended, table=table, column=column, before=before)):
            self._count(table.name, rows, deleted)

    def _prune_ledger(self, before: datetime, deleted: dict[str, int]) -> None:
        while rows := self._batch(partial(self._ledger, before=before)):
            self._count("outbox", rows, deleted)

    def _sweep_inbox(self, before: datetime, deleted: dict[str, int]) -> None:
        with self._app.read() as connection:
            pages: int = connection.scalar(_INBOX_PAGES) or 0
        for page in range(0, pages, _PAGES):
            rows = self._batch(partial(sweep_inbox, before=before, page=page))
            self._count("inbox", rows or 0, deleted)
            if rows is None:
                return

    def _batch(self, work: Callable[[Connection], Any]) -> Any:  # noqa: ANN401 - what `work` returns
        """One transaction, then a pause as long as it took; None once stopping. Raises _Elsewhere, Unavailable."""
        if self._stopping.is_set():
            return None
        started = time.monotonic()
        with self._app.database.begin() as connection:
            if not connection.scalar(text("SELECT pg_try_advisory_xact_lock(:key)"), {"key": _LOCK}):
                raise _Elsewhere
            done = work(connection)
        self._stopping.wait(max(_PAUSE, time.monotonic() - started))
        return done

    def _count(self, table: str, rows: int, deleted: dict[str, int]) -> None:
        deleted[table] += rows
        self._deleted.labels(self._app.service, table).inc(rows)
