"""The peers that Relais is measured beside do what it does: a figure beside theirs means something."""

from collections.abc import Callable

from tests.bench.alike import compare
from tests.bench.ground import Ground
from tests.bench.peers import PEERS
from tests.bench.relais import Relais


def test_a_peer_writes_what_relais_writes(tell: Callable[[str], None]) -> None:
    """Visits of every kind, row by row and message by message; all peers share what they do with an event."""
    (peer,) = (one for one in PEERS if one.name == "asyncio-duties")
    with Ground() as ground:
        told = compare(ground, [Relais(), peer])
    tell(f"{min(told.values())} rows and messages alike")
    assert min(told.values()) > 500
