"""An event that a database refuses for ever: parked with its reason, and nobody behind it waits."""

import json
from uuid import uuid4

import pika

from tests.support.house import House, eventually, visit
from tests.support.prometheus import samples


def poison(body: dict[str, object]) -> dict[str, object]:
    """A well-formed VisitRecorded with a NUL in a text, which PostgreSQL cannot store."""
    data = {name: body[name] for name in ("visit_id", "site", "occurred_at", "channel", "age_band")}
    data |= {"case": None, "charter": None, "spie": False, "department": "80", "quarter": "a\u0000b"}
    data |= {"needs": [{"code": "logement", "outcome": "resolved"}]}
    event = {"specversion": "1.0", "id": str(uuid4()), "source": "/relais/intake", "type": "fr.relais.VisitRecorded.v1"}
    return event | {"time": body["occurred_at"], "data": data}


def parked(house: House) -> list[dict[str, object]]:
    """What an operator lists as parked at reporting."""
    done = house.relais("dead-letters", "list", "--service", "reporting", "--json")
    assert done.returncode == 0, done.stderr
    rows: list[dict[str, object]] = json.loads(done.stdout)
    return rows


def test_one_bad_event_stops_no_other(house: House) -> None:
    """It is retried, parked with a reason that quotes nothing, shown in the metric; a visit behind it is counted.

    The operator sees it, and drops it.
    """
    event = poison(visit())
    with pika.BlockingConnection(pika.URLParameters(house.environment["RELAIS_AMQP_URL"])) as connection:
        properties = pika.BasicProperties(content_type="application/cloudevents+json", delivery_mode=2)
        connection.channel().basic_publish("intake.events", "VisitRecorded", json.dumps(event).encode(), properties)
    case = house.post_visit(visit()).json()["case"]
    eventually(lambda: house.timeline(case, "fs-moreuil"), within=30)

    def given_up() -> bool:
        exposition = house.metrics("reporting")
        counted = [
            sample
            for sample in samples(exposition).get("relais_events_handled_total", [])
            if (sample["type"], sample["outcome"]) == ("fr.relais.VisitRecorded.v1", "parked")
        ]
        return bool(counted)

    eventually(given_up)
    (mine,) = [row for row in parked(house) if row["id"] == event["id"]]
    assert (mine["queue"], mine["tries"]) == ("reporting.from-intake", 3)
    assert str(mine["reason"]).startswith("DataError")
    dropped = house.relais("dead-letters", "drop", "reporting", str(mine["number"]))
    assert dropped.returncode == 0
    assert event["id"] not in [row["id"] for row in parked(house)]
