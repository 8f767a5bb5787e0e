"""Visits that sites write to the exchange `visits.in`: the same answers and reasons as `POST /v1/visits`."""

import json
from collections.abc import Iterator
from typing import Any, Self
from uuid import uuid4

import pika
import pytest

from services.chassis import outside
from services.contracts.topology import SERVICES
from tests.support.broker import listener, vhost_of
from tests.support.house import VISIT, House, eventually, need, visit
from tests.support.letters import Outsider, provide, site
from tests.support.rabbit import Rabbit

SITE = "fs-moreuil"
CANARY = "Kanarienvogel’s"
NIR = "2 07 03 80 570 123 45"


@pytest.fixture
def writer(house: House, rabbit: Rabbit) -> Iterator[Outsider]:
    """Connect a site."""
    with site(house, rabbit, SITE) as found:
        yield found


def reply(writer: Outsider, visit_id: object) -> tuple[pika.BasicProperties, dict[str, Any]]:
    """The last reply about a visit, once there is one; what was read before is forgotten."""
    delivery, found = writer.delivery_of(lambda one: one.get("visit_id") == visit_id)
    writer.read.clear()
    return delivery.properties, found


def counted(house: House, outcome: str, service: str = "intake") -> int:
    """How many messages of outsiders had this outcome."""
    start = f'relais_door_messages_total{{outcome="{outcome}",service="{service}"}}'
    lines = [line for line in house.metrics(service).splitlines() if line.startswith(start)]
    return int(float(lines[0].rpartition(" ")[2])) if lines else 0


def test_a_visit_is_answered_as_over_http(house: House, writer: Outsider) -> None:
    """201 with the reference, then 200 with the same, by either way; other content is a conflict. Names are echoed."""
    body = visit(person=VISIT["person"] | {"family_name": "d’Oz'ouville"})
    writer.write(body, correlation_id="17", message_id="été")
    properties, first = reply(writer, body["visit_id"])
    assert first.pop("status") == 201
    assert first["reference"]
    assert (properties.content_type, properties.delivery_mode) == ("application/json", 2)
    assert (properties.correlation_id, properties.message_id) == ("17", "été")

    writer.write(body)
    properties, again = reply(writer, body["visit_id"])
    assert again == first | {"status": 200}
    assert properties.correlation_id is None
    over_http = house.post_visit(body)
    assert (over_http.status_code, over_http.json()) == (200, first)

    writer.write(body | {"story": "Une tout autre situation."})
    properties, other = reply(writer, body["visit_id"])
    assert (other["status"], other["type"]) == (409, "/problems/conflict")
    assert properties.content_type == "application/problem+json"
    assert house.post_visit(body).json() == first


def test_a_visit_posted_before_is_known(house: House, writer: Outsider) -> None:
    """A site may go over to the other way at any time."""
    body = visit()
    first = house.post_visit(body).json()
    writer.write(body)
    assert reply(writer, body["visit_id"])[1] == first | {"status": 200}


def test_what_it_leads_to_is_the_same_and_so_is_the_trace(house: House, writer: Outsider) -> None:
    """The referral is sent; the trace that the site began goes on in its event."""
    body = visit()
    trace = f"00-{uuid4().hex}-00f067aa0ba902b7-01"
    with listener(house, "intake.events") as inside:
        writer.write(body, headers={"traceparent": trace})
        assert reply(writer, body["visit_id"])[1]["status"] == 201
        event = inside.wait_for(lambda one: one["data"]["visit_id"] == body["visit_id"])
    assert event["traceparent"] == trace
    assert [one["partner"] for one in house.sent(body)] == ["mission-locale-santerre"]


@pytest.mark.parametrize(
    ("status", "changes"),
    [
        pytest.param(403, {"site": "hem"}, id="another site"),
        pytest.param(422, {"surnom": CANARY}, id="unknown field"),
        pytest.param(422, {"story": f"{CANARY} {NIR}"}, id="NIR in the story"),
        pytest.param(422, {"needs": [need("logement", note=NIR)], "story": CANARY}, id="NIR in a note"),
        pytest.param(422, {"occurred_at": "2026-01-01T09:00:00+01:00", "story": CANARY}, id="too old"),
        pytest.param(422, {"commune": CANARY}, id="a commune by its name"),
    ],
)
def test_what_is_wrong_is_refused_for_the_same_reasons(
    house: House, writer: Outsider, status: int, changes: dict[str, Any]
) -> None:
    """The very problem document of HTTP, with the id of the visit."""
    body = visit(**changes)
    writer.write(body)
    properties, refused = reply(writer, body["visit_id"])
    headers = house.bearer("site", SITE)
    over_http = house.client.post(f"{house.url('intake')}/v1/visits", json=body, headers=headers)
    assert refused == over_http.json() | {"visit_id": body["visit_id"]}
    assert refused["status"] == status
    assert properties.content_type == "application/problem+json"
    assert CANARY not in str(refused)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        pytest.param(400, b'{"story": "Kanarienvogel', "application/json", id="half a document"),
        pytest.param(400, b"\xff\xfe", "application/json", id="bytes"),
        pytest.param(400, b"[" * 60_000, "application/json", id="nested without end"),
        pytest.param(422, b"[]", "application/json", id="a list"),
        pytest.param(415, b"<Kanarienvogel/>", "text/xml", id="XML"),
        pytest.param(415, b"{}", None, id="no type"),
    ],
)
def test_what_cannot_be_read_is_refused_by_the_name_of_its_message(
    writer: Outsider, status: int, body: bytes, kind: str | None
) -> None:
    """No visit id can be told then: the site knows it by its correlation id."""
    name = str(uuid4())
    writer.write(body, content_type=kind, correlation_id=name)
    properties, refused = reply(writer, None)
    assert (refused["status"], properties.correlation_id) == (status, name)


def test_a_body_that_is_too_large_is_refused(writer: Outsider) -> None:
    """64 KiB as over HTTP; the visit is named."""
    body = visit(story="é" * 35_000)
    writer.write(body)
    refused = reply(writer, body["visit_id"])[1]
    assert (refused["status"], refused["detail"]) == (413, "Le corps dépasse 65536 octets.")


def test_a_visit_full_of_mistakes_stops_nobody(house: House, rabbit: Rabbit, writer: Outsider) -> None:
    """64 KiB with 30,000 wrong places: its problem is one that the broker takes, and the next site has its reply."""
    body = visit(publics=[]) | {"person": None}
    raw = json.dumps(body).replace('"publics": []', f'"publics": [{"0," * 31_000}0]').encode()
    assert 62_000 < len(raw) <= 65_536
    with site(house, rabbit, "hem") as other:
        for _ in range(10):
            writer.write(raw)
        own = visit(site="hem", commune="59299")
        other.write(own)
        assert reply(other, own["visit_id"])[1]["status"] == 201
    eventually(lambda: len(writer.take()) == 10)
    assert {(one.events[0]["status"], one.events[0]["visit_id"]) for one in writer.read} == {(422, body["visit_id"])}


def test_a_type_with_a_charset_is_json_all_the_same(writer: Outsider) -> None:
    """As over HTTP."""
    body = visit()
    writer.write(body, content_type="application/json; charset=utf-8")
    assert reply(writer, body["visit_id"])[1]["status"] == 201


def test_a_wrong_visit_spoils_no_other(house: House, writer: Outsider) -> None:
    """Of many that arrive together each has its own reply, under its own name, in order."""
    bodies = [visit(**({"surnom": CANARY} if number % 10 == 3 else {})) for number in range(40)]
    for number, body in enumerate(bodies):
        writer.write(body, correlation_id=str(number))
    eventually(lambda: len(writer.take()) == 40)
    assert [one.properties.correlation_id for one in writer.read] == [str(number) for number in range(40)]
    replies = [one.events[0] for one in writer.read]
    assert [one["visit_id"] for one in replies] == [body["visit_id"] for body in bodies]
    assert [one["status"] for one in replies] == [422 if "surnom" in body else 201 for body in bodies]
    assert counted(house, "taken") >= 36
    assert counted(house, "refused") >= 4


@pytest.mark.parametrize("name", [b"\xff" * 255, b"a" * 255, b""], ids=["broken", "long", "empty"])
def test_names_of_any_bytes_stop_nobody(writer: Outsider, name: bytes) -> None:
    """A name that cannot be echoed is left out."""
    body = visit()
    writer.write(body, correlation_id=_Raw(name))
    properties, found = reply(writer, body["visit_id"])
    assert found["status"] == 201
    assert (properties.correlation_id or "") == ("" if b"\xff" in name else name.decode())


class _Raw(str):
    """A text that pika writes as these very bytes."""

    __slots__ = ()

    def __new__(cls, raw: bytes) -> Self:
        """Latin 1 has a letter for each byte."""
        return super().__new__(cls, raw.decode("latin-1"))

    def encode(self, encoding: str = "", errors: str = "strict") -> bytes:  # noqa: ARG002 - these very bytes
        """The bytes."""
        return super().encode("latin-1", errors)


def test_a_message_of_nobody_is_dropped(house: House, writer: Outsider) -> None:
    """Without user-id, or of an account of another kind: counted, no visit, no reply, and the next one is taken."""
    before = counted(house, "nobody")
    writer.write(visit(), user_id=None)
    body = visit()
    writer.write(body)
    assert reply(writer, body["visit_id"])[1]["status"] == 201
    assert counted(house, "nobody") == before + 1


def test_a_partners_account_is_no_site(house: House, rabbit: Rabbit, writer: Outsider) -> None:
    """Even one that was let into the vhost."""
    before = counted(house, "nobody")
    vhost = vhost_of(house.environment["RELAIS_AMQP_URL_INGEST"])
    url = provide(rabbit, vhost, "partner.cpam", outside.INGEST, writer.queue)
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        stranger = Outsider(connection.channel(), "partner.cpam", outside.INGEST, writer.queue)
        stranger.write(visit(site="cpam"))
    eventually(lambda: counted(house, "nobody") == before + 1)
    rabbit.delete_user("partner.cpam")


def test_a_visit_of_a_site_without_a_queue_is_recorded(house: House, rabbit: Rabbit, writer: Outsider) -> None:
    """As when an operator deleted it: the log names the queue, and those of others get their replies."""
    vhost = vhost_of(house.environment["RELAIS_AMQP_URL_INGEST"])
    body, own = visit(site="hem", commune="59299"), visit()
    with site(house, rabbit, "hem") as other:
        rabbit.api("DELETE", f"/queues/{vhost}/{other.queue}")
        other.write(body)
        writer.write(own)
        assert reply(writer, own["visit_id"])[1]["status"] == 201
    assert house.post_visit(body).status_code == 200
    assert "replies.hem" in next(line for line in house.log("intake").splitlines() if '"no queue"' in line)


def test_a_forged_user_id_is_refused_by_the_broker(writer: Outsider) -> None:
    """On this rests who wrote what."""
    with pytest.raises(pika.exceptions.ChannelClosedByBroker, match="406"):
        writer.write(visit(), user_id="site.hem")


def test_no_byte_of_a_body_is_in_any_log(house: House, writer: Outsider) -> None:
    """Of the tests above, and of this one: taken, refused, unreadable, of nobody."""
    body = visit(story=CANARY, person=VISIT["person"] | {"family_name": CANARY})
    writer.write(body)
    writer.write(body | {"story": CANARY * 2})
    writer.write(f'{{"story": "{CANARY}'.encode())
    writer.write(visit(story=CANARY), user_id=None)
    eventually(lambda: len(writer.take()) == 3)
    logs = "".join(house.log(service) for service in SERVICES)
    assert "message of nobody" in logs
    assert CANARY not in logs
    assert "Kanarienvogel" not in logs
