"""Rows written in one statement or by COPY: what goes in comes out, whatever its type."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    ForeignKey,
    Identity,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    Uuid,
    exc,
    func,
    insert,
    select,
    text,
)

from services.chassis.database import FEW, Database, insert_all, lock
from services.contracts.codes import Need
from tests.support.house import eventually

_WAITING = text("SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'advisory'")
metadata = MetaData()
# One column of each type that our services have.
rows = Table(
    "rows",
    metadata,
    Column("number", BigInteger, Identity(always=True), primary_key=True),
    Column("case", Uuid),
    Column("text", Text),
    Column("small", Integer),
    Column("large", BigInteger),
    Column("yes", Boolean),
    Column("day", Date),
    Column("at", DateTime(timezone=True)),
    Column("sealed", LargeBinary),
    Column("words", ARRAY(Text)),
)
# PostgreSQL has no NUL, and UTF-8 no half of a surrogate pair.
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
any_row = st.fixed_dictionaries(
    {
        "case": st.none() | st.uuids(),
        "text": st.none() | texts | st.sampled_from(list(Need)),
        "small": st.none() | st.integers(-(2**31), 2**31 - 1),
        "large": st.none() | st.integers(-(2**63), 2**63 - 1),
        "yes": st.none() | st.booleans(),
        "day": st.none() | st.dates(),
        # Long ago zones differed by seconds, which a visit's time cannot.
        "at": st.none() | st.datetimes(datetime(2000, 1, 1), datetime(2999, 1, 1), timezones=st.timezones()),  # noqa: DTZ001
        "sealed": st.none() | st.binary(),
        "words": st.none() | st.lists(texts),
    }
)


@pytest.fixture
def table(database: Database) -> Iterator[Table]:
    """Make the table."""
    metadata.create_all(database.engine)
    yield rows
    metadata.drop_all(database.engine)


def read(database: Database) -> list[dict[str, Any]]:
    """Read all rows in the order they were numbered, and delete them."""
    columns = [column for column in rows.c if column is not rows.c.number]
    with database.begin() as connection:
        found = [dict(row) for row in connection.execute(select(*columns).order_by(rows.c.number)).mappings()]
        connection.execute(rows.delete())
    return found


@pytest.mark.parametrize("times", [1, FEW + 1], ids=["few", "many"])
@given(wanted=st.lists(any_row, min_size=1, max_size=5))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_rows_come_out_as_the_driver_itself_would_have_written_them(
    database: Database, table: Table, times: int, wanted: list[dict[str, Any]]
) -> None:
    """In their order, with every character, instant and byte."""
    with database.begin() as connection:
        insert_all(connection, {table: wanted * times})
    ours = read(database)
    with database.begin() as connection:
        for row in wanted:
            connection.execute(insert(table), [row])
    assert ours == read(database) * times


def test_a_thousand_rows_keep_their_order(database: Database, table: Table) -> None:
    """Positions in the ledger are numbered as the events were added."""
    with database.begin() as connection:
        insert_all(connection, {table: [{"small": number, "text": "x" * (number % 50)} for number in range(1000)]})
        insert_all(connection, {table: []})
    assert [row["small"] for row in read(database)] == list(range(1000))


def test_columns_that_are_not_named_get_their_default(database: Database, table: Table) -> None:
    """Not NULL: the server's own, such as the number."""
    with database.begin() as connection:
        insert_all(connection, {table: [{"text": "one"}, {"text": "two"}]})
        numbers = connection.execute(select(rows.c.number).order_by(rows.c.number)).scalars().all()
    assert len(set(numbers)) == 2


@pytest.mark.parametrize("times", [1, FEW + 1], ids=["few", "many"])
@pytest.mark.parametrize("text", ["nul \0 in ¤", "half a pair of ¤ \ud800"], ids=["nul", "surrogate"])
def test_a_text_that_no_database_can_hold_is_told_as_wrong(
    database: Database, table: Table, text: str, times: int
) -> None:
    """Not as a database that is away: it would be waited for without end."""
    with pytest.raises((exc.DBAPIError, ValueError)) as caught, database.begin() as connection:
        insert_all(connection, {table: [{"text": text}] * times})
    assert "¤" not in str(caught.value)
    assert read(database) == []


@pytest.mark.parametrize("times", [1, FEW + 1], ids=["few", "many"])
def test_a_value_of_no_known_type_is_a_bug_and_not_quoted(database: Database, table: Table, times: int) -> None:
    """Nothing is written in its place."""
    with pytest.raises((exc.DBAPIError, ValueError), match=r"object"), database.begin() as connection:
        insert_all(connection, {table: [{"text": object()}] * times})
    assert read(database) == []


def test_many_rows_are_written_before_those_that_refer_to_them(database: Database) -> None:
    """In whatever order a handler inserted them."""
    houses = Table("houses", MetaData(), Column("id", Integer, primary_key=True))
    doors = Table("doors", houses.metadata, Column("house", Integer, ForeignKey("houses.id")))
    houses.metadata.create_all(database.engine)
    numbers = range(FEW + 1)
    with database.begin() as connection:
        insert_all(connection, {doors: [{"house": n} for n in numbers], houses: [{"id": n} for n in numbers]})
        assert connection.scalar(select(func.count()).select_from(doors)) == len(numbers)
    houses.metadata.drop_all(database.engine)


@pytest.mark.parametrize("times", [1, FEW + 1], ids=["few", "many"])
@pytest.mark.parametrize("place", ["first", "last"])
def test_rows_under_a_lock_are_numbered_when_it_is_theirs(
    database: Database, table: Table, place: str, times: int
) -> None:
    """Not while they wait for it: who holds it meanwhile gets the lower numbers. In whichever part of the statement."""
    beside = Table("beside", MetaData(), Column("id", Integer))
    beside.metadata.create_all(database.engine)
    ours: dict[Table, list[dict[str, Any]]] = {table: [{"text": "waited"}] * times, beside: [{"id": 1}]}
    if place == "last":
        ours = dict(reversed(ours.items()))

    def wait_and_write() -> None:
        with database.begin() as connection:
            insert_all(connection, ours, under=7)

    with ThreadPoolExecutor(1) as pool:
        with database.begin() as holder:
            lock(holder, 7)
            waiting = pool.submit(wait_and_write)
            eventually(lambda: holder.scalar(_WAITING) == 1)
            insert_all(holder, {table: [{"text": "held it"}]})
        waiting.result(10)
    assert [row["text"] for row in read(database)] == ["held it", *["waited"] * times]
    beside.metadata.drop_all(database.engine)


def test_instants_keep_their_microseconds_and_become_utc(database: Database, table: Table) -> None:
    """The one conversion there is."""
    at = datetime(2026, 11, 20, 9, 30, 0, 123456, tzinfo=UTC)
    row = {"at": at, "day": date(2026, 11, 20), "case": uuid4(), "sealed": bytes(range(256))}
    with database.begin() as connection:
        insert_all(connection, {table: [row]})
    (found,) = read(database)
    assert {key: found[key] for key in row} == row
    assert isinstance(found["case"], UUID)
