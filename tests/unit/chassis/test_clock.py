"""Identifiers: new ones sort behind old ones, and none tells anything of another."""

import re
import time
from uuid import RFC_4122, UUID

import pytest

from services.chassis.clock import Ids


def test_an_identifier_is_a_uuid_of_version_7_of_this_millisecond() -> None:
    """RFC 9562, 5.7: 48 bits of milliseconds since 1970, then version and variant."""
    before = time.time_ns() // 1_000_000
    found = Ids().new()
    assert (found.version, found.variant) == (7, RFC_4122)
    assert before <= found.int >> 80 <= time.time_ns() // 1_000_000


def test_an_identifier_is_written_as_any_uuid_is() -> None:
    """With its leading zeros, too."""
    written = Ids().new_text()
    assert str(UUID(written)) == written
    assert UUID(written).version == 7


def test_identifiers_of_different_milliseconds_are_in_order() -> None:
    """An index of them grows at its end."""
    ids = Ids()
    found = []
    for _ in range(20):
        found.append(ids.new())
        time.sleep(0.002)
    assert found == sorted(found)


def test_identifiers_of_one_millisecond_are_not_counted() -> None:
    """All bits behind the millisecond are chance: each is set in about half of 10,000, and none comes twice."""
    ids = Ids()
    found = [ids.new().int for _ in range(10_000)]
    assert len({one & (1 << 76) - 1 for one in found}) == 10_000
    for bit in (*range(62), *range(64, 76)):
        assert 4_700 < sum(one >> bit & 1 for one in found) < 5_300, bit


def test_every_trace_is_another() -> None:
    """W3C trace context, version 00, sampled."""
    ids = Ids()
    found = {ids.new_trace() for _ in range(1_000)}
    assert len(found) == 1_000
    assert all(re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-01", one) for one in found)


@pytest.mark.parametrize(
    "given", [None, 7, "", "00-12", f"00-{'A' * 32}-{'0' * 16}-01", f"00-{'a' * 32}-{'0' * 16}-01\n"]
)
def test_what_is_no_trace_context_begins_a_new_one(given: object) -> None:
    """In an AMQP header a stranger may write anything."""
    begun = Ids().trace_of(given)
    assert Ids().trace_of(begun) == begun != given
