"""Cases of an earlier release are found again by who the person is."""

import pytest
from sqlalchemy import delete, update

from services.chassis.tables import vault_keys
from services.intake import indexing
from services.intake.tables import cases
from tests.support.counter import Counter, somebody


@pytest.fixture
def older(counter: Counter) -> Counter:
    """Lend a counter whose cases were opened before there were indexes."""
    for _ in range(3):
        counter.opened()
    with counter.app.work() as work:
        work.execute(update(cases).values(identity_index=b"older", birth_index=None, name_index=None))
    return counter


def test_cases_of_an_earlier_release_are_indexed(older: Counter) -> None:
    """In as many transactions as it takes, and once."""
    assert older.found(somebody()) == []
    assert [indexing.index_older_cases(older.app, batch=2), indexing.index_older_cases(older.app)] == [3, 0]
    assert len(older.found(somebody())) == 3
    assert older.record(somebody()).possible_matches == 3


def test_what_cannot_be_opened_stops_nothing(older: Counter) -> None:
    """A case whose key was destroyed, or whose identity was altered, is found by nobody; the others are."""
    gone, altered, left = older.rows(cases)
    with older.app.work() as work:
        work.execute(delete(vault_keys).where(vault_keys.c.owner == gone.id))
        work.execute(update(cases).where(cases.c.id == altered.id).values(identity_sealed=left.identity_sealed))
    assert [indexing.index_older_cases(older.app), indexing.index_older_cases(older.app)] == [2, 0]
    assert [match.case for match in older.found(somebody())] == [left.id]
