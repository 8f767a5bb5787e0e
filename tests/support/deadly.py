"""Relais with a visit that ends the process: `python -m tests.support.deadly run …` is `relais run …`.

A file `deadly` in the state folder holds the visit's id; whoever counts that visit kills its own process with SIGKILL.
Three deliveries are enough here for a message to be taken out of the way.
"""

import os
import signal
from pathlib import Path
from typing import Any

MODULE = "tests.support.deadly"
DELIVERIES = 3


def arm(state: Path, visit_id: str) -> Path:
    """Name the visit; the file, to be removed when the bug is mended."""
    file = state / "deadly"
    file.write_text(visit_id)
    return file


def _main() -> None:
    from services.__main__ import main  # noqa: PLC0415 - makes the standard library cooperative: not for a test process
    from services.chassis import subscription  # noqa: PLC0415 - after it
    from services.reporting import handlers  # noqa: PLC0415 - after it

    count_visit, file = handlers.count_visit, Path(os.environ["RELAIS_STATE"]) / "deadly"

    def deadly(event: Any, work: Any) -> None:  # noqa: ANN401 - as it comes
        if file.exists() and file.read_text() == str(event.data.visit_id):
            os.kill(os.getpid(), signal.SIGKILL)
        count_visit(event, work)

    handlers.count_visit = deadly
    subscription._DELIVERIES = DELIVERIES  # noqa: SLF001 - a test cannot wait for twenty
    main()


if __name__ == "__main__":
    _main()
