"""Relais with a visit that ends the process: `python -m tests.support.deadly run …` is `relais run …`.

A file in the state folder holds the visit's id; whoever counts that visit, or reads its event, kills its own process
with SIGKILL. Three deliveries are enough here for a message to be taken out of the way.
"""

import os
import signal
from pathlib import Path
from typing import Any

MODULE = "tests.support.deadly"
DELIVERIES = 3
TO_COUNT, TO_READ = "deadly-to-count", "deadly-to-read"


def arm(state: Path, visit_id: str, when: str) -> Path:
    """Name the visit; the file, to be removed when the bug is mended."""
    file = state / when
    file.write_text(visit_id)
    return file


def _die_if(when: str, told: str) -> None:
    file = Path(os.environ["RELAIS_STATE"]) / when
    if file.exists() and file.read_text() in told:
        os.kill(os.getpid(), signal.SIGKILL)


def _main() -> None:
    from services.__main__ import main  # noqa: PLC0415 - makes the standard library cooperative: not for a test process
    from services.chassis import subscription  # noqa: PLC0415 - after it
    from services.chassis.handling import Handling  # noqa: PLC0415 - after it
    from services.reporting import handlers  # noqa: PLC0415 - after it

    count_visit, read = handlers.count_visit, Handling.read

    def deadly_to_count(event: Any, work: Any) -> None:  # noqa: ANN401 - as it comes
        _die_if(TO_COUNT, str(event.data.visit_id))
        count_visit(event, work)

    def deadly_to_read(self: Any, body: bytes, content_type: str) -> Any:  # noqa: ANN401 - as it comes
        if b"VisitRecorded.v1" in body:
            _die_if(TO_READ, body.decode())
        return read(self, body, content_type)

    handlers.count_visit = deadly_to_count
    Handling.read = deadly_to_read  # type: ignore[method-assign]
    subscription._DELIVERIES = DELIVERIES  # noqa: SLF001 - a test cannot wait for twenty
    main()


if __name__ == "__main__":
    _main()
