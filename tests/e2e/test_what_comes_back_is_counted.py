"""A refusal, from the partner's answer to the steering committee's figures and the case's timeline."""

import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from services.contracts.paris import paris_day
from tests.support.house import House, eventually, visit

STEERING = "spie-somme-santerre"


def read(house: House) -> dict[str, Any]:
    """The activity report as `relais report activity` prints it."""
    token = house.relais("token", "steering", STEERING).stdout.strip()
    printed = house.relais("report", "activity", "--token", token, "--address", house.url("reporting"))
    assert printed.returncode == 0, printed.stderr
    found: dict[str, Any] = json.loads(printed.stdout)
    return found


@pytest.fixture(scope="module")
def quiet(houses: Callable[..., House]) -> Iterator[House]:
    """Run a house where nobody else counts."""
    house = houses()
    house.start()
    yield house
    house.stop()


def test_a_refusal_is_counted_and_the_next_appointment_measured(quiet: House) -> None:
    """The Mission locale declines, the next partner has an appointment: one bounce, taken up, and all but one delay."""
    body = visit()
    quiet.post_visit(body)
    (sent,) = quiet.sent(body)
    assert quiet.answer(sent["partner"], sent["referral_id"], status="declined", reason="no-capacity").is_success
    following = next(one for one in quiet.sent(body, 2) if one["referral_id"] != sent["referral_id"])
    day = paris_day(datetime.fromisoformat(body["occurred_at"])) + timedelta(days=9)
    accepted = {"status": "accepted", "appointment": {"at": f"{day}T10:00:00+01:00"}}
    assert quiet.answer(following["partner"], following["referral_id"], **accepted).is_success

    def told() -> list[dict[str, Any]]:
        entries = quiet.timeline(sent["case"], body["site"])
        return entries if len(entries) >= 7 else []

    entries = eventually(told, within=30)
    assert [entry["kind"] for entry in entries[2:]] == [
        *("referral-sent", "referral-declined", "referral-rerouted", "referral-sent", "referral-accepted")
    ]
    assert entries[5]["codes"]["previous"] == sent["referral_id"]
    found = read(quiet)
    referrals, delays = found["totals"]["referrals"], found["delays"]
    assert (referrals["sent"], referrals["bounces"], referrals["rerouted"]) == (2, 1, 1)
    assert referrals["bounces_by_category"] == {"local": 1}
    assert referrals["bounces_by_need"] == {"jeune-sans-emploi-ni-formation": 1}
    assert {name: delay["count"] for name, delay in delays.items()} == {
        "sent_to_received": 2,
        "sent_to_accepted": 1,
        "sent_to_decided_with_reminders": 0,
        "visit_to_appointment": 1,
    }
    assert delays["visit_to_appointment"] == {"count": 1, "median": 9.0, "p90": 9.0}


def test_the_figures_are_described(quiet: House) -> None:
    """`/openapi.json` says of each figure of bounces and delays what it counts."""
    schemas = quiet.client.get(f"{quiet.url('reporting')}/openapi.json").json()["components"]["schemas"]
    for model, field in (("Referrals", "bounces"), ("Referrals", "rerouted"), ("Delay", "median"), ("Delay", "p90")):
        assert schemas[model]["properties"][field]["description"], field
    assert all(described["description"] for described in schemas["Delays"]["properties"].values())
    assert schemas["CaseTimeline"]["properties"]["bounces"]["description"]
