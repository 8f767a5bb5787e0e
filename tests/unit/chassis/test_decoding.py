"""AMQP's own fields: a stranger's bytes end nobody's reader."""

import struct

import pytest
from amqp import abstract_channel
from amqp.basic_message import Message
from amqp.spec import Basic

from services.chassis import broker  # noqa: F401 - its import is what mends py-amqp

HEADERS, CONTENT_TYPE = 0x2000, 0x8000


def short(text: bytes) -> bytes:
    """A short string on the wire."""
    return bytes([len(text)]) + text


def table(*pairs: tuple[bytes, bytes]) -> bytes:
    """A table on the wire; each value begins with its type."""
    content = b"".join(short(key) + value for key, value in pairs)
    return struct.pack(">I", len(content)) + content


def properties(wire: bytes) -> dict[str, object]:
    """What a consumer is given."""
    message = Message()
    message._load_properties(Basic.CLASS_ID, wire, 0)  # noqa: SLF001 - what the reader calls
    found: dict[str, object] = message.properties
    return found


def test_proper_properties_are_what_they_were() -> None:
    """Nothing changes for those who keep to the rules, whatever their alphabet."""
    wire = Message("", content_type="application/été", message_id="1", priority=3)._serialize_properties()  # noqa: SLF001
    assert properties(wire) == {"content_type": "application/été", "message_id": "1", "priority": 3}


def test_a_property_that_is_no_utf_8_is_read_with_marks_in_it() -> None:
    """The others are read as they are."""
    wire = struct.pack(">H", CONTENT_TYPE | HEADERS) + short(b"text/\xff\xfe") + table((b"a", b"S\0\0\0\1z"))
    assert properties(wire) == {"content_type": "text/\ufffd\ufffd", "application_headers": {"a": "z"}}


@pytest.mark.parametrize(
    "value", [b"T" + b"\xff" * 8, b"?", b"S\xff\xff\xff\xff", b"A\0\0\0\1"], ids=["date", "type", "length", "cut"]
)
def test_properties_that_cannot_be_taken_apart_are_none(value: bytes) -> None:
    """A date beyond the calendar, an unknown type, a length beyond the end."""
    wire = struct.pack(">H", CONTENT_TYPE | HEADERS) + short(b"text/plain") + table((b"key", value))
    found = properties(wire)
    assert found == {} or found["content_type"] == "text/plain"


def test_a_routing_key_that_is_no_utf_8_is_read_with_marks_in_it() -> None:
    """And the delivery tag beside it is exact, which an acknowledgement depends on."""
    tag = 0xFEDC_BA98_7654_3210 >> 1
    wire = short(b"tag") + struct.pack(">Q", tag) + b"\1" + short(b"intake.events") + short(b"Visit\xff\xc3")
    arguments, end = abstract_channel.loads("sLbss", wire, 0)
    assert arguments == ["tag", tag, True, "intake.events", "Visit\ufffd\ufffd"]
    assert end == len(wire)
