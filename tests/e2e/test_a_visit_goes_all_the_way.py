"""The main path, seen from outside: what a site, a partner and a steering committee see of one visit."""

import time

from tests.support.house import House, visit


def test_a_posted_visit_becomes_a_referral_within_a_second(house: House) -> None:
    """201 with case and reference; a second later the partner has its referral: so it is for the best of five visits.

    Other tests have the machine work meanwhile.
    """
    took = []
    for _ in range(5):
        body = visit()
        answer = house.post_visit(body)
        began = time.monotonic()
        assert answer.status_code == 201, answer.text
        said = answer.json()
        assert said["visit_id"] == body["visit_id"]
        assert said["case"]
        assert said["reference"].count("-") == 2
        (sent,) = house.sent(body)
        took.append(time.monotonic() - began)
        assert (sent["partner"], sent["state"]) == ("mission-locale-santerre", "sent")
        (seen,) = [
            one
            for one in house.referrals("partner", "mission-locale-santerre", limit="1000")
            if one["referral_id"] == sent["referral_id"]
        ]
        assert seen["case"] is None
    assert min(took) < 1
