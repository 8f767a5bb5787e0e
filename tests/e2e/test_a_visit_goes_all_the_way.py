"""The main path, seen from outside: what a site, a partner and a steering committee see of one visit."""

from tests.support.house import House, eventually, visit


def test_a_posted_visit_becomes_a_referral_within_a_second(house: House) -> None:
    """201 with case and reference; a second later the partner has its referral."""
    body = visit()
    answer = house.post_visit(body)
    assert answer.status_code == 201, answer.text
    said = answer.json()
    assert said["visit_id"] == body["visit_id"]
    assert said["case"]
    assert said["reference"].count("-") == 2

    def referral() -> list[dict[str, object]]:
        mine = house.referrals("site", "fs-moreuil")
        return [one for one in mine if one["visit_id"] == body["visit_id"]]

    (sent,) = eventually(referral, within=1.0)
    assert (sent["partner"], sent["state"]) == ("mission-locale-santerre", "sent")
    (seen,) = [
        one
        for one in house.referrals("partner", "mission-locale-santerre")
        if one["referral_id"] == sent["referral_id"]
    ]
    assert seen["case"] is None
