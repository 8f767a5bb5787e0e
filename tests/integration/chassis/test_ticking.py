"""What a service does by itself from time to time, by nameko's real timer in a process as the services are."""

import subprocess
import sys

_SERVICE = """
import services.chassis.green
import time
from nameko.containers import ServiceContainer
from services.chassis import logs
from services.chassis.ticking import every

logs.configure("info", "json")
calls = []

class Service:
    name = "essai"

    @every(60, apart=True)
    def slowly(self):
        calls.append("slowly")
        time.sleep(20)

    @every(0.05)
    def often(self):
        calls.append("often")
        raise ValueError("what nobody needs to know")

container = ServiceContainer(Service, {})
container.start()
begun = time.monotonic()
while calls.count("often") < 3 and time.monotonic() < begun + 20:
    time.sleep(0.05)
begun = time.monotonic()
container.stop()
print(calls.count("slowly"), calls.count("often") > 2, time.monotonic() - begun < 10)
"""


def test_what_is_apart_begins_at_once_and_is_not_waited_for() -> None:
    """Nor is the other work; a bug in that ends nothing, and its words are not logged."""
    done = subprocess.run(  # noqa: S603 - this very interpreter
        [sys.executable, "-c", _SERVICE], capture_output=True, text=True, timeout=90, check=True
    )
    assert done.stdout.split() == ["1", "True", "True"]
    assert "nobody needs to know" not in done.stdout + done.stderr
