"""AMQP's own fields, read whatever a stranger wrote there; the body, left as it came.

py-amqp raises in the midst of its reader at a property or a routing key that is no UTF-8, or at a date beyond the
calendar: one such message would stop every consumer that meets it, again and again. Imported by `broker`, this makes it
read what it can.

A body is bytes until `inbox` reads it. py-amqp would decode it by whatever codec the sender names (`punycode` takes
10 s for 300 kB, and four times as long for twice that), and kombu would decompress it if a header says so (without
any bound; and one that it cannot decompress would stop the consumer).
"""

from contextlib import suppress
from typing import Any, SupportsIndex, overload

import amqp
from amqp import abstract_channel, serialization
from amqp.spec import Basic
from kombu.transport import pyamqp


class _Text(bytes):
    """Bytes of which every part decodes."""

    @overload
    def __getitem__(self, place: SupportsIndex, /) -> int: ...
    @overload
    def __getitem__(self, place: slice, /) -> "_Text": ...
    def __getitem__(self, place: SupportsIndex | slice, /) -> "int | _Text":
        part = super().__getitem__(place)
        return part if isinstance(part, int) else _Text(part)

    def decode(self, encoding: str = "utf-8", errors: str = "replace") -> str:  # noqa: ARG002 - replaced in any case
        return super().decode(encoding, "replace")


def _arguments(kinds: str, buffer: bytes, offset: int) -> tuple[list[Any], int]:
    """A method's arguments, such as the routing key of a delivery."""
    found: tuple[list[Any], int]
    try:
        found = serialization.loads(kinds, buffer, offset)
    except UnicodeDecodeError:
        found = serialization.loads(kinds, _Text(buffer), offset)
    return found


def _properties(buffer: bytes, offset: int) -> tuple[dict[str, Any], int]:
    """A message's properties; none at all when they cannot be told apart."""
    for text in (buffer, _Text(buffer)):
        with suppress(Exception):
            found: tuple[dict[str, Any], int] = serialization.decode_properties_basic(text, offset)
            return found
    return {}, len(buffer)


class _Channel(pyamqp.Channel):  # type: ignore[misc]
    """Hands bodies over as they came."""

    def __init__(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - py-amqp's
        super().__init__(*arguments, auto_decode=False, **options)

    def message_to_python(self, raw_message: amqp.Message) -> Any:  # noqa: ANN401 - kombu is untyped
        raw_message.properties.get("application_headers", {}).pop("compression", None)
        return super().message_to_python(raw_message)


pyamqp.Connection.Channel = _Channel
abstract_channel.loads = _arguments
serialization.PROPERTY_CLASSES[Basic.CLASS_ID] = _properties
