"""An event that ends the process that handles it, again and again: in the end it alone is set aside."""

import json
import signal
import time
from collections.abc import Callable

import pytest

from tests.support import deadly
from tests.support.books import Books
from tests.support.crowd import visitors
from tests.support.house import House, eventually

_COUNTED = "SELECT visit_id::text FROM visits WHERE visit_id::text = ANY(%s)"


def test_it_is_parked_and_its_neighbours_are_counted(
    own_house: House, books: Books, tell: Callable[[str], None]
) -> None:
    """A supervisor starts reporting again each time. The broker counts the deliveries of this message alone.

    Of the events in its message, those before it were handled, those behind it are handled after it was set aside. When
    the bug is mended a replay counts it.
    """
    guests = visitors(200)
    ids = [one.visit_id for one in guests]
    poison = ids[60]
    bug = deadly.arm(own_house.folder, poison, deadly.TO_COUNT)
    own_house.stop("reporting")
    own_house.post_lines("fs-moreuil", [one.body for one in guests])
    ends, took = lives(own_house, lambda: len(books.rows("reporting", _COUNTED, ids)) == len(ids) - 1)
    answer = own_house.relais("dead-letters", "list", "--json", "--service", "reporting")
    (row,) = json.loads(answer.stdout)
    assert row["reason"] == f"the process ended while handling it, {deadly.DELIVERIES} times"
    bug.unlink()
    assert own_house.relais("dead-letters", "replay", "reporting", str(row["number"])).returncode == 0
    books.settle(guests)
    balance = books.balance(guests)
    tell(f"a visit that ends its process: set aside after {ends} ends in {took:.1f} s; replayed: {balance}")
    assert balance.even, str(balance)
    own_house.stop("reporting")


@pytest.mark.soak
def test_one_that_cannot_even_be_read_is_parked_as_it_came(
    own_house: House, books: Books, tell: Callable[[str], None]
) -> None:
    """With twice as much patience: nobody can tell its events apart."""
    (guest,) = visitors(1)
    bug = deadly.arm(own_house.folder, guest.visit_id, deadly.TO_READ)
    own_house.stop("reporting")
    own_house.post_visit(guest.body)
    ends, took = lives(own_house, lambda: bool(books.rows("reporting", "SELECT * FROM failures WHERE due_at IS NULL")))
    answer = own_house.relais("dead-letters", "list", "--json", "--service", "reporting")
    rows = json.loads(answer.stdout)
    assert {row["reason"] for row in rows} == {f"the process ended while reading it, {2 * deadly.DELIVERIES} times"}
    bug.unlink()
    own_house.relais("dead-letters", "replay", "reporting", "--all")
    books.settle([guest])
    balance = books.balance([guest])
    tell(f"a message that ends whoever reads it: set aside after {ends} ends in {took:.1f} s; replayed: {balance}")
    assert balance.even, str(balance)
    own_house.stop("reporting")


def lives(house: House, survives: Callable[[], bool]) -> tuple[int, float]:
    """Start reporting again and again until it survives; how often it ended, and how many seconds that took."""
    ends, started = 0, time.monotonic()
    while True:
        house.start("reporting", module=deadly.MODULE, ready=False)
        if eventually(lambda: "ended" if not house.alive("reporting") else survives() and "survives", 30) == "survives":
            return ends, time.monotonic() - started
        assert house.ended("reporting") == -signal.SIGKILL
        ends += 1
        assert ends <= 3 * deadly.DELIVERIES
