"""Two replicas of a service share its queues and its outbox: one effect each, in order, also when one is killed."""

import json
from collections.abc import Callable, Iterator

import pytest

from tests.support.books import Books
from tests.support.broker import listener
from tests.support.crowd import Crowd, visitors
from tests.support.house import House

DOUBLED = ("orientation", "referral")
_LEDGER = "SELECT body::json ->> 'id' FROM outbox WHERE recipient IS NULL ORDER BY position"


@pytest.fixture(scope="module")
def second(breakable: House) -> Iterator[House]:
    """Start orientation and referral again, on other ports, on the same databases, broker and keys."""
    replicas = House(breakable.folder, breakable.environment["RELAIS_AMQP_URL"], breakable.databases)
    replicas.start(*DOUBLED)
    yield replicas
    replicas.close()


def handled(house: House, service: str) -> float:
    """How many events this replica has handled."""
    exposition = house.client.get(f"{house.url(service)}/metrics").text
    return sum(
        float(line.rpartition(" ")[2])
        for line in exposition.splitlines()
        if line.startswith("relais_events_handled_total{") and 'outcome="handled"' in line
    )


@pytest.mark.parametrize("killed", [False, True], ids=["both-live", "one-is-killed"])
def test_two_replicas_have_one_effect_and_one_order(
    own_house: House, second: House, books: Books, tell: Callable[[str], None], *, killed: bool
) -> None:
    """Both take their share; what each service publishes comes in the order of its ledger, whoever relays it.

    When one of them is killed with -9 the other takes over: an event may then come twice, never late.
    """
    crowd = Crowd(own_house, visitors(800), sizes=(1, 20))
    shares = {service: handled(second, service) for service in DOUBLED}
    with listener(own_house, "orientation.events") as orientations, listener(own_house, "referral.events") as sent:
        known = {service: len(books.rows(service, _LEDGER)) for service in DOUBLED}
        crowd.start()
        crowd.wait_for(400)
        shares = {service: handled(second, service) - before for service, before in shares.items()}
        if killed:
            second.kill()
        crowd.finish()
        took = books.settle(crowd.visitors)
        for service, reader in (("orientation", orientations), ("referral", sent)):
            ledger = [row[0] for row in books.rows(service, _LEDGER)][known[service] :]
            seen = [event["id"] for delivery in reader.take() for event in delivery.events]
            assert list(dict.fromkeys(seen)) == ledger
            assert killed or len(seen) == len(ledger)
    balance = books.balance(crowd.visitors)
    tell(
        f"two replicas of orientation and referral{', one of each killed' if killed else ''}: {balance};"
        f" the second handled {json.dumps(shares)} of the first 400; settled {took:.1f} s after the last answer"
    )
    assert balance.even, str(balance)
    assert all(share > 0 for share in shares.values())
