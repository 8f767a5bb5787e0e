"""Identity and story are in one place, encrypted: raw reads of every table, log and metric look for them in clear."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from services.contracts.topology import SERVICES
from tests.support.broker import listener
from tests.support.databases import dump
from tests.support.house import House, eventually, need, visit

PARTNER = "mission-locale-santerre"
PERSON = {
    "family_name": "Kanarienvogel",
    "given_name": "Zephirine",
    "birth_date": f"{datetime.now(UTC).year - 19}-06-05",
    "phone": "01 99 00 87 65",
    "email": "zephirine@kanarien.example",
}
STORY, NOTE, WHY = "told: left school in march", "told: call after four", "told: knows the adviser"
ANSWERED, PLACE, CONTACT = "told: seen with her mother", "Rue des Canaris", "Madame Vogel"
FREE = [*PERSON.values(), STORY, NOTE, WHY, ANSWERED, PLACE, CONTACT]


@pytest.fixture(scope="module")
def told(house: House) -> dict[str, Any]:
    """A visit with everything a person may tell, and a partner's answer with everything a partner may write."""
    chosen = need("jeune-sans-emploi-ni-formation", note=NOTE, recipient=PARTNER, override_reason=WHY)
    body = visit(person=PERSON, story=STORY, needs=[chosen])
    answered: dict[str, Any] = house.post_visit(body).json()
    (referral,) = house.sent(body)
    at = f"{datetime.now(UTC).year + 1}-12-01T09:30:00+01:00"
    appointment = {"at": at, "place": PLACE, "contact": CONTACT}
    taken = house.answer(PARTNER, referral["referral_id"], status="accepted", note=ANSWERED, appointment=appointment)
    assert taken.status_code == 201, taken.text
    eventually(lambda: len(house.timeline(answered["case"], "fs-moreuil")) == 4)
    return {"visit_id": body["visit_id"], "case": answered["case"], "reference": answered["reference"]}


def in_clear(text: str, secrets: list[str]) -> list[str]:
    """The secrets that can be read in a text: as they are, as JSON writes them, or as PostgreSQL shows bytes."""
    folded = text.casefold()
    return [
        secret
        for secret in secrets
        if any(form.casefold() in folded for form in (secret, json.dumps(secret)[1:-1], secret.encode().hex()))
    ]


@pytest.mark.parametrize("service", SERVICES)
def test_no_database_holds_it_in_clear(house: House, told: dict[str, Any], service: str) -> None:
    """Every row of every table, binary columns included; the same search does find the visit's opaque ids."""
    tables = dump(house.databases[service])
    everything = "\n".join(tables.values())
    assert in_clear(everything, FREE) == []
    assert in_clear(everything, [told["reference"], told["reference"].replace("-", "")]) == []
    assert in_clear(everything, [told["visit_id"], told["case"]]) == [told["visit_id"], told["case"]]
    assert {"inbox", "outbox", "failures"} <= set(tables)


def test_only_intake_and_referral_keep_keys(house: House, told: dict[str, Any]) -> None:
    """Orientation and reporting have nothing to decrypt; each of the others has a key of its own for the case."""
    keepers = {name for name in SERVICES if told["case"] in dump(house.databases[name]).get("vault_keys", "")}
    assert keepers == {"intake", "referral"}
    keys = [
        next(row for row in dump(house.databases[name])["vault_keys"].splitlines() if told["case"] in row)
        for name in sorted(keepers)
    ]
    assert keys[0] != keys[1]


@pytest.mark.parametrize("service", SERVICES)
def test_no_log_and_no_metric_tells_it(house: House, told: dict[str, Any], service: str) -> None:
    """Neither what was told nor the opaque ids of person and visit are in a log or a metric."""
    exposed = house.log(service) + house.metrics(service)
    assert exposed
    assert in_clear(exposed, [*FREE, told["reference"], told["case"], told["visit_id"]]) == []


def test_no_event_tells_it(house: House) -> None:
    """What intake, orientation and referral publish about such a visit holds codes and opaque ids only."""
    chosen = need("jeune-sans-emploi-ni-formation", note=NOTE, recipient=PARTNER, override_reason=WHY)
    body = visit(person=PERSON, story=STORY, needs=[chosen])
    with (
        listener(house, "intake.events") as intake,
        listener(house, "orientation.events") as orientation,
        listener(house, "referral.events") as referral,
    ):
        answered = house.post_visit(body).json()
        (sent,) = house.sent(body)
        house.answer(PARTNER, sent["referral_id"], status="declined", reason="other", note=ANSWERED)
        mine = [sent["referral_id"], "fr.relais.ReferralDeclined.v1"]
        referral.wait_for(lambda event: [event["data"]["referral_id"], event["type"]] == mine)
        messages = [*intake.take(), *orientation.take(), *referral.take()]
    assert {event["type"].split(".")[2] for message in messages for event in message.events} >= {
        "VisitRecorded",
        "OrientationProposed",
        "ReferralSent",
        "ReferralDeclined",
    }
    published = "\n".join(f"{message.routing_key} {message.properties} {message.body.decode()}" for message in messages)
    assert in_clear(published, [*FREE, answered["reference"]]) == []
    assert answered["case"] in published  # inside, and only inside, events name the case
    assert all(answered["case"] not in message.routing_key for message in messages)
