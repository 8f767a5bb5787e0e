"""All four services with `amqps://` addresses, and one that does not trust the broker."""

from collections.abc import Callable

import httpx

from tests.support.house import House, eventually, visit
from tests.support.rabbit import Rabbit


def test_a_visit_goes_all_the_way_through_tls(
    houses: Callable[..., House], rabbit: Rabbit, vhosts: Callable[[], str]
) -> None:
    """Recorded, oriented, referred, and with its partner, with the broker's certificate checked at each connection."""
    inside, partners, ingest = (rabbit.url(vhosts(), tls=True) for _ in range(3))
    house = houses(
        RELAIS_AMQP_URL=inside,
        RELAIS_AMQP_URL_PARTNERS=partners,
        RELAIS_AMQP_URL_INGEST=ingest,
        RELAIS_AMQP_CA_FILE=str(rabbit.authority.ca_path),
    )
    house.start()
    body = visit()
    assert house.post_visit(body).status_code == httpx.codes.CREATED
    (referral,) = house.sent(body)
    own = [url.rpartition("/")[2] for url in (inside, partners)]
    queue = f"out.{referral['partner']}"
    eventually(lambda: queue in rabbit.queues(own[1]))
    assert eventually(lambda: rabbit.depth(own[1], queue)) == 1
    assert {one["ssl"] for one in rabbit.api("GET", "/connections") if one["vhost"] in own} == {True}
    assert set(house.stop().values()) == {0}


def test_who_does_not_trust_the_broker_waits_and_says_so(
    houses: Callable[..., House], rabbit: Rabbit, vhosts: Callable[[], str]
) -> None:
    """Nothing is said to a broker that may be another; the log has the kind of error."""
    house = houses(RELAIS_AMQP_URL=rabbit.url(vhosts(), tls=True))
    house.start("orientation", ready=False)

    def ready() -> int:
        try:
            return house.client.get(f"{house.url('orientation')}/readyz").status_code
        except httpx.HTTPError:
            return 0

    assert eventually(ready, within=30) == httpx.codes.SERVICE_UNAVAILABLE
    assert eventually(lambda: "SSLCertVerificationError" in house.log("orientation"))
    assert set(house.stop().values()) == {0}
