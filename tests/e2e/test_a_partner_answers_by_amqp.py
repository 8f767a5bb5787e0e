"""Answers that partners write to the exchange `answers`: taken as over HTTP, and a refusal is an event of their own."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from services.contracts.topology import SERVICES
from tests.support.house import House, eventually, visit
from tests.support.letters import Outsider, partner
from tests.support.rabbit import Rabbit

PARTNER, CANARY = "mission-locale-santerre", "Kanarienvogel’s"
REFUSED = "fr.relais.AnswerRefused.v1"


@pytest.fixture
def writer(house: House, rabbit: Rabbit) -> Iterator[Outsider]:
    """Connect the Mission locale."""
    with partner(house, rabbit, PARTNER) as found:
        yield found


def referred(house: House) -> str:
    """A referral just sent to the Mission locale."""
    body = visit()
    assert house.post_visit(body).status_code == 201
    return str(house.sent(body)[0]["referral_id"])


def answer(referral_id: str, **form: Any) -> dict[str, Any]:  # noqa: ANN401 - any field
    """An answer with an id of its own."""
    return {"referral_id": referral_id, "answer_id": str(uuid4())} | form


def state(house: House, referral_id: str) -> str:
    """The state that the partner reads over HTTP."""
    found = house.referrals("partner", PARTNER, limit="1000")
    return next(str(one["state"]) for one in found if one["referral_id"] == referral_id)


def refusal(writer: Outsider, **names: object) -> dict[str, Any]:
    """What the partner is told of an answer that was refused."""

    def wanted(event: dict[str, Any]) -> bool:
        return event["type"] == REFUSED and all(event["data"][name] == value for name, value in names.items())

    event = writer.wait_for(wanted)
    return {name: value for name, value in event["data"].items() if value != []}


@pytest.mark.parametrize(
    "form",
    [
        {"status": "received"},
        {"status": "accepted", "story_sufficient": True, "note": "L’après-midi plutôt."},
        {"status": "declined", "reason": "no-capacity"},
    ],
    ids=lambda form: form["status"],
)
def test_an_answer_is_seen_over_http(house: House, writer: Outsider, form: dict[str, Any]) -> None:
    """The next state, at once."""
    referral_id = referred(house)
    writer.write(answer(referral_id, **form))
    eventually(lambda: state(house, referral_id) == form["status"])


def test_the_same_answer_by_either_way_is_one(house: House, writer: Outsider) -> None:
    """With all that an answer may say, by AMQP and over HTTP at once, and again: one step, and nothing is refused."""
    referral_id = referred(house)
    at = (datetime.now(UTC) + timedelta(days=9)).isoformat(timespec="seconds")
    appointment = {"at": at, "place": "Roye, l’annexe", "contact": "Nadia"}
    said = answer(referral_id, status="accepted", appointment=appointment, note=" L’après-midi. ", reason=None)
    form = {name: said[name] for name in said if name != "referral_id"}
    with ThreadPoolExecutor(3) as pool:
        answers = [pool.submit(house.answer, PARTNER, referral_id, **form) for _ in range(6)]
        for _ in range(6):
            writer.write(said)
    assert {one.result().status_code for one in answers} <= {200, 201}
    again = house.answer(PARTNER, referral_id, **form)
    assert (again.status_code, again.json()["step"]) == (200, 2)
    other = answer(referral_id, status="received")
    writer.write(other)
    refusal(writer, answer_id=other["answer_id"])
    refused = [one for one in house.events(PARTNER) if one["data"].get("answer_id") == said["answer_id"]]
    assert refused == []


@pytest.mark.parametrize(
    ("status", "changes"),
    [
        pytest.param(404, {"referral_id": str(uuid4())}, id="no such referral"),
        pytest.param(409, {"status": "completed", "outcome": "helped"}, id="completed before accepted"),
        pytest.param(422, {"status": "declined"}, id="no reason"),
        pytest.param(422, {"status": "declined", "reason": CANARY}, id="no such reason"),
        pytest.param(422, {"surnom": CANARY}, id="unknown field"),
        pytest.param(422, {"note": "2 07 03 80 570 123 45"}, id="NIR in the note"),
    ],
)
def test_what_is_refused_is_told_for_the_same_reasons(
    house: House, writer: Outsider, status: int, changes: dict[str, Any]
) -> None:
    """As an event in its queue and its ledger, with what a caller over HTTP reads in the problem document.

    But for a name that the form does not know, which may be a person's, and would be kept with the event.
    """
    said = answer(referred(house), status="received") | changes
    writer.write(said)
    told = refusal(writer, answer_id=said["answer_id"])
    form = {name: value for name, value in said.items() if name != "referral_id"}
    over_http = house.answer(PARTNER, said["referral_id"], **form)
    assert over_http.status_code == status
    document = json.loads(over_http.text.replace("/surnom", "/…"))
    assert told == document | {"referral_id": said["referral_id"], "answer_id": said["answer_id"]}
    assert CANARY not in str(told)
    ledger = [one["data"] for one in house.events(PARTNER) if one["type"] == REFUSED]
    assert [one["status"] for one in ledger if one["answer_id"] == said["answer_id"]] == [status]


def test_another_partners_referral_is_not_found(house: House, rabbit: Rabbit) -> None:
    """As one that does not exist; the referral stays as it was."""
    referral_id = referred(house)
    with partner(house, rabbit, "cpam") as stranger:
        said = answer(referral_id, status="accepted")
        stranger.write(said)
        assert refusal(stranger, answer_id=said["answer_id"])["status"] == 404
    assert state(house, referral_id) == "sent"


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        pytest.param(400, b'{"note": "Kanarienvogel', "application/json", id="half a document"),
        pytest.param(422, b'{"answer_id": "Kanarienvogel @", "status": "received"}', "application/json", id="no names"),
        pytest.param(415, b"<Kanarienvogel/>", "text/xml", id="XML"),
    ],
)
def test_what_cannot_be_read_is_told_without_names(writer: Outsider, status: int, body: bytes, kind: str) -> None:
    """Nothing of it is repeated."""
    writer.write(body, content_type=kind)
    told = refusal(writer, status=status, answer_id=None)
    assert told["referral_id"] is None
    assert "Kanarienvogel" not in str(told)


def test_of_a_hundred_answers_at_once_one_wins(house: House, writer: Outsider) -> None:
    """Half over HTTP, half by AMQP, for and against: one is taken, 99 are refused, and the referral took one step."""
    referral_id = referred(house)
    forms = [{"status": "accepted"}, {"status": "declined", "reason": "no-capacity"}] * 50
    said = [answer(referral_id, **form) for form in forms]
    over_http = [{name: value for name, value in one.items() if name != "referral_id"} for one in said[:50]]
    with ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(house.answer, PARTNER, referral_id, **form) for form in over_http]
        for one in said[50:]:
            writer.write(one)
        statuses = [one.result().status_code for one in answers]
    ids = {one["answer_id"] for one in said}

    def refused() -> int:
        told = [one["data"]["answer_id"] for one in house.events(PARTNER) if one["type"] == REFUSED]
        return len(ids.intersection(told)) + statuses.count(409)

    eventually(lambda: refused() >= 99)
    assert refused() == 99
    assert statuses.count(409) + statuses.count(201) == 50
    winner = "accepted" if state(house, referral_id) == "accepted" else "declined"
    moved = [one for one in house.events(PARTNER) if one["data"].get("referral_id") == referral_id]
    steps = [one["data"]["step"] for one in moved if "step" in one["data"]]
    assert steps == [2], winner


def test_no_byte_of_an_answer_is_in_any_log(house: House, writer: Outsider) -> None:
    """Of the tests above, and of this one."""
    referral_id = referred(house)
    writer.write(answer(referral_id, status="accepted", note=CANARY))
    writer.write(answer(referral_id, status="accepted", note=CANARY), user_id=None)
    said = answer(referral_id, status="received", note=CANARY)
    writer.write(said)
    refusal(writer, answer_id=said["answer_id"])
    logs = "".join(house.log(service) for service in SERVICES if (house.folder / f"{service}.log").exists())
    assert "message of nobody" in logs
    assert "Kanarienvogel" not in logs
