"""Relais that dies at an exact point: `python -m tests.support.mortal run …` is `relais run …`.

A file that `arm` leaves in the state folder arms a point; the first that reaches it removes the file and kills its own
process with SIGKILL. Production code knows nothing of it.
"""

import os
import signal
import sys
from pathlib import Path
from typing import Any

MODULE = "tests.support.mortal"
COMMITTED, APPENDED = "committed-not-acknowledged", "appended-not-committed"
PUBLISHED, PUBLISHED_OUTSIDE = "published-not-marked", "published-outside-not-marked"


def arm(state: Path, service: str, point: str) -> Path:
    """Arm a point; the file, which is there until the point is reached."""
    file = state / f"{service}.{point}"
    file.touch()
    return file


def _die_at(point: str) -> None:
    service = sys.argv[sys.argv.index("--service") + 1]
    file = Path(os.environ["RELAIS_STATE"]) / f"{service}.{point}"
    if file.exists():
        file.unlink()
        os.kill(os.getpid(), signal.SIGKILL)


def _main() -> None:
    from services.__main__ import main  # noqa: PLC0415 - makes the standard library cooperative: not for a test process
    from services.chassis import outbox, relay  # noqa: PLC0415 - after it
    from services.chassis.consumer import Consumer  # noqa: PLC0415 - after it

    points = {relay.INSIDE: PUBLISHED, relay.OUTSIDE: PUBLISHED_OUTSIDE}
    append, move, acknowledge = outbox.append, outbox.move, Consumer._acknowledge  # noqa: SLF001 - the point itself

    def mortal_append(connection: Any, entries: Any, *rest: Any, **options: Any) -> None:  # noqa: ANN401 - as it comes
        append(connection, entries, *rest, **options)
        if entries:
            _die_at(APPENDED)

    def mortal_move(connection: Any, mark: str, *rest: Any) -> None:  # noqa: ANN401 - as it comes
        if mark in points:
            _die_at(points[mark])
        move(connection, mark, *rest)

    def mortal_acknowledge(self: Any, *rest: Any) -> None:  # noqa: ANN401 - as it comes
        _die_at(COMMITTED)
        acknowledge(self, *rest)

    outbox.append = mortal_append
    outbox.move = mortal_move  # type: ignore[assignment]
    Consumer._acknowledge = mortal_acknowledge  # type: ignore[assignment,method-assign]  # noqa: SLF001 - same
    main()


if __name__ == "__main__":
    _main()
