"""What may arrive in a queue, and what becomes of it."""

import json
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.inbox import Received, Unreadable, parts, read
from services.contracts.envelope import BATCH_CONTENT_TYPE, CONTENT_TYPE, EventData
from services.contracts.topology import PUBLISHED


class Happened(EventData):
    """An event of no service."""

    TYPE: ClassVar[str] = "fr.relais.Happened.v1"
    SERVICE: ClassVar[str] = "intake"

    word: str
    numbers: tuple[int, ...] = ()


class Elsewhere(EventData):
    """Another, which comes by the same queue."""

    TYPE: ClassVar[str] = "fr.relais.Elsewhere.v1"
    SERVICE: ClassVar[str] = "intake"

    place: str


TAKEN: tuple[type[Any], ...] = (Happened, Elsewhere)


def envelope(**changes: object) -> dict[str, Any]:
    """Wrap the word `said` as it would arrive; `changes` replace attributes, `...` takes one away."""
    right = {
        "specversion": "1.0",
        "id": "1",
        "source": "/relais/intake",
        "type": Happened.TYPE,
        "time": "2026-11-20T08:30:00Z",
        "traceparent": "00-" + "a" * 32 + "-" + "b" * 16 + "-01",
        "data": {"word": "said"},
    }
    return {name: value for name, value in (right | changes).items() if value is not ...}


def reason(body: bytes | object, content_type: str = CONTENT_TYPE) -> str:
    """Read what cannot be read; why it cannot: the same where one type is taken and where several are."""
    told = set()
    for taken in (TAKEN, TAKEN[:1]):
        with pytest.raises(Unreadable) as caught:
            read(body if isinstance(body, bytes) else json.dumps(body).encode(), content_type, taken)
        assert caught.value.__cause__ is None
        told.add(str(caught.value).replace(f", {Elsewhere.TYPE}", ""))
    (found,) = told
    return found


def test_several_kinds_come_by_one_queue() -> None:
    """Each is read as what it is, alone and in a batch."""
    other = envelope(type=Elsewhere.TYPE, data={"place": "Roye"})
    received = read(json.dumps([envelope(), other, envelope(id="2")]).encode(), BATCH_CONTENT_TYPE, TAKEN)
    received.add(read(json.dumps(other).encode(), CONTENT_TYPE, TAKEN))
    assert [type(event.data) for event in received.events] == [Happened, Elsewhere, Happened, Elsewhere]


def test_a_single_event_is_read_beside_the_very_bytes_it_came_in() -> None:
    """So that a replay sees what arrived, byte by byte, and unknown attributes and fields are ignored."""
    body = json.dumps(envelope(later="unknown", data={"word": "dit", "later": 1}), indent=3).encode()
    received = read(body, CONTENT_TYPE, TAKEN)
    assert received.document(0) == body
    (event,) = received.events
    assert (event.data.word, event.id, event.source) == ("dit", "1", "/relais/intake")
    assert event.time.isoformat() == "2026-11-20T08:30:00+00:00"
    assert event.traceparent == "00-" + "a" * 32 + "-" + "b" * 16 + "-01"


def test_a_batch_is_read_in_order_each_event_beside_its_own_document() -> None:
    """Each can be parked and replayed by itself, whatever characters it holds."""
    batch = [envelope(id=str(number), data={"word": f"é\ud800{number}"[:1], "x": "\ud800"}) for number in range(100)]
    received = read(json.dumps(batch).encode(), BATCH_CONTENT_TYPE, TAKEN)
    assert [event.id for event in received.events] == [str(number) for number in range(100)]
    again = [read(received.document(place), CONTENT_TYPE, TAKEN).events[0] for place in range(100)]
    assert again == received.events


def test_events_of_several_messages_keep_their_documents() -> None:
    """A transaction takes what has arrived: single events and batches, of one event or of none."""
    single, pair, alone = envelope(id="1"), [envelope(id="2"), envelope(id="3")], [envelope(id="4")]
    received = read(json.dumps(single).encode(), CONTENT_TYPE, TAKEN)
    for batch in (pair, [], alone):
        received.add(read(json.dumps(batch).encode(), BATCH_CONTENT_TYPE, TAKEN))
    assert [event.id for event in received.events] == ["1", "2", "3", "4"]
    assert [json.loads(received.document(place)) for place in range(4)] == [single, *pair, *alone]
    with pytest.raises(IndexError):
        received.document(4)


def test_a_batch_of_none_and_of_one() -> None:
    """Both are batches."""
    assert read(b"[]", BATCH_CONTENT_TYPE, TAKEN).events == []
    (one,) = read(json.dumps([envelope()]).encode(), BATCH_CONTENT_TYPE, TAKEN).events
    assert one.data.word == "said"


NOT_JSON: dict[str, bytes] = {
    "empty": b"",
    "cut": b'{"id": "secret',
    "text": b"secret",
    "bad-utf-8": b'{"id": "secret\xff"}',
    "latin-1": '{"id": "secret é"}'.encode("latin-1"),
    "nested": b'{"secret":' * 100_000,
    "nested-list": b"[" * 100_000,
    "nested-and-closed": b"[" * 100_000 + b"]" * 100_000,
    "endless-number": b'{"secret": ' + b"7" * 100_000 + b"}",
}


@pytest.mark.parametrize("content_type", [CONTENT_TYPE, BATCH_CONTENT_TYPE, "", "secret/type"])
@pytest.mark.parametrize("body", NOT_JSON.values(), ids=NOT_JSON)
def test_what_is_no_json_is_unreadable(body: bytes, content_type: str) -> None:
    """Told apart only as far as no word of it is repeated."""
    assert reason(body, content_type) in {
        "not JSON: JSONDecodeError",
        "not JSON: UnicodeDecodeError",
        "not JSON: ValueError",
        "not JSON: nested too deeply",
    }
    assert parts(body, content_type) == []


NOT_OURS: dict[str, tuple[object, str]] = {
    "another-type": (envelope(type="fr.relais.Secret.v1"), "expected type fr.relais.Happened.v1"),
    "unknown-version": (envelope(type="fr.relais.Happened.v2"), "expected type fr.relais.Happened.v1"),
    "no-event": (["secret"], "not a valid event: document (model_type)"),
    "no-type": (envelope(type=...), "not a valid event: type (missing)"),
    "no-id": (envelope(id=...), "not a valid event: id (missing)"),
    "empty-id": (envelope(id=""), "not a valid event: id (string_too_short)"),
    "nul-in-id": (envelope(id="secret\0"), "not a valid event: id (string_pattern_mismatch)"),
    "nul-in-source": (envelope(source="\0secret"), "not a valid event: source (string_pattern_mismatch)"),
    "surrogate-in-id": (envelope(id="secret\ud800"), "not a valid event: id (string_unicode)"),
    "no-time": (envelope(time=...), "not a valid event: time (missing)"),
    "time-of-no-zone": (envelope(time="2026-11-20T08:30:00"), "not a valid event: time (timezone_aware)"),
    "no-data": (envelope(data=...), "not a valid event: data (missing)"),
    "data-of-another-kind": (envelope(data="secret"), "not a valid event: data (model_type)"),
    "data-without-a-field": (envelope(data={"secret": 1}), "not a valid event: data.word (missing)"),
    "data-of-a-wrong-type": (envelope(data={"word": ["secret"]}), "not a valid event: data.word (string_type)"),
}


@pytest.mark.parametrize(("body", "expected"), NOT_OURS.values(), ids=NOT_OURS)
def test_what_is_not_this_event_is_unreadable(body: object, expected: str) -> None:
    """The reason names the field and what is wrong with it, never what it holds."""
    assert reason(body) == expected


def test_a_batch_that_is_no_list_is_unreadable() -> None:
    """And a list that calls itself a single event, too."""
    assert reason(envelope(), BATCH_CONTENT_TYPE) == "a batch must be a JSON array"
    assert reason([envelope()]) == "not a valid event: document (model_type)"


@pytest.mark.parametrize("event", PUBLISHED, ids=lambda event: event.name())
def test_no_event_has_keys_that_its_sender_chooses(event: type[EventData]) -> None:
    """A reason names the place of a mistake: with a mapping among the fields it would repeat the mapping's keys."""
    assert "additionalProperties" not in json.dumps(event.model_json_schema())


def test_a_reason_has_an_end() -> None:
    """However many fields are wrong."""
    assert len(reason(envelope(data={"word": "x", "numbers": ["x"] * 10_000}))) == 500


@pytest.mark.parametrize("body", [b'"' + b"x" * 20_000_000 + b'"', b"x" * 20_000_000], ids=["text", "noise"])
def test_a_huge_body_is_unreadable_and_not_repeated(body: bytes) -> None:
    """Twenty megabytes make a reason as short as any."""
    assert len(reason(body)) < 100


def test_an_unreadable_event_of_a_batch_can_be_told_from_its_neighbours() -> None:
    """`read` refuses the whole; the parts are then read one by one."""
    batch = json.dumps([envelope(id="1"), envelope(id=...), envelope(id="3"), 7, envelope(id="5")]).encode()
    reason(batch, BATCH_CONTENT_TYPE)
    good = Received[Happened]()
    for part in parts(batch, BATCH_CONTENT_TYPE):
        try:
            good.add(read(part, CONTENT_TYPE, TAKEN))
        except Unreadable:
            continue
    assert [event.id for event in good.events] == ["1", "3", "5"]
    assert parts(json.dumps(envelope()).encode(), CONTENT_TYPE) == []
    assert parts(json.dumps(envelope()).encode(), BATCH_CONTENT_TYPE) == []


@given(
    st.binary() | st.recursive(st.none() | st.floats() | st.text(), st.lists).map(lambda one: json.dumps(one).encode())
)
def test_whatever_the_bytes_nothing_but_unreadable_is_raised(body: bytes) -> None:
    """Anything else would end the consumer, and the message would come again."""
    for content_type in (CONTENT_TYPE, BATCH_CONTENT_TYPE):
        try:
            assert read(body, content_type, TAKEN).events == []
        except Unreadable:
            continue
