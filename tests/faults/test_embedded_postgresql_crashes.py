"""`relais run` on its own PostgreSQL: a crash of that server loses nothing, though the broker in memory forgets."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.crowd import SITE, Crowd, visitors
from tests.support.embedded import Embedded
from tests.support.house import eventually


@pytest.fixture
def relais(state_folder: Path) -> Iterator[Embedded]:
    """Start everything in one process."""
    embedded = Embedded(state_folder)
    embedded.run()
    yield embedded
    embedded.close()


def crash(relais: Embedded) -> None:
    """Kill one PostgreSQL session with -9: the server then ends all the others and recovers."""
    for process in relais.servers():
        # One may end between the list and this.
        with suppress(OSError):
            if b"idle" in Path(f"/proc/{process}/cmdline").read_bytes():
                os.kill(process, signal.SIGKILL)
                return
    pytest.fail("no session found")


def test_events_in_memory_wait_for_the_server(relais: Embedded, tell: Callable[[str], None]) -> None:
    """What a consumer had taken and could not handle goes back to its queue: all is counted without a restart."""
    # Slowly enough that each crash falls amid them, and that the server is back before the next.
    crowd = Crowd(relais, visitors(400), pause=0.2)
    crowd.start()
    crashed_at = []
    for number in (50, 150, 250):
        crowd.wait_for(number)
        crash(relais)
        crashed_at.append(len(crowd.answers))
    assert crashed_at[-1] < 400
    crowd.finish()
    eventually(lambda: relais.client.get(f"{relais.url('reporting')}/readyz").is_success, within=30.0)
    started = time.monotonic()
    sent = sum(state == "sent" for one in crowd.visitors for _, _, state in one.referrals)

    def figures() -> tuple[int, int]:
        counts = relais.activity(SITE)
        return counts["visits"], counts["referrals"]["sent"]

    eventually(lambda: figures() >= (400, sent), within=15.0)
    took = time.monotonic() - started
    time.sleep(1)
    assert figures() == (400, sent)
    tell(
        f"embedded PostgreSQL crashed after {', '.join(map(str, crashed_at))} of 400 visits,"
        f" {crowd.retries} posts sent again: all counted {took:.1f} s after the last answer"
    )
    assert relais.terminate()[0] == 0
