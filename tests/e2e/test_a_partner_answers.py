"""A referral's life, from the partner's answers to what the site and its agents see of them."""

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.support.house import House, eventually, need, visit

PARTNER = "mission-locale-santerre"


@pytest.fixture
def referral(house: House) -> dict[str, Any]:
    """A referral just sent to the Mission locale, as its site sees it."""
    body = visit()
    assert house.post_visit(body).status_code == 201
    (sent,) = house.sent(body)
    return sent


def state(house: House, referral: dict[str, Any]) -> str:
    """The state that the site reads."""
    found = house.referrals("site", referral["site"], limit="1000")
    (current,) = [one["state"] for one in found if one["referral_id"] == referral["referral_id"]]
    return str(current)


@pytest.mark.parametrize(
    "steps",
    [
        [{"status": "received"}, {"status": "accepted"}, {"status": "completed", "outcome": "helped"}],
        [{"status": "accepted"}, {"status": "completed", "outcome": "could-not-contact"}],
        [{"status": "received"}, {"status": "declined", "reason": "no-capacity"}],
        [{"status": "declined", "reason": "other", "note": "Nous déménageons ce mois-ci."}],
    ],
    ids=lambda steps: " → ".join(step["status"] for step in steps),
)
def test_the_site_sees_every_answer(house: House, referral: dict[str, Any], steps: list[dict[str, str]]) -> None:
    """Each step of an allowed way is taken with 201 and is the state that the site reads next."""
    for step in steps:
        answer = house.answer(PARTNER, referral["referral_id"], **step)
        assert (answer.status_code, answer.json()["state"]) == (201, step["status"])
        assert state(house, referral) == step["status"]


@pytest.mark.parametrize(
    ("before", "form"),
    [
        pytest.param([], {"status": "completed", "outcome": "helped"}, id="completed before accepted"),
        pytest.param(["received"], {"status": "received"}, id="received twice"),
        pytest.param(["accepted"], {"status": "received"}, id="back to received"),
        pytest.param(["accepted"], {"status": "declined", "reason": "no-capacity"}, id="declined after accepted"),
        pytest.param(["declined"], {"status": "accepted"}, id="accepted after declined"),
        pytest.param(["accepted", "completed"], {"status": "accepted"}, id="opened again"),
    ],
)
def test_a_forbidden_step_is_told_where_the_referral_stands(
    house: House, referral: dict[str, Any], before: list[str], form: dict[str, str]
) -> None:
    """409 naming the state it is in, and nothing changes."""
    said = {"declined": {"reason": "not-eligible"}, "completed": {"outcome": "helped"}}
    for status in before:
        house.answer(PARTNER, referral["referral_id"], status=status, **said.get(status, {}))
    current = before[-1] if before else "sent"
    answer = house.answer(PARTNER, referral["referral_id"], **form)
    assert answer.status_code == 409
    assert answer.json()["type"] == "/problems/forbidden-transition"
    assert f"« {current} »" in answer.json()["detail"]
    assert state(house, referral) == current


@pytest.mark.parametrize(
    ("form", "pointer"),
    [
        pytest.param({"status": "declined"}, "/reason", id="declined without a reason"),
        pytest.param({"status": "declined", "reason": "other"}, "/note", id="another reason without a word"),
        pytest.param({"status": "completed"}, "/outcome", id="completed without an outcome"),
        pytest.param({"status": "received", "outcome": "helped"}, "/outcome", id="an outcome before the end"),
        pytest.param(
            {"status": "completed", "outcome": "helped", "reason": "other", "note": "x"}, "/reason", id="both"
        ),
        pytest.param({"status": "sent"}, "/status", id="a state that is not the partner's to set"),
        pytest.param({"status": "declined", "reason": "tired"}, "/reason", id="an unknown reason"),
        pytest.param({"status": "received", "answer_id": "a b"}, "/answer_id", id="an id with a space"),
        pytest.param({"status": "received", "score": 3}, "/score", id="an unknown field"),
        pytest.param({"status": "accepted", "appointment": {"at": "2026-12-01"}}, "/appointment/at", id="no time"),
    ],
)
def test_a_wrong_answer_is_told_which_field(
    house: House, referral: dict[str, Any], form: dict[str, Any], pointer: str
) -> None:
    """422 pointing at the field that is missing, unknown or out of place; the referral stays as it was."""
    answer = house.answer(PARTNER, referral["referral_id"], **form)
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]
    assert state(house, referral) == "sent"


def test_the_same_answer_again_is_the_same_answer(house: House, referral: dict[str, Any]) -> None:
    """The same answer_id and content: 200 and the first answer, even when the referral has moved on meanwhile."""
    received = {"status": "received", "answer_id": "reception-1"}
    first = house.answer(PARTNER, referral["referral_id"], **received)
    house.answer(PARTNER, referral["referral_id"], status="accepted")
    again = house.answer(PARTNER, referral["referral_id"], **received)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json()
    assert state(house, referral) == "accepted"


def test_other_content_under_a_known_answer_id_is_a_conflict(house: House, referral: dict[str, Any]) -> None:
    """409, and the first answer stays."""
    house.answer(PARTNER, referral["referral_id"], status="received", answer_id="one")
    other = house.answer(PARTNER, referral["referral_id"], status="accepted", answer_id="one")
    assert other.status_code == 409
    assert state(house, referral) == "received"


def test_another_partner_may_not_know_that_it_exists(house: House, referral: dict[str, Any]) -> None:
    """404, the same as for a referral that does not exist at all."""
    anothers = house.answer("france-travail", referral["referral_id"], status="received")
    nobodys = house.answer("france-travail", referral["visit_id"], status="received")
    assert (anothers.status_code, nobodys.status_code) == (404, 404)
    assert anothers.json() == nobodys.json()
    assert state(house, referral) == "sent"


def test_a_site_reads_what_changed_since_it_last_asked(house: House, referral: dict[str, Any]) -> None:
    """With `after` a page begins behind the last one; the referral comes again once it has changed."""
    url, headers = f"{house.url('referral')}/v1/referrals", house.bearer("site", referral["site"])
    page = house.client.get(url, headers=headers, params={"limit": 1000}).json()
    assert referral["referral_id"] in [one["referral_id"] for one in page["referrals"]]
    house.answer(PARTNER, referral["referral_id"], status="received")
    news = house.client.get(url, headers=headers, params={"after": page["next"]}).json()["referrals"]
    assert (referral["referral_id"], "received") in [(one["referral_id"], one["state"]) for one in news]


def test_only_the_wanted_state_is_listed(house: House, referral: dict[str, Any]) -> None:
    """`?status=` narrows the list to referrals that stand there."""
    house.answer(PARTNER, referral["referral_id"], status="accepted")
    accepted = house.referrals("partner", PARTNER, limit="1000", status="accepted")
    assert {one["state"] for one in accepted} == {"accepted"}
    assert referral["referral_id"] in [one["referral_id"] for one in accepted]
    sent = house.referrals("partner", PARTNER, limit="1000", status="sent")
    assert referral["referral_id"] not in [one["referral_id"] for one in sent]


def test_a_cases_timeline_tells_everything_in_order(house: House, referral: dict[str, Any]) -> None:
    """Visit, proposal, referral, and each answer with its reason or appointment, as sentences in French."""
    house.answer(PARTNER, referral["referral_id"], status="received")
    year = datetime.now(UTC).year + 1
    appointment = {"at": f"{year}-12-01T09:30:00+01:00", "place": "Roye", "contact": "Nadia"}
    house.answer(PARTNER, referral["referral_id"], status="accepted", appointment=appointment)
    house.answer(PARTNER, referral["referral_id"], status="completed", outcome="helped")
    eventually(lambda: len(house.timeline(referral["case"], "fs-moreuil")) == 6)
    entries = house.timeline(referral["case"], "fs-moreuil")
    kinds = ["visit", "orientation", "referral-sent", "referral-received", "referral-accepted", "referral-completed"]
    assert [entry["kind"] for entry in entries] == kinds
    labels = [entry["label"] for entry in entries]
    assert "France services Moreuil" in labels[0]
    assert "Mission locale du Santerre" in labels[1]
    assert "Mission locale du Santerre" in labels[2]
    assert f"1er décembre {year}" in labels[4]
    assert "personne aidée" in labels[5]


def test_a_case_is_known_to_its_own_sites_only(house: House, referral: dict[str, Any]) -> None:
    """An agent of another site gets 404, the same as for a case that does not exist."""
    eventually(lambda: house.timeline(referral["case"], "fs-moreuil"))
    url, headers = f"{house.url('reporting')}/v1/cases", house.bearer("agent", "hem")
    anothers = house.client.get(f"{url}/{referral['case']}", headers=headers)
    nobodys = house.client.get(f"{url}/{referral['visit_id']}", headers=headers)
    assert (anothers.status_code, nobodys.status_code) == (404, 404)
    assert anothers.json() == nobodys.json()


def test_a_second_site_that_meets_the_person_shares_the_timeline(house: House) -> None:
    """The person told it once: an agent of Roye who is shown the reference records a visit, and reads all of Moreuil's.

    The case's number alone lets nobody record a visit on it.
    """
    first = house.post_visit(visit()).json()
    assert house.timeline(first["case"], "fs-roye") == []
    again = visit(site="fs-roye", case=first["case"], person=None, needs=[need("numerique", outcome="resolved")])
    assert house.post_visit(again).json()["errors"] == [{"pointer": "/case", "detail": "Dossier inconnu."}]
    (match,) = house.search("fs-roye", {"reference": first["reference"]}).json()["matches"]
    assert (match["case"], match["known"]) == (first["case"], False)
    assert house.post_visit(again).status_code == 201
    eventually(lambda: {"fs-moreuil", "fs-roye"} <= {one["site"] for one in house.timeline(first["case"], "fs-roye")})
