"""A case is erased while things are away: nobody waits for them, and nobody is forgotten to be told."""

from services.contracts.topology import SERVICES
from tests.support.databases import dump
from tests.support.house import House, eventually, visit
from tests.support.rabbit import Rabbit

SITE, PARTNER = "fs-moreuil", "mission-locale-santerre"


def named(house: House, *ids: str) -> list[str]:
    """Which services' tables hold one of these, but where who is told to forget is told, or will be."""
    return [
        service
        for service in SERVICES
        for table, text in dump(house.databases[service]).items()
        for row in text.splitlines()
        if table != "forgetting" and "Erased.v1" not in row and any(one in row for one in ids)
    ]


def test_erased_while_the_broker_is_down(own_house: House, rabbit: Rabbit) -> None:
    """The agent is answered; intake has forgotten at once, all others and the partner when the broker is back."""
    body = visit()
    case = own_house.post_visit(body).json()["case"]
    (referral,) = own_house.sent(body)
    eventually(lambda: len(own_house.timeline(case, SITE)) == 3)
    ids = [case, body["visit_id"], referral["referral_id"]]
    rabbit.write_down()
    rabbit.kill()
    try:
        url, headers = f"{own_house.url('intake')}/v1/cases/{case}", own_house.bearer("agent", SITE)
        assert own_house.client.delete(url, headers=headers).status_code == 200
        eventually(lambda: "intake" not in named(own_house, *ids))
        assert {"referral", "reporting"} <= set(named(own_house, *ids))
    finally:
        rabbit.start()
    eventually(lambda: named(own_house, *ids) == [], within=60.0)
    told = [each for each in own_house.events(PARTNER) if each["type"] == "fr.relais.ReferralErased.v1"]
    assert referral["referral_id"] in {each["data"]["referral_id"] for each in told}
