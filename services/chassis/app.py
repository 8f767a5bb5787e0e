"""What a handler is given: the App of its service, and a Work for each transaction."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Event as Signal
from threading import Lock
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import Connection, CursorResult, Executable, Table, select
from sqlalchemy.dialects import postgresql

from services.chassis import outbox
from services.chassis.clock import Clock, Ids
from services.chassis.database import Database, Row, insert_all
from services.chassis.metrics import Metrics
from services.chassis.settings import Settings
from services.chassis.tables import vault_keys
from services.chassis.vault import Key, Vault
from services.contracts.envelope import EventData, wrap

D = TypeVar("D", bound=EventData)


class Work:
    """One transaction. Inserts and events are collected and written with one statement per table at the end."""

    def __init__(self, app: "App", connection: Connection, traceparent: str | None) -> None:
        self._app = app
        self.connection = connection
        self.now = app.clock.now()  # the time of everything that this transaction tells
        self.minute = self.now.replace(second=0, microsecond=0)
        self.ids = app.ids
        self.settings = app.settings
        self.traceparent = traceparent
        self.counts: Counter[tuple[str, str, tuple[tuple[str, str], ...]]] = Counter()
        self._rows: dict[Table, list[Row]] = {}
        self._ledger: list[outbox.Entry] = []
        self._keys: dict[UUID, Key] = {}
        self._in_order = False

    def insert(self, table: Table, **values: Any) -> None:  # noqa: ANN401 - a row's values are of any type
        """Add a row; every row of one table must name the same columns."""
        self._rows.setdefault(table, []).append(values)

    def execute(
        self, statement: Executable, parameters: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None
    ) -> CursorResult[Any]:
        """Run a statement that sees what was inserted before it."""
        self.flush()
        return self.connection.execute(statement, parameters)

    def emit(self, data: EventData, *, recipient: str | None = None) -> None:
        """Add an event to the outbox: published after the commit, to everyone inside or to one `recipient` outside.

        Outside, the trace begins anew, and time is told to the minute: by what is common, two partners could match
        their files.
        """
        outside = recipient is not None
        body = wrap(
            data,
            id_=self.ids.new_text(outside=outside),
            time=self.minute if outside else self.now,
            base_url=self._app.settings.url(self._app.service),
            traceparent=self.ids.new_trace() if outside else self.traceparent,
        )
        self._ledger.append(outbox.Entry(recipient, data.TYPE, data.routing_key(), body))

    def count(self, name: str, help_: str, **labels: str) -> None:
        """Count one more of what the service counts for itself: told after the commit, so that a retry counts once."""
        self.counts[name, help_, tuple(labels.items())] += 1

    def key(self, owner: UUID) -> Key:
        """The key of a case, made when it has none yet. Raises VaultError."""
        if owner not in self._keys:
            find = select(vault_keys.c.wrapped).where(vault_keys.c.owner == owner)
            wrapped = self.execute(find).scalar()
            if wrapped is None:
                _, fresh = self._app.vault.new_key(owner)
                make = postgresql.insert(vault_keys).values(owner=owner, wrapped=fresh).on_conflict_do_nothing()
                # Another transaction may be making one just now: it is waited for, and its key found.
                made = self.execute(make.returning(vault_keys.c.wrapped)).scalar()
                wrapped = made or self.execute(find).scalar_one()
            self._keys[owner] = self._app.vault.open_key(owner, wrapped)
        return self._keys[owner]

    def new_key(self, owner: UUID) -> Key:
        """A key for an owner that certainly has none: no look-up."""
        self._keys[owner], wrapped = self._app.vault.new_key(owner)
        self.insert(vault_keys, owner=owner, wrapped=wrapped)
        return self._keys[owner]

    def flush(self) -> None:
        """Write the collected rows."""
        rows, self._rows = self._rows, {}
        insert_all(self.connection, rows)

    def commit_in_order(self, *, at_once: bool = False) -> None:
        """What is inserted at the end, or whatever is written from now on, is numbered in the order of commits."""
        if at_once:
            outbox.commit_in_order(self.connection)
        self._in_order = True

    def finish(self) -> bool:
        """Write everything; the outbox last, since its lock is held until the commit. Whether events were added."""
        outbox.append(self.connection, self._ledger, self.now, self._rows, in_order=self._in_order)
        return bool(self._ledger)


class App:
    """One service's belongings."""

    def __init__(  # noqa: PLR0913 - the last two only in tests
        self,
        service: str,
        settings: Settings,
        database: Database,
        vault: Vault | None = None,
        *,
        clock: Clock | None = None,
        ids: Ids | None = None,
    ) -> None:
        self.service = service
        self.settings = settings
        self.database = database
        self._vault = vault
        self.clock = clock or Clock()
        self.ids = ids or Ids()
        self.metrics = Metrics(service)
        self.blocked: set[str] = set()  # the relays whose broker takes nothing, for want of disk or memory
        self.one_at_a_time = Lock()  # held by the one consumer that tries what came back
        self._woken: list[Signal] = []

    def wakes(self) -> Signal:
        """A signal of the caller's own, set after each commit that added events."""
        self._woken.append(Signal())
        return self._woken[-1]

    @property
    def vault(self) -> Vault:
        """The vault, in a service that was given one."""
        assert self._vault is not None, f"{self.service} keeps no secrets"
        return self._vault

    @contextmanager
    def work(self, traceparent: str | None = None) -> Iterator[Work]:
        """One transaction that may emit events; the relay is woken after its commit. Raises Unavailable."""
        with self.database.begin() as connection:
            work = Work(self, connection, traceparent)
            yield work
            emitted = work.finish()
        for (name, help_, labels), number in work.counts.items():
            self.metrics.count(name, help_, number, **dict(labels))
        if emitted:
            for signal in self._woken:
                signal.set()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One transaction for reading. Raises Unavailable."""
        with self.database.begin() as connection:
            yield connection
