"""Relais with a visit that ends the process: `python -m tests.support.deadly run …` is `relais run …`.

A file in the state folder holds the visit's id; whoever counts that visit, reads its event, or reads what its site
wrote to the broker, kills its own process with SIGKILL, or raises. Three deliveries are enough here for a message to be
taken out of the way.
"""

import os
import signal
from pathlib import Path
from typing import Any

MODULE = "tests.support.deadly"
DELIVERIES = 3
TO_COUNT, TO_READ = "deadly-to-count", "deadly-to-read"
TO_RECORD, WRONG_TO_RECORD = "deadly-to-record", "wrong-to-record"


def arm(state: Path, visit_id: str, when: str) -> Path:
    """Name the visit; the file, to be removed when the bug is mended."""
    file = state / when
    file.write_text(visit_id)
    return file


def _armed(when: str, told: str) -> bool:
    file = Path(os.environ["RELAIS_STATE"]) / when
    return file.exists() and file.read_text() in told


def _die_if(when: str, told: str) -> None:
    if _armed(when, told):
        os.kill(os.getpid(), signal.SIGKILL)


def _main() -> None:
    from services.__main__ import main  # noqa: PLC0415 - makes the standard library cooperative: not for a test process
    from services.chassis import consumer  # noqa: PLC0415 - after it
    from services.chassis.handling import Handling  # noqa: PLC0415 - after it
    from services.intake import handlers as intake  # noqa: PLC0415 - after it
    from services.reporting import handlers  # noqa: PLC0415 - after it

    count_visit, read, record_letters = handlers.count_visit, Handling.read, intake.record_letters

    def deadly_to_count(event: Any, work: Any) -> None:  # noqa: ANN401 - as it comes
        _die_if(TO_COUNT, str(event.data.visit_id))
        count_visit(event, work)

    def deadly_to_read(self: Any, body: bytes, content_type: str) -> Any:  # noqa: ANN401 - as it comes
        if b"VisitRecorded.v1" in body:
            _die_if(TO_READ, body.decode())
        return read(self, body, content_type)

    def deadly_to_record(letters: Any, *rest: Any) -> Any:  # noqa: ANN401 - as it comes
        for told in (letter.body.decode() for letter in letters if not letter.problem):
            _die_if(TO_RECORD, told)
            if _armed(WRONG_TO_RECORD, told):
                raise RuntimeError(told)
        return record_letters(letters, *rest)

    handlers.count_visit = deadly_to_count
    intake.record_letters = deadly_to_record  # type: ignore[assignment]
    Handling.read = deadly_to_read  # type: ignore[method-assign]
    consumer.DELIVERIES = DELIVERIES  # a test cannot wait for twenty
    main()


if __name__ == "__main__":
    _main()
