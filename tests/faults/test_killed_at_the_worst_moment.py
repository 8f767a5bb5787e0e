"""A service is killed at the very instant where a careless one would lose an event or handle it twice.

It kills itself with SIGKILL, so that the instant is exact, and is started again.
"""

import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.support import mortal
from tests.support.books import Books
from tests.support.broker import listener
from tests.support.crowd import Crowd, visitors
from tests.support.house import House

_IN_THE_LEDGER = "SELECT count(*) FROM outbox WHERE body::json -> 'data' ->> 'visit_id' = %s"
_EVENT_OF = "SELECT body::json ->> 'id' FROM outbox WHERE body::json -> 'data' ->> 'visit_id' = %s AND type LIKE %s"
_HANDLED = "SELECT count(*) FROM inbox WHERE id = %s"


@pytest.fixture(scope="module")
def own_house(breakable: House) -> House:
    """Start the house anew, with services that can be made to die at a point."""
    breakable.stop()
    breakable.start(module=mortal.MODULE)
    return breakable


@contextmanager
def dying(house: House, victim: str, point: str, crowd: Crowd) -> Iterator[None]:
    """Post a crowd's visits until the victim has died at that very point; start it again in the end."""
    armed = mortal.arm(house.folder, victim, point)
    crowd.start()
    assert house.ended(victim) == -signal.SIGKILL
    assert not armed.exists()
    yield
    house.start(victim, module=mortal.MODULE)
    crowd.finish()


@pytest.mark.parametrize("victim", ["orientation", "referral", "reporting"])
def test_between_commit_and_acknowledgement(
    own_house: House, books: Books, victim: str, tell: Callable[[str], None]
) -> None:
    """The broker delivers again what was handled: the inbox knows it, and it has no second effect."""
    crowd = Crowd(own_house, visitors(60), sizes=(20,))
    with dying(own_house, victim, mortal.COMMITTED, crowd):
        pass
    books.settle(crowd.visitors)
    duplicates = own_house.handled(victim, "duplicate")
    balance = books.balance(crowd.visitors)
    tell(f"{victim} killed between commit and ack: {duplicates} events delivered again; {balance}")
    assert duplicates > 0
    assert balance.even, str(balance)


@pytest.mark.parametrize("victim", ["intake", "orientation", "referral"])
def test_between_publishing_and_marking(
    own_house: House, books: Books, victim: str, tell: Callable[[str], None]
) -> None:
    """The same events, under the same ids, are published again: everybody has handled them once in the end."""
    crowd = Crowd(own_house, visitors(60), sizes=(20,))
    with listener(own_house, f"{victim}.events") as reader:
        with dying(own_house, victim, mortal.PUBLISHED, crowd):
            first = {event["id"] for delivery in reader.take() for event in delivery.events}
        books.settle(crowd.visitors)
        times = Counter(event["id"] for delivery in reader.take() for event in delivery.events)
    twice = {id_ for id_, number in times.items() if number > 1}
    balance = books.balance(crowd.visitors)
    tell(f"{victim} killed between publishing and marking: {len(twice)} events published twice; {balance}")
    assert twice
    assert twice <= first
    assert balance.even, str(balance)


def test_between_publishing_to_partners_and_marking(
    own_house: House, books: Books, tell: Callable[[str], None]
) -> None:
    """A partner's queue holds the same event twice, under one source and id: the partner can tell."""
    crowd = Crowd(own_house, visitors(60), sizes=(20,))
    with dying(own_house, "referral", mortal.PUBLISHED_OUTSIDE, crowd):
        pass
    books.settle(crowd.visitors)
    balance = books.balance(crowd.visitors)
    tell(f"referral killed between publishing to partners and marking: {balance}")
    assert balance.delivered_again > 0
    assert balance.even, str(balance)


@pytest.mark.parametrize("victim", ["intake", "orientation", "referral"])
def test_between_the_outbox_and_the_commit(
    own_house: House, books: Books, victim: str, tell: Callable[[str], None]
) -> None:
    """Nothing of the visit is in the victim's database then, neither event nor effect; all of it after the restart."""
    crowd = Crowd(own_house, visitors(1))
    visit_id = crowd.visitors[0].visit_id
    with dying(own_house, victim, mortal.APPENDED, crowd):
        assert books.rows(victim, _IN_THE_LEDGER, visit_id) == [(0,)]
        if victim == "intake":
            assert not crowd.answers
            assert books.rows("intake", "SELECT count(*) FROM visits WHERE visit_id = %s", visit_id) == [(0,)]
        else:
            source, kind = ("intake", "%VisitRecorded%") if victim == "orientation" else ("orientation", "%Proposed%")
            ((event,),) = books.rows(source, _EVENT_OF, visit_id, kind)
            assert books.rows(victim, _HANDLED, event) == [(0,)]
    books.settle(crowd.visitors)
    balance = books.balance(crowd.visitors)
    tell(f"{victim} killed between outbox and commit: {balance}")
    assert books.rows(victim, _IN_THE_LEDGER, visit_id)[0][0] > 0
    assert balance.even, str(balance)
