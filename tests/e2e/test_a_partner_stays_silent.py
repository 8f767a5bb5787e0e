"""A partner that never answers: what its site, an agent and the steering committee see of it, month by month."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from tests.support import moved
from tests.support.house import House, eventually, need, visit

SILENT, THEN = "mission-locale-santerre", "france-travail"
CHARTER = "spie-somme-santerre"


@pytest.fixture(scope="module")
def later(houses: Callable[..., House]) -> Iterator[House]:
    """Run a house whose clocks can be moved."""
    house = houses()
    house.start(module=moved.MODULE)
    yield house
    house.stop()


@pytest.fixture(scope="module")
def body(later: House) -> dict[str, Any]:
    """Send a visit of a young person who agreed to the Mission locale and to France Travail."""
    agreed = {"recipients": [SILENT, THEN], "form": "oral"}
    sent = visit(needs=[need("jeune-sans-emploi-ni-formation")], agreement=agreed)
    assert later.post_visit(sent).status_code == 201
    later.sent(sent)
    return sent


def mine(house: House, body: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The referrals of the visit, as its site sees them, by partner."""
    found = house.referrals("site", body["site"], limit="1000")
    return {one["partner"]: one for one in found if one["visit_id"] == body["visit_id"]}


def reminded(house: House, body: dict[str, Any], times: int) -> bool:
    """Whether the silent partner has been reminded so often."""
    return bool(mine(house, body)[SILENT]["reminders"] == times)


def told(house: House, partner: str) -> list[str]:
    """The names of a partner's events."""
    return [event["type"].split(".")[2] for event in house.events(partner)]


def test_silence_is_reminded_escalated_ended_and_handed_on(later: House, body: dict[str, Any]) -> None:
    """Ten, twenty, thirty days: the site reads each step, the partner's events have them, the next one has the case."""
    for days, reminders in ((10, 1), (20, 2)):
        moved.move(later.folder, days=days, hours=24)
        eventually(partial(reminded, later, body, reminders), within=30)
    assert mine(later, body)[SILENT]["next"]["overdue"]
    eventually(lambda: "ReferralEscalated" in told(later, SILENT), within=30)
    moved.move(later.folder, days=31)
    eventually(lambda: THEN in mine(later, body), within=30)
    left, taken = mine(later, body)[SILENT], mine(later, body)[THEN]
    assert (left["state"], left["next_referral"], left["next"]) == ("expired", taken["referral_id"], None)
    assert (taken["state"], taken["bounces"], taken["previous"]) == ("sent", 1, left["referral_id"])
    steps = ["ReferralSent", "ReferralReminded", "ReferralReminded", "ReferralEscalated", "ReferralExpired"]
    assert told(later, SILENT) == steps
    assert told(later, THEN) == ["ReferralSent"]


def test_the_case_tells_the_whole_trail(later: House, body: dict[str, Any]) -> None:
    """In order, in French, with the bounce counted; so does the report."""
    case = later.post_visit(body).json()["case"]
    headers = later.bearer("agent", body["site"])
    url = f"{later.url('reporting')}/v1/cases/{case}"
    kinds = [
        "visit",
        "orientation",
        "referral-sent",
        "reminded",
        "reminded",
        "escalated",
        "expired",
        "rerouted",
        "sent",
    ]

    def whole() -> dict[str, Any] | None:
        found: dict[str, Any] = later.client.get(url, headers=headers).json()
        return found if len(found["timeline"]) >= len(kinds) else None

    timeline = eventually(whole, within=30)
    assert timeline["bounces"] == 1
    assert len(timeline["timeline"]) == len(kinds)
    for words, entry in zip(kinds[3:8], timeline["timeline"][3:8], strict=True):
        assert words in str(entry["kind"]) + str(entry["codes"]), entry
    assert all("\u00a0" in entry["label"] or " " in entry["label"] for entry in timeline["timeline"])
    assert later.activity(CHARTER)["referrals"]["bounces"] == 1


@pytest.mark.parametrize("status", ["received", "accepted", "declined"])
def test_nobody_answers_what_has_expired(later: House, body: dict[str, Any], status: str) -> None:
    """409, naming the state; and the site that sent it gets 403 for an answer of its own."""
    expired = mine(later, body)[SILENT]["referral_id"]
    said = {"reason": "no-capacity"} if status == "declined" else {}
    refused = later.answer(SILENT, expired, status=status, **said)
    assert (refused.status_code, "« expired »" in refused.json()["detail"]) == (409, True)
    url, headers = f"{later.url('referral')}/v1/referrals/{expired}/answers", later.bearer("agent", body["site"])
    own = later.client.post(url, json={"answer_id": "1", "status": status, **said}, headers=headers)
    assert (own.status_code, "« expired »" in own.json()["detail"]) == (403, True)


def test_the_next_one_can_be_withdrawn(later: House, body: dict[str, Any]) -> None:
    """By the site: 201, again 200, then nobody answers; its partner is told."""
    taken = mine(later, body)[THEN]["referral_id"]
    url, headers = f"{later.url('referral')}/v1/referrals/{taken}/withdraw", later.bearer("site", body["site"])
    answers = [later.client.post(url, json={"reason": "person"}, headers=headers) for _ in range(2)]
    assert [(one.status_code, one.json()["state"]) for one in answers] == [(201, "withdrawn"), (200, "withdrawn")]
    assert later.answer(THEN, taken, status="accepted").status_code == 409
    assert told(later, THEN) == ["ReferralSent", "ReferralWithdrawn"]
    stranger = later.client.post(url, json={"reason": "person"}, headers=later.bearer("site", "fs-roye"))
    assert stranger.status_code == 404
    wrong = later.client.post(url, json={"reason": "bored"}, headers=headers)
    assert (wrong.status_code, wrong.json()["errors"][0]["pointer"]) == (422, "/reason")
