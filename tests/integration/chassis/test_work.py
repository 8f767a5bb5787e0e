"""One transaction: rows, events and keys, together or not at all."""

import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from threading import Barrier
from typing import ClassVar
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Column, ForeignKey, Integer, MetaData, Table, Text, exc, func, select

from services.chassis.app import App
from services.chassis.clock import Clock, Ids
from services.chassis.database import Database
from services.chassis.settings import Settings
from services.chassis.tables import outbox, vault_keys
from services.chassis.vault import Vault, VaultError
from services.contracts.envelope import EventData
from tests.support.house import eventually

NOW = datetime(2026, 11, 20, 8, 30, tzinfo=UTC)
ID = UUID("0193508e-7a5c-7cc1-9a59-3f6d0c7a2b11")
metadata = MetaData()
parents = Table("parents", metadata, Column("id", Integer, primary_key=True))
children = Table(
    "children",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("parent", ForeignKey("parents.id"), nullable=False),
)
toys = Table(
    "toys",
    metadata,
    Column("child", ForeignKey("children.id"), nullable=False),
    Column("parent", ForeignKey("parents.id"), nullable=False),
    Column("name", Text, nullable=False),
)


class Happened(EventData):
    """An event of no service."""

    TYPE: ClassVar[str] = "fr.relais.Happened.v1"
    SERVICE: ClassVar[str] = "intake"

    word: str

    def routing_key(self) -> str:
        """More than the name."""
        return f"Happened.{self.word}"


class Still(Clock):
    """A clock that stands still."""

    def now(self) -> datetime:
        """Always the same."""
        return NOW


class Same(Ids):
    """A source that gives one identifier."""

    def new(self) -> UUID:
        """Always the same."""
        return ID

    def new_text(self, *, outside: bool = False) -> str:  # noqa: ARG002 - as the real one
        """The same, written."""
        return str(ID)


@pytest.fixture
def tables(database: Database) -> Iterator[None]:
    """Add three tables that refer to one another."""
    metadata.create_all(database.engine)
    yield
    metadata.drop_all(database.engine)


def count(database: Database, *tables: Table) -> list[int]:
    """How many rows each table has."""
    with database.begin() as connection:
        return [connection.scalar(select(func.count()).select_from(table)) or 0 for table in tables]


@pytest.mark.usefixtures("tables")
def test_rows_of_tables_that_refer_to_one_another_may_be_inserted_in_any_order(app: App) -> None:
    """They are written parents first, one statement per table."""
    with app.work() as work:
        for number in range(50):
            work.insert(toys, child=number, parent=number, name="ours")
            work.insert(children, id=number, parent=number)
            work.insert(parents, id=number)
        assert count(app.database, parents, children, toys) == [0, 0, 0]
    assert count(app.database, parents, children, toys) == [50, 50, 50]


@pytest.mark.usefixtures("tables")
def test_a_statement_sees_what_was_inserted_before_it(app: App) -> None:
    """And may be followed by more of the same."""
    with app.work() as work:
        work.insert(children, id=1, parent=1)
        work.insert(parents, id=1)
        assert work.execute(select(children.c.id)).scalars().all() == [1]
        work.insert(children, id=2, parent=1)
    assert count(app.database, parents, children) == [1, 2]


@pytest.mark.usefixtures("tables")
def test_what_raises_leaves_nothing(app: App) -> None:
    """No row, no event, no key, whether the handler raises or the database refuses the last row; nobody is woken."""
    woken = app.wakes()
    with pytest.raises(ZeroDivisionError), app.work() as work:
        work.insert(parents, id=1)
        work.flush()
        work.emit(Happened(word="never"))
        work.key(ID)
        raise ZeroDivisionError
    with pytest.raises(exc.IntegrityError), app.work() as work:
        work.emit(Happened(word="never"))
        work.key(ID)
        work.insert(children, id=1, parent=404)
    assert count(app.database, parents, children, outbox, vault_keys) == [0, 0, 0, 0]
    assert not woken.is_set()


def test_an_event_is_in_the_ledger_from_the_commit(database: Database) -> None:
    """As CloudEvents wants it, with the trace of the request that began it; then the relay is woken."""
    app = App("intake", Settings(public_url="https://relais.example"), database, clock=Still(), ids=Same())
    woken, too = app.wakes(), app.wakes()
    trace = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"
    with app.work(trace) as work:
        work.emit(Happened(word="dit"))
        work.emit(Happened(word="dehors"), recipient="one")
        assert count(database, outbox) == [0]
        assert not woken.is_set()
    assert woken.is_set()
    assert too.is_set()
    with database.begin() as connection:
        inside, outside = connection.execute(select(outbox).order_by(outbox.c.position)).all()
    assert (inside.recipient, inside.routing_key, inside.created_at) == (None, "Happened.dit", NOW)
    assert json.loads(inside.body) == {
        "specversion": "1.0",
        "id": str(ID),
        "source": "/relais/intake",
        "type": "fr.relais.Happened.v1",
        "time": "2026-11-20T08:30:00Z",
        "datacontenttype": "application/json",
        "dataschema": "https://relais.example/schemas/Happened.v1.json",
        "traceparent": trace,
        "data": {"word": "dit"},
    }
    assert outside.recipient == "one"


def test_what_is_counted_is_told_after_the_commit_only(app: App) -> None:
    """A transaction that fails and is tried again counts once, and one that never succeeds not at all."""

    def told() -> list[str]:
        lines = app.metrics.text().decode().splitlines()
        return [line for line in lines if line.startswith("relais_things_total")]

    with pytest.raises(ZeroDivisionError), app.work() as work:
        work.count("relais_things", "Things.", kind="a")
        raise ZeroDivisionError
    with app.work() as work:
        for kind in "aab":
            work.count("relais_things", "Things.", kind=kind)
        assert told() == []
    assert told() == ['relais_things_total{kind="a"} 2.0', 'relais_things_total{kind="b"} 1.0']


def test_a_transaction_without_events_wakes_nobody(app: App) -> None:
    """The relay would look at the database for nothing."""
    woken = app.wakes()
    with app.work() as work:
        work.key(ID)
    assert not woken.is_set()


def test_the_key_of_a_case_is_made_once_and_found_again(app: App) -> None:
    """In the same transaction, in the next one, after a restart with the same master key; and no other opens."""
    with app.work() as work:
        sealed = work.key(ID).seal("story", "dit une fois")
        assert work.key(ID) is work.key(ID)
    with app.work() as work:
        assert work.key(ID).open("story", sealed) == "dit une fois"
    assert count(app.database, vault_keys) == [1]
    foreign = App("intake", Settings(), app.database, Vault(os.urandom(32)))
    with pytest.raises(VaultError), foreign.work() as work:
        work.key(ID)


def test_a_fresh_key_needs_no_look_up(app: App) -> None:
    """And is the same one for the rest of the transaction, and later."""
    with app.work() as work:
        sealed = work.new_key(ID).seal("story", "dit")
        assert work.key(ID).open("story", sealed) == "dit"
    with app.work() as work:
        assert work.key(ID).open("story", sealed) == "dit"


def test_two_transactions_that_make_the_same_key_at_once_get_one_key(app: App) -> None:
    """Two partners answer for one case at the same moment: neither is told to come back."""
    for _ in range(10):
        owner, meet = uuid4(), Barrier(2, timeout=10)

        def seal(text: str, owner: UUID = owner, meet: Barrier = meet) -> bytes:
            with app.work() as work:
                work.execute(select(func.count()).select_from(vault_keys))
                meet.wait()
                return work.key(owner).seal("note", text)

        with ThreadPoolExecutor(2) as pool:
            sealed = dict(zip(("one", "two"), pool.map(seal, ("one", "two")), strict=True))
        with app.work() as work:
            assert {work.key(owner).open("note", text) for text in sealed.values()} == {"one", "two"}


def test_a_transaction_waits_for_the_other_ones_key(app: App) -> None:
    """Whoever comes second takes the first one's key, or makes its own when the first one gave up."""
    with ThreadPoolExecutor(1) as pool:

        def seal() -> bytes:
            with app.work() as work:
                return work.key(ID).seal("note", "second")

        with pytest.raises(ZeroDivisionError), app.work() as first:
            first.key(ID)
            first.flush()
            second = pool.submit(seal)
            eventually(lambda: not second.done())
            raise ZeroDivisionError
        sealed = second.result(10)
    with app.work() as work:
        assert work.key(ID).open("note", sealed) == "second"
