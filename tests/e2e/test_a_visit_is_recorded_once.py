"""`POST /v1/visits` when all is well, and when the same visit comes again."""

from datetime import UTC, datetime, timedelta

from services.contracts.paris import paris_day
from tests.support.house import House, eventually, need, visit


def test_the_same_visit_again_is_answered_the_same_and_counted_once(house: House) -> None:
    """201 then 200 with the very same answer; one visit more in the activity report, one referral."""
    at = datetime.now(UTC) - timedelta(days=6)
    day = paris_day(at).isoformat()
    before = house.activity("fs-roye", **{"from": day, "to": day})
    body = visit(site="fs-roye", commune="80685", occurred_at=at.isoformat())
    first, again = house.post_visit(body), house.post_visit(body)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json()

    # A later visit has been counted with its proposal: whatever there was of the first one is counted, too.
    later = visit(site="fs-roye", commune="80685", occurred_at=at.isoformat())
    case = house.post_visit(later).json()["case"]
    eventually(lambda: "orientation" in [entry["kind"] for entry in house.timeline(case, "fs-roye")])
    assert len(house.sent(body)) == 1
    after = house.activity("fs-roye", **{"from": day, "to": day})
    assert after["visits"] == before["visits"] + 2
    assert after["needs"] == before["needs"] + 2
    assert after["proposals"]["total"] == before["proposals"]["total"] + 2


def test_other_content_under_a_known_id_is_a_conflict(house: House) -> None:
    """409, and the first visit stays as it was: sent once more it is answered as before."""
    body = visit()
    first = house.post_visit(body)
    other = house.post_visit(body | {"story": "Une tout autre situation."})
    assert other.status_code == 409
    assert other.json()["type"] == "/problems/conflict"
    assert house.post_visit(body).json() == first.json()


def test_two_sites_may_use_the_same_visit_id(house: House) -> None:
    """A visit id is unique per site: another site's visit under the same id is another visit."""
    body = visit()
    elsewhere = visit(visit_id=body["visit_id"], site="hem", commune="59299")
    first, second = house.post_visit(body), house.post_visit(elsewhere)
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json()["case"] != second.json()["case"]


def test_an_anonymous_visit_opens_no_case(house: House) -> None:
    """Without `person` and `case` the visit is recorded; there is no case, no reference, nobody to match."""
    answer = house.post_visit(visit(person=None, agreement=None, story=None))
    assert answer.status_code == 201
    assert (answer.json()["case"], answer.json()["reference"], answer.json()["possible_matches"]) == (None, None, 0)


def test_the_agent_decides_whether_two_people_are_one(house: House) -> None:
    """A person spelt otherwise opens a new case and is said to match; naming the case joins it, same reference."""
    person = {"family_name": "Ben-Çelik", "given_name": "Ève", "birth_date": "1990-02-03"}
    first = house.post_visit(visit(person=person, age_band="30-54")).json()
    spelt = person | {"family_name": "BEN CELIK", "given_name": "eve"}
    second = house.post_visit(visit(person=spelt, age_band="30-54")).json()
    assert second["case"] != first["case"]
    assert second["possible_matches"] == first["possible_matches"] + 1
    third = house.post_visit(visit(case=first["case"], person=None)).json()
    assert (third["case"], third["reference"]) == (first["case"], first["reference"])


def test_an_agent_records_for_its_own_site(house: House) -> None:
    """The counter's form posts as an agent of the site: 201."""
    headers = house.bearer("agent", "fs-moreuil")
    answer = house.client.post(f"{house.url('intake')}/v1/visits", json=visit(), headers=headers)
    assert answer.status_code == 201
    assert answer.json()["case"] is not None


def test_history_is_counted_and_never_proposed_nor_referred(house: House) -> None:
    """A visit of 2023 sent as `history` raises that day's count; no proposal, no referral, though agreed to."""
    day = {"from": "2023-05-16", "to": "2023-05-16"}
    before = house.activity("fs-moreuil", **day)
    past = visit(mode="history", occurred_at="2023-05-16T10:00:00+02:00")
    assert house.post_visit(past).status_code == 201
    present = visit()
    house.post_visit(present)
    house.sent(present)  # what came after it on the same way has arrived
    eventually(lambda: house.activity("fs-moreuil", **day)["visits"] == before["visits"] + 1)
    after = house.activity("fs-moreuil", **day)
    assert after["proposals"] == before["proposals"]
    sent = house.referrals("site", "fs-moreuil", limit="1000")
    assert past["visit_id"] not in [one["visit_id"] for one in sent]


def test_what_was_settled_at_the_desk_is_counted_and_goes_nowhere(house: House) -> None:
    """Needs resolved, to continue, or declined by the person raise the counts by outcome; nothing is proposed."""
    at = datetime.now(UTC) - timedelta(days=4)
    day = {"from": paris_day(at).isoformat(), "to": paris_day(at).isoformat()}
    before = house.activity("hem", **day)
    outcomes = ["resolved", "to-continue", "declined-by-person"]
    codes = ["chercher-un-emploi", "logement", "numerique"]
    needs = [need(code, outcome=outcome) for code, outcome in zip(codes, outcomes, strict=True)]
    body = visit(site="hem", commune="59299", occurred_at=at.isoformat(), needs=needs)
    assert house.post_visit(body).status_code == 201
    eventually(lambda: house.activity("hem", **day)["visits"] == before["visits"] + 1)
    after = house.activity("hem", **day)
    counted = {outcome: after["by_outcome"][outcome] - before["by_outcome"].get(outcome, 0) for outcome in outcomes}
    assert counted == dict.fromkeys(outcomes, 1)
    assert after["proposals"] == before["proposals"]
