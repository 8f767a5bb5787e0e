"""The person decides: what is not agreed to waits at the site, and the partner never hears of it."""

from typing import Any

import pytest

from tests.support.broker import partner
from tests.support.house import House, need, visit
from tests.support.rabbit import Rabbit

LOCAL = "mission-locale-santerre"
EVERYBODY = {"recipients": ["state", "department", "operator", "local"], "sensitive": True}


def state_of(house: House, body: dict[str, Any]) -> tuple[str, str]:
    """Post a visit with one need; the partner and the state of its referral as the site sees them."""
    assert house.post_visit(body).status_code == 201
    (referral,) = house.sent(body)
    return referral["partner"], referral["state"]


@pytest.mark.parametrize(
    "agreement",
    [
        pytest.param(None, id="no agreement"),
        pytest.param({"recipients": []}, id="an agreement to nobody"),
        pytest.param({"recipients": ["operator", "state", "department"]}, id="other categories"),
        pytest.param({"recipients": ["cap-emploi-80"]}, id="another partner of the same category"),
    ],
)
def test_a_recipient_not_agreed_to_hears_nothing(house: House, rabbit: Rabbit, agreement: dict[str, Any]) -> None:
    """The site sees `awaiting-agreement`; the partner sees it neither in its list, nor its events, nor its queue.

    A second visit, agreed to, takes the same way: when it has arrived everywhere, the first one is not underway any
    more.
    """
    with partner(house, rabbit, LOCAL) as reader:
        waiting, agreed = visit(agreement=agreement), visit(agreement=EVERYBODY)
        assert state_of(house, waiting) == (LOCAL, "awaiting-agreement")
        assert state_of(house, agreed) == (LOCAL, "sent")
        (hidden,), (shown,) = house.sent(waiting), house.sent(agreed)
        reader.wait_for(lambda event: event["data"]["referral_id"] == shown["referral_id"])
        read = [event["data"]["referral_id"] for one in reader.read for event in one.events]
    listed = [one["referral_id"] for one in house.referrals("partner", LOCAL, limit="1000")]
    told = [event["data"]["referral_id"] for event in house.events(LOCAL)]
    for ids in (read, listed, told):
        assert shown["referral_id"] in ids
        assert hidden["referral_id"] not in ids
    answer = house.answer(LOCAL, hidden["referral_id"], status="received")
    assert answer.status_code == 404


@pytest.mark.parametrize("recipients", [["local"], [LOCAL], ["cap-emploi-80", LOCAL]])
def test_a_category_or_a_partner_may_be_agreed_to(house: House, recipients: list[str]) -> None:
    """Either covers the referral, which is sent."""
    assert state_of(house, visit(agreement={"recipients": recipients})) == (LOCAL, "sent")


@pytest.mark.parametrize(
    ("changes", "recipient"),
    [
        pytest.param({"needs": [need("droits-handicap")]}, "mdph-80", id="disability rights"),
        pytest.param({"needs": [need("handicap-et-emploi")]}, "cap-emploi-80", id="work with a disability"),
        pytest.param({"publics": ["rqth"], "needs": [need("chercher-un-emploi")]}, "cap-emploi-80", id="RQTH"),
        pytest.param({"needs": [need("freins-multiples", obstacles=["sante"])]}, "departement-80-spie", id="health"),
        pytest.param({"needs": [need("logement", recipient="mdph-80")]}, "mdph-80", id="a choice that tells it"),
    ],
)
def test_health_and_disability_need_an_agreement_of_their_own(
    house: House, changes: dict[str, Any], recipient: str
) -> None:
    """Though every category is agreed to, it waits; with `sensitive`, it is sent."""
    changes = {"publics": [], "age_band": "30-54"} | changes
    without = visit(agreement=EVERYBODY | {"sensitive": False}, **changes)
    assert state_of(house, without) == (recipient, "awaiting-agreement")
    assert state_of(house, visit(agreement=EVERYBODY, **changes)) == (recipient, "sent")


def test_each_need_waits_for_itself(house: House) -> None:
    """Of two needs of one visit, the one agreed to is sent and the other waits."""
    body = visit(needs=[need("logement"), need("cheque-energie")], agreement={"recipients": ["department"]})
    house.post_visit(body)
    states = {referral["partner"]: referral["state"] for referral in house.sent(body, 2)}
    assert states == {"departement-80": "sent", "cheque-energie": "awaiting-agreement"}


def test_an_anonymous_visit_is_proposed_and_sent_to_nobody(house: House) -> None:
    """Without a case there is nobody to refer, whatever was agreed to."""
    anonymous, known = visit(person=None, agreement=EVERYBODY), visit(agreement=EVERYBODY)
    house.post_visit(anonymous)
    house.post_visit(known)
    house.sent(known)
    visits = [one["visit_id"] for one in house.referrals("site", "fs-moreuil", limit="1000")]
    assert anonymous["visit_id"] not in visits
