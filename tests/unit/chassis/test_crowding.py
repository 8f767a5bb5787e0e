"""How many requests of one organisation are served at once."""

from contextlib import ExitStack

import pytest

from services.chassis.crowding import Crowd
from services.chassis.errors import Rejected


def test_one_too_many_is_told_to_come_back() -> None:
    """429 with a time to wait; others are served, and so is it once one of its own is done."""
    crowd = Crowd(2)
    with crowd.one_more("a"):
        with crowd.one_more("a"):
            with pytest.raises(Rejected) as refused, crowd.one_more("a"):
                pass
            assert (refused.value.status, refused.value.headers) == (429, {"Retry-After": "1"})
            with crowd.one_more("b"):
                pass
        with crowd.one_more("a"):
            pass


def test_one_that_fails_is_done_too() -> None:
    """Whatever comes of a request, its place is free again."""
    crowd = Crowd(1)
    for _ in range(3):
        with pytest.raises(RuntimeError), crowd.one_more("a"):
            raise RuntimeError


def test_without_a_limit_as_many_as_come_are_served() -> None:
    """As most calls are."""
    crowd = Crowd(None)
    with ExitStack() as stack:
        for _ in range(500):
            stack.enter_context(crowd.one_more("a"))
