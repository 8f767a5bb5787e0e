"""Relais on another day: `python -m tests.support.moved run …` is `relais run …` with a clock that `move` sets.

A file in the state folder says by how many seconds. Production code knows nothing of it.
"""

import os
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

MODULE = "tests.support.moved"


def move(state: Path, **by: float) -> None:
    """Move the clocks of all that run in this folder, to so many days, hours and so on from the present."""
    draft = state / "moved.new"
    draft.write_text(str(timedelta(**by).total_seconds()))
    draft.replace(state / "moved")


def _main() -> None:
    from services.__main__ import main  # noqa: PLC0415 - makes the standard library cooperative: not for a test process
    from services.chassis.clock import Clock  # noqa: PLC0415 - after it

    file, now = Path(os.environ["RELAIS_STATE"]) / "moved", Clock.now

    def moved(self: Clock) -> datetime:
        seconds = 0.0
        with suppress(FileNotFoundError):
            seconds = float(file.read_text())
        return now(self) + timedelta(seconds=seconds)

    Clock.now = moved  # type: ignore[method-assign]
    main()


if __name__ == "__main__":
    _main()
