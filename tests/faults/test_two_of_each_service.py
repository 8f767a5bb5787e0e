"""All four services twice on the same queues and databases, and sites that send every visit to both intakes at once."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from services.contracts.topology import SERVICES, exchange_of
from tests.support.books import Books
from tests.support.broker import listener
from tests.support.crowd import Crowd, visitors
from tests.support.house import House, eventually

_PUBLISHERS = ("intake", "orientation", "referral")
_LEDGER = """SELECT body::json ->> 'id', routing_key FROM outbox WHERE recipient IS NULL AND position > %s
    ORDER BY position"""
_LAST = "SELECT coalesce(max(position), 0) FROM outbox"


@pytest.fixture(scope="module")
def second(breakable: House) -> Iterator[House]:
    """Start all four again, on other ports, on the same databases, broker and keys."""
    replicas = House(breakable.folder, breakable.environment["RELAIS_AMQP_URL"], breakable.databases)
    replicas.start()
    yield replicas
    replicas.close()


@pytest.mark.parametrize("killed", [False, True], ids=["both-live", "one-of-each-is-killed"])
def test_two_of_each_have_one_effect_and_one_order(
    own_house: House, second: House, books: Books, tell: Callable[[str], None], *, killed: bool
) -> None:
    """Each visit is new to one intake and known to the other; every later step happens once, whoever takes it.

    What a service publishes to one routing key comes in the order of its ledger, whichever replica relays it. When one
    of each is killed with -9 in the middle, the other goes on alone: an event may then come twice, never late.
    """
    guests = visitors(400)
    # Each site is ahead of itself by turns, and the second begins with what the first comes to last: both intakes are
    # the first to see their share, however late one begins.
    turns = [guests[at + 20 : at + 40] + guests[at : at + 20] for at in range(0, 360, 40)]
    turned = sum(turns, guests[360:])
    crowds = [Crowd(house, order, sizes=(1, 19), threads=2) for house, order in ((own_house, guests), (second, turned))]
    before = {service: second.handled(service) for service in SERVICES}
    with ExitStack() as stack:
        readers = {service: stack.enter_context(listener(own_house, exchange_of(service))) for service in _PUBLISHERS}
        known = {service: books.rows(service, _LAST)[0][0] for service in _PUBLISHERS}
        for crowd in crowds:
            crowd.start()
        crowds[1].wait_for(150)
        shares = eventually(lambda: _shares(second, before), within=30)
        if killed:
            second.kill()
            crowds[0].finish()
            second.start()
        for crowd in crowds:
            crowd.finish()
        took = books.settle(guests)
        for service, reader in readers.items():
            ledger = dict(books.rows(service, _LEDGER, known[service]))
            seen = [event["id"] for delivery in reader.take() for event in delivery.events]
            assert ledger.keys() == set(seen)
            for key in set(ledger.values()):
                in_order = [id_ for id_ in ledger if ledger[id_] == key]
                assert [id_ for id_ in dict.fromkeys(seen) if ledger[id_] == key] == in_order
            assert killed or len(seen) == len(ledger)
    balance = books.balance(guests)
    answers = Counter(tuple(sorted(crowd.answers[one.visit_id] for crowd in crowds)) for one in guests)
    first = sum(crowds[1].answers[one.visit_id] == 201 for one in guests)
    tell(
        f"two of each service{', one of each killed' if killed else ''}, 400 visits sent to both: {balance}; the"
        f" second recorded {first} and handled {json.dumps(shares)} at first;"
        f" settled {took:.1f} s after the last answer"
    )
    assert balance.even, str(balance)
    assert 0 < first < 400
    assert killed or answers == {(200, 201): 400}


def _shares(house: House, before: dict[str, int]) -> dict[str, int]:
    """How much each of its services has handled since, once all have handled something."""
    shares = {service: house.handled(service) - before[service] for service in SERVICES[1:]}
    return shares if all(shares.values()) else {}
