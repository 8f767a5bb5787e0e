"""The PDF is made beside the service, in a process as the services are: nothing else waits for it, nor it for ever."""

import subprocess
import sys

_SERVICE = """
import services.chassis.green
import time
import eventlet
from services.chassis import logs
from services.chassis.errors import Rejected
from services.intake import printing
from tests.unit.intake.test_printing import export

logs.configure("warning", "json")
printing._SECONDS = SECONDS
ticks, long = [], export(stories=["a\\n" * 9999 + "a"] * 30)

def tick():
    while True:
        ticks.append(time.monotonic())
        eventlet.sleep(0.01)

eventlet.spawn(tick)
eventlet.sleep(0.05)
try:
    print(printing.printed(long)[:4].decode())
except Rejected as refused:
    print(refused.status, refused.headers["Retry-After"], "JSON" in refused.detail)
eventlet.sleep(0.05)
print(f"{max(after - before for before, after in zip(ticks, ticks[1:])):.2f}")
"""


def _printed(seconds: float) -> list[str]:
    """What it says: of the document, of the longest time in seconds that a green thread waited."""
    done = subprocess.run(  # noqa: S603 - this very interpreter
        [sys.executable, "-c", _SERVICE.replace("= SECONDS", f"= {seconds}")],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=110,
        check=True,
    )
    return done.stdout.splitlines()


def test_no_green_thread_waits_for_a_document() -> None:
    """Thirty stories of 10,000 lines: within the service's own process it would be 1.3 s."""
    document, longest = _printed(90)
    assert document == "%PDF"
    assert float(longest) < 1


def test_what_takes_too_long_is_ended() -> None:
    """503 with a time to wait and another way; the log says so, and nothing of what was told."""
    warned, refused, longest = _printed(0.02)
    assert ('"not printed"' in warned, '"too slow"' in warned) == (True, True)
    assert refused == "503 60 True"
    assert float(longest) < 1
