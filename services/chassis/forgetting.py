"""Forgets an erased case in a service's own database: its rows at once, its events in the ledger a little later.

The ledger is swept in small pages with pauses, for all cases that wait together: events for inside are coarsened, those
to partners deleted. Twice: once nobody adds to it any more, and after a time of grace, for whatever came in between;
then the secret by which ids became other ids is dropped (docs/decisions/31-erasure.md).
"""

import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Event as Signal
from typing import Any
from uuid import UUID

import orjson
from prometheus_client.metrics_core import Metric
from sqlalchemy import Connection, Row, delete, func, select, text, update
from sqlalchemy.dialects import postgresql

from services.chassis import erased, logs, outbox, webhook_rows
from services.chassis.app import App, Work
from services.chassis.errors import Unavailable
from services.chassis.metrics import gauge
from services.chassis.relay import INSIDE
from services.chassis.tables import erased as tombstones
from services.chassis.tables import forgetting
from services.chassis.tables import outbox as ledger
from services.contracts import topology
from services.contracts.coarse import digest

# What a service does with its own rows of a case: deletes or coarsens them, with other ids by the secret; done again,
# it finds what came late. The ids that partners know them by.
Forget = Callable[[Work, UUID, UUID], Collection[UUID]]

_LOCK = 0x464F5247
_PAGE = 2000
_LOOK_SECONDS, _AWAY_SECONDS, _PAUSE = 1.0, 10.0, 0.02
_AT_ONCE = 1000

log = logs.get(__name__)

_TRY_LOCK = text("SELECT pg_try_advisory_xact_lock(:key)")
_HORIZON = text("""
    UPDATE forgetting SET horizon = CAST(CAST(pg_snapshot_xmax(pg_current_snapshot()) AS text) AS bigint)
    WHERE horizon IS NULL""")
_NOBODY_WRITES = text("horizon <= CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS text) AS bigint)")
# Every id in a document stands between quotation marks. In this form the needles are put into a hash table, once.
_HOLDING = text("""
    WITH needles AS MATERIALIZED (SELECT CAST(needle AS text) FROM forgetting, unnest(needles) AS needle)
    SELECT position, recipient, type, body FROM outbox
    WHERE position BETWEEN :first AND :last
        AND (SELECT bool_or(word IN (TABLE needles)) FROM unnest(string_to_array(body, '"')) AS word)""")

_REWRITE = text("""
    UPDATE outbox SET body = new.body
    FROM json_to_recordset(CAST(:rows AS json)) AS new (position bigint, body text)
    WHERE outbox.position = new.position""")


def begin(work: Work, subject: UUID, secret: UUID, opened_at: datetime, forget: Forget) -> None:
    """Forget a case: its tombstone, the service's rows, what waits or is parked, and a row of work for the ledger."""
    known = digest(subject)
    tombstone = postgresql.insert(tombstones).values(digest=known, at=work.now)
    work.execute(tombstone.on_conflict_do_update(index_elements=["digest"], set_={"at": work.now}))
    # Erased again, while the first time is not over: with the same other ids.
    secret = work.execute(select(forgetting.c.secret).where(forgetting.c.digest == known)).scalar() or secret
    needles = {subject, *forget(work, subject, secret)}
    erased.rewrite_failures(work.connection, needles, secret)
    row = {"subject": subject, "secret": secret, "opened_at": opened_at, "since": work.now, "needles": sorted(needles)}
    anew = {
        "needles": func.array_cat(forgetting.c.needles, sorted(needles), type_=forgetting.c.needles.type),
        "since": work.now,
        "horizon": None,
        "swept_at": None,
    }
    insert = postgresql.insert(forgetting).values(digest=known, **row)
    work.execute(insert.on_conflict_do_update(index_elements=["digest"], set_=anew))


@dataclass(frozen=True)
class _Round:
    """The cases whose ledger rows are swept for the first time, those for the last; and from where to where."""

    first_time: list[Row[Any]]
    last_time: list[Row[Any]]
    start: int
    end: int
    published: int
    owners: dict[str, Row[Any]] = field(default_factory=dict)
    held: set[bytes] = field(default_factory=set)

    @property
    def cases(self) -> list[Row[Any]]:
        return self.first_time + self.last_time

    def lets_go(self, position: int, case: bytes) -> bool:
        """Whether the news of an erasure may go: its time is over, and all were told. Else the case waits for it."""
        if case not in {row.digest for row in self.last_time}:
            return False
        if position > self.published:
            self.held.add(case)
        return position <= self.published


class _Elsewhere(Exception):
    """Another replica is at it, or this one is told to stop."""


class Sweeper:
    """Does what is left to do for erased cases; replicas leave it to whoever is at it."""

    def __init__(self, app: App, forget: Forget) -> None:
        self._app, self._forget = app, forget
        self._stopping = Signal()
        self._grace = timedelta(hours=app.settings.erasure_hours)

    def run(self) -> None:
        """Sweep whenever there is something, until told to finish; a database that is away is waited for."""
        wait = _LOOK_SECONDS
        while not self._stopping.wait(wait):
            wait = _LOOK_SECONDS
            try:
                self.sweep()
            except _Elsewhere:
                pass
            except Unavailable:
                wait = _AWAY_SECONDS
            except Exception as error:  # noqa: BLE001 - no reason for the service to die
                log.error("forgetting failed", service=self._app.service, reason=logs.reason_of(error))  # noqa: TRY400
                wait = _AWAY_SECONDS

    def finish(self) -> None:
        """End after the page at hand."""
        self._stopping.set()

    def readings(self) -> Iterator[Metric]:
        """How many erased cases are in the ledger still."""
        with self._app.read() as connection:
            waiting = connection.scalar(select(func.count()).where(forgetting.c.swept_at.is_(None))) or 0
        help_ = "Erased cases whose events are not rewritten yet."
        yield gauge("relais_forgetting_pending", help_, ("service",), [((self._app.service,), waiting)])

    def sweep(self) -> int:
        """One round, if there is anything to do; how many cases it did. Raises Unavailable, _Elsewhere."""
        plan = self._plan()
        if plan is None:
            return 0
        for row in plan.cases:
            self._again(row)
        changed = 0
        for start in range(plan.start, plan.end + 1, _PAGE):
            began = time.monotonic()
            with self._turn() as connection:
                changed += self._page(connection, start, min(start + _PAGE - 1, plan.end), plan)
            if self._stopping.wait(max(_PAUSE, time.monotonic() - began)):
                raise _Elsewhere
        with self._turn() as connection:
            self._done(connection, plan)
        log.info("ledger swept", service=self._app.service, cases=len(plan.cases), events=changed)
        return len(plan.cases)

    def _plan(self) -> _Round | None:
        now = self._app.clock.now()
        with self._turn() as connection:
            if connection.scalar(select(forgetting.c.digest).limit(1)) is None:
                return None
            connection.execute(_HORIZON)
        with self._app.read() as connection:
            some = select(forgetting).order_by(forgetting.c.opened_at).limit(_AT_ONCE)
            first_time = connection.execute(some.where(forgetting.c.swept_at.is_(None), _NOBODY_WRITES)).all()
            over = forgetting.c.swept_at.is_not(None) & (forgetting.c.since <= now - self._grace)
            last_time = connection.execute(some.where(over)).all()
            begins = [row.opened_at for row in first_time] + [row.since for row in last_time]
            if not begins:
                return None
            end = connection.scalar(select(func.max(ledger.c.position))) or 0
            start = outbox.first_since(connection, end, min(begins) - outbox.SKEW)
            published = outbox.position_of(connection, INSIDE)
        return _Round(list(first_time), list(last_time), start, end, published)

    def _again(self, row: Row[Any]) -> None:
        """What a transaction that had begun before the tombstone has written since."""
        with self._app.work() as work:
            needles = {*row.needles, *self._forget(work, row.subject, row.secret)}
            erased.rewrite_failures(work.connection, needles, row.secret)
            if needles != set(row.needles):
                this = forgetting.c.digest == row.digest
                work.execute(update(forgetting).where(this).values(needles=sorted(needles)))

    def _page(self, connection: Connection, first: int, last: int, plan: _Round) -> int:
        """Rewrite the rows between two positions that name an erased case; how many did."""
        rows = connection.execute(_HOLDING, {"first": first, "last": last}).all()
        gone, new = [], []
        for row in rows:
            named = erased.ID.findall(row.body)
            if not plan.owners.keys() & named:  # a case of which this round knew nothing
                plan.owners.update(_owners(connection))
            case = next(plan.owners[one] for one in named if one in plan.owners)
            if row.type in topology.NOTICES:
                if row.recipient is None and plan.lets_go(row.position, case.digest):
                    gone.append(row.position)
            elif row.recipient is None and (left := erased.document(row.body, case.secret)):
                new.append({"position": row.position, "body": left})
            else:
                gone.append(row.position)
        if new:
            connection.execute(_REWRITE, {"rows": orjson.dumps(new).decode()})
        if gone:
            if connection.scalar(text("SELECT to_regclass('webhook_deliveries')")):
                webhook_rows.drop(connection, gone)
            connection.execute(delete(ledger).where(ledger.c.position.in_(gone)))
        return len(rows)

    def _done(self, connection: Connection, plan: _Round) -> None:
        swept = [row.digest for row in plan.first_time]
        connection.execute(
            update(forgetting)
            .where(forgetting.c.digest.in_(swept), forgetting.c.horizon.is_not(None))
            .values(swept_at=self._app.clock.now())
        )
        over = [row.digest for row in plan.last_time if row.digest not in plan.held]
        # Erased again meanwhile: not over.
        ended = forgetting.c.digest.in_(over) & forgetting.c.swept_at.is_not(None)
        connection.execute(delete(forgetting).where(ended))

    @contextmanager
    def _turn(self) -> Iterator[Connection]:
        """One transaction, if no other replica sweeps just now. Raises _Elsewhere, Unavailable."""
        with self._app.database.begin() as connection:
            if not connection.scalar(_TRY_LOCK, {"key": _LOCK}):
                raise _Elsewhere
            yield connection


def _owners(connection: Connection) -> dict[str, Row[Any]]:
    """The erased case that each id leads to."""
    return {str(one): row for row in connection.execute(select(forgetting)) for one in row.needles}
