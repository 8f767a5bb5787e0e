"""Recorded documents of each event version, which every consumer must go on reading for as long as it is published.

The files are what a running Relais has published. They are never edited: a change that breaks one is a new version.
"""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent as StandardEvent
from jsonschema import Draft202012Validator

from services.chassis import inbox
from services.contracts import schemas, topology
from services.contracts.envelope import BATCH_CONTENT_TYPE, CONTENT_TYPE, CloudEvent, EventData, as_json

GOLDEN = Path(__file__).parents[2] / "golden"


def published(base: type[EventData] = EventData) -> Iterator[type[EventData]]:
    """Every event class of the contracts, listed in the topology or not."""
    for event in base.__subclasses__():
        if "TYPE" in vars(event) and event.__module__.startswith("services.contracts."):
            yield event
        yield from published(event)


def golden_of(event: type[EventData]) -> list[Path]:
    """The recorded documents of an event class: where its schema lies; others after it, `<Event>.v1.<of what>.json`."""
    first = GOLDEN / event.schema_path().removeprefix("/schemas/")
    return [first, *sorted(first.parent.glob(f"{first.stem}.*.json"))]


EVENTS = sorted(published(), key=lambda event: event.schema_path())
RECORDED = [(event, path) for event in EVENTS for path in golden_of(event)]
SUBSCRIBED = [(service, event) for service, events in topology.SUBSCRIPTIONS.items() for event in events]
CONSUMED = [(service, event, path) for service, event in SUBSCRIBED for path in golden_of(event)]
every_event = pytest.mark.parametrize(
    ("event", "path"), RECORDED, ids=[str(path.relative_to(GOLDEN)) for _, path in RECORDED]
)


def document(path: Path) -> dict[str, Any]:
    """The recorded document; the test fails if there is none."""
    assert path.exists(), f"{path.name} is missing: record one, see CONTRIBUTING.md"
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def test_no_event_is_forgotten() -> None:
    """Each published class is among those found, and each golden file belongs to one of them."""
    assert set(topology.PUBLISHED) <= set(EVENTS)
    assert {path for _, path in RECORDED} == set(GOLDEN.rglob("*.json"))


def kept(recorded: object, now: object) -> bool:
    """Whether `now` says all that was recorded; it may say more, as a version that gained an optional field does."""
    if isinstance(recorded, dict) and isinstance(now, dict):
        return all(key in now and kept(value, now[key]) for key, value in recorded.items())
    if isinstance(recorded, list) and isinstance(now, list):
        return len(recorded) == len(now) and all(map(kept, recorded, now))
    return recorded == now


@every_event
def test_it_still_parses_and_comes_back_whole(event: type[EventData], path: Path) -> None:
    """Nothing of what was published is lost, renamed or told otherwise: envelope and data round-trip."""
    recorded = document(path)
    envelope: CloudEvent[Any] = CloudEvent.model_validate(recorded)
    assert envelope.type == event.TYPE
    assert envelope.source == f"/relais/{event.SERVICE}"
    assert json.loads(envelope.model_dump_json(exclude_none=True)) == recorded
    assert kept(recorded["data"], event.model_validate(recorded["data"]).model_dump(mode="json"))


@every_event
def test_it_is_written_as_pydantic_would(event: type[EventData], path: Path) -> None:
    """Byte for byte: instants, identifiers, codes, what is absent, what is nested."""
    data = event.model_validate(document(path)["data"])
    assert as_json(data) == data.model_dump_json()


@pytest.mark.parametrize(
    ("service", "event", "path"), CONSUMED, ids=[f"{service}-{path.stem}" for service, _, path in CONSUMED]
)
def test_every_consumer_reads_it(service: str, event: type[EventData], path: Path) -> None:
    """Alone, and in a batch between our own services, as its queue would deliver it."""
    taken = tuple(topology.taken_from(service)[event.SERVICE])
    recorded = document(path)
    body = json.dumps(recorded).encode()
    received: inbox.Received[EventData] = inbox.read(body, CONTENT_TYPE, taken)
    received.add(inbox.read(b"[" + body + b"," + body + b"]", BATCH_CONTENT_TYPE, taken))
    assert len(received.events) == 3
    assert received.document(0) == body
    for one in received.events:
        assert (one.source, one.id) == (recorded["source"], recorded["id"])
        assert one.data == event.model_validate(recorded["data"])
        assert one.traceparent == recorded["traceparent"]


@every_event
def test_a_reader_that_knows_less_still_reads_it(event: type[EventData], path: Path) -> None:
    """A field that a newer release adds, in the data or the envelope, is ignored by this one."""
    recorded = document(path)
    newer = recorded | {"sampledrate": 1, "data": recorded["data"] | {"added_later": {"by": "v1.1"}}}
    (received,) = inbox.read(json.dumps(newer).encode(), CONTENT_TYPE, (event,)).events
    assert received.data == event.model_validate(recorded["data"])


@every_event
def test_it_is_what_the_published_schema_says(event: type[EventData], path: Path) -> None:
    """The schema that `dataschema` points to takes the data."""
    recorded = document(path)
    assert recorded["dataschema"].endswith(event.schema_path())
    schema = schemas.documents()[event.schema_path().removeprefix("/schemas/")]
    Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(recorded["data"])


@every_event
def test_it_is_a_cloudevent_for_others(event: type[EventData], path: Path) -> None:
    """The specification's own library reads it: our envelope is our own model, and must not drift from CloudEvents."""
    recorded = document(path)
    assert recorded["type"] == event.TYPE
    read = JSONFormat().read(StandardEvent, json.dumps(recorded))
    attributes = read.get_attributes()
    assert attributes["specversion"] == "1.0"
    assert attributes["time"].utcoffset() == timedelta(0)
    assert attributes.get("subject") is None
    assert read.get_extension("traceparent") == recorded["traceparent"]
    assert read.get_data() == recorded["data"]


@every_event
def test_partners_never_see_a_case(event: type[EventData], path: Path) -> None:
    """Two partners must not be able to match their files, nor may anything personal be in an attribute."""
    recorded = document(path)
    if getattr(event, "AUDIENCE", None) == "partner":
        assert {"case", "visit_id"}.isdisjoint(recorded["data"])
    attributes = set(recorded) - {"data"}
    assert attributes == {"specversion", "id", "source", "type", "time", "datacontenttype", "dataschema", "traceparent"}
