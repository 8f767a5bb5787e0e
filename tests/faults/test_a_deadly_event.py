"""An event that ends the process that handles it, again and again: in the end it alone is set aside."""

import json
import signal
import time
from collections.abc import Callable

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
    bug = deadly.arm(own_house.folder, poison)
    own_house.stop("reporting")
    own_house.post_lines("fs-moreuil", [one.body for one in guests])
    ends, started = 0, time.monotonic()
    while True:
        own_house.start("reporting", module=deadly.MODULE, ready=False)
        if eventually(lambda: fate(own_house, books, ids), within=30.0) == "all but one counted":
            break
        assert own_house.ended("reporting") == -signal.SIGKILL
        ends += 1
        assert ends <= 2 * deadly.DELIVERIES
    took = time.monotonic() - started
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


def fate(house: House, books: Books, ids: list[str]) -> str:
    """How this life of reporting ends; nothing while it is not decided."""
    if not house.alive("reporting"):
        return "dead"
    return "all but one counted" if len(books.rows("reporting", _COUNTED, ids)) == len(ids) - 1 else ""
