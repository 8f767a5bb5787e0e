"""The partner as a stranger: its own account, its own client, and nothing but the published documents to go by."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pika
import pytest
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from jsonschema import Draft202012Validator

from tests.support.broker import Delivery, Reader, partner, vhost_of
from tests.support.house import VISIT, House, need, visit
from tests.support.rabbit import Rabbit

PARTNER = "mission-locale-santerre"
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def reader(house: House, rabbit: Rabbit) -> Iterator[Reader]:
    """The Mission locale, connected."""
    with partner(house, rabbit, PARTNER) as connected:
        yield connected


def receive(house: House, reader: Reader, body: dict[str, Any]) -> tuple[Delivery, dict[str, Any]]:
    """Post a visit and wait for its referral in the partner's queue: the message, and what intake answered."""
    headers = house.bearer("site", body["site"]) | {"traceparent": TRACE}
    answered = house.client.post(f"{house.url('intake')}/v1/visits", json=body, headers=headers).json()
    (referral,) = house.sent(body)
    delivery, _ = reader.delivery_of(lambda event: event["data"]["referral_id"] == referral["referral_id"])
    return delivery, answered


def test_a_referral_arrives_as_one_cloudevent(house: House, reader: Reader) -> None:
    """CloudEvents 1.0 in structured mode, one event a message, read by the CloudEvents project's own library."""
    delivery, _ = receive(house, reader, visit())
    assert delivery.properties.content_type == "application/cloudevents+json"
    assert delivery.properties.delivery_mode == 2  # it survives a restart of the broker
    event = JSONFormat().read(CloudEvent, delivery.body)
    assert event.get_specversion() == "1.0"
    assert (event.get_type(), event.get_source()) == ("fr.relais.ReferralSent.v1", "/relais/referral")
    assert event.get_subject() is None
    at = event.get_time()
    assert at is not None
    assert at.utcoffset() == timedelta(0)
    assert datetime.now(UTC) - at < timedelta(minutes=1)


def test_its_data_is_what_the_published_schema_says(house: House, reader: Reader) -> None:
    """The event's own `dataschema` leads to a JSON Schema that its data fulfils, and that refuses data with less."""
    delivery, _ = receive(house, reader, visit())
    (event,) = delivery.events
    assert event["dataschema"].endswith("/schemas/partner/ReferralSent.v1.json")
    schema = house.client.get(event["dataschema"]).json()
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    validator.validate(event["data"])
    assert set(event["data"]) == set(schema["properties"])
    assert not validator.is_valid({name: value for name, value in event["data"].items() if name != "links"})


def test_nothing_in_it_says_who_the_person_is(house: House, reader: Reader) -> None:
    """No case id, visit id, reference, name, birth date, phone, note or story in body, properties or routing key."""
    body = visit(person=VISIT["person"] | {"email": "zoe.lhermitte@example.org"})
    delivery, answered = receive(house, reader, body)
    properties = {name: value for name, value in vars(delivery.properties).items() if value is not None}
    assert set(properties) <= {"content_type", "content_encoding", "delivery_mode", "priority", "headers", "type"}
    assert set(properties.get("headers", {})) <= {"x-delivery-count"}  # the broker's own
    assert properties["type"] == "fr.relais.ReferralSent.v1"
    assert delivery.routing_key == f"out.{PARTNER}"
    told = " ".join([delivery.body.decode(), json.dumps(properties), delivery.routing_key]).casefold()
    secrets = [answered["case"], answered["reference"], body["visit_id"], body["story"], body["needs"][0]["note"]]
    for secret in [*secrets, *filter(None, body["person"].values()), "neet"]:
        assert str(secret).casefold() not in told
    for digits in ("18-20", "80570"):  # which may stand in an id or a time by chance
        assert not re.search(rf"(?<![0-9a-f.-]){digits}(?![0-9a-f-])", told)
    assert not re.search(r"\bcase(_id)?\"", json.dumps({**delivery.events[0]["data"], "links": None}))


def test_its_trace_tells_nothing_of_the_visit_it_came_from(house: House, reader: Reader) -> None:
    """By a common trace two partners could match their files: outside, each event has a trace of its own."""
    delivery, _ = receive(house, reader, visit())
    assert delivery.events[0]["traceparent"].startswith("00-")
    assert delivery.events[0]["traceparent"] != TRACE


def test_the_very_same_event_is_read_over_http(house: House, reader: Reader) -> None:
    """Who lost its queue reads GET /v1/referrals/events: the same document, id included."""
    delivery, _ = receive(house, reader, visit())
    (event,) = delivery.events
    assert [each for each in house.events(PARTNER) if each["id"] == event["id"]] == [event]


def test_events_are_paged_without_a_gap(house: House) -> None:
    """Read two by two with `after`, they are those of one long page, in the same order."""
    for _ in range(5):
        body = visit(needs=[need("endettement")], agreement={"recipients": ["local"]})
        house.post_visit(body)
        house.sent(body)
    every = house.events("point-conseil-budget-santerre")
    assert len(every) >= 5
    assert house.events("point-conseil-budget-santerre", limit=2) == every


def test_partners_meet_nothing_of_ours_in_their_vhost(house: House, rabbit: Rabbit) -> None:
    """It holds one queue per partner, dropping its oldest when full, and the door that they write to."""
    vhost = vhost_of(house.environment["RELAIS_AMQP_URL_PARTNERS"])
    queues = rabbit.queues(vhost)
    assert f"out.{PARTNER}" in queues
    assert {name for name in queues if not name.startswith("out.")} == {"referral.answers"}
    overflows = {queue["arguments"]["x-overflow"] for name, queue in queues.items() if name.startswith("out.")}
    assert overflows == {"drop-head"}
    exchanges = {exchange["name"] for exchange in rabbit.api("GET", f"/exchanges/{vhost}")}
    assert {name for name in exchanges if name and not name.startswith("amq.")} == {"answers"}


def test_a_partner_reads_no_other_partners_queue(reader: Reader) -> None:
    """Its account opens `out.mission-locale-santerre`; France Travail's queue is refused."""
    reader.take()
    with pytest.raises(pika.exceptions.ChannelClosedByBroker, match="ACCESS_REFUSED"):
        reader.channel.basic_get("out.france-travail")
