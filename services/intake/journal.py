"""Which cases were erased, in a file apart from the databases: a backup that is restored knows nothing of it.

One line each, `<day> <digest> <reason>`, written and flushed to the disk before the database commits. A digest names
nobody: only who still has the case's id knows it again (docs/operations.md).
"""

import os
from collections.abc import Collection, Iterator
from datetime import date, datetime
from pathlib import Path
from typing import NamedTuple

from services.chassis.errors import Unavailable
from services.chassis.settings import Settings
from services.chassis.vault import flush_folder
from services.contracts.paris import paris_day


class JournalError(Exception):
    """The journal cannot be read or written; says why."""


class Entry(NamedTuple):
    """A case that was erased, on that day in Paris."""

    day: date
    digest: bytes
    reason: str


def path_of(settings: Settings) -> Path:
    """Where it is."""
    return settings.erasures_file or settings.state / "erasures"


def check(settings: Settings) -> None:
    """Make sure, at the start, that it can be written. Raises JournalError."""
    path = path_of(settings)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(_open(path))
        flush_folder(path.parent)
    except OSError as error:
        raise JournalError(f"RELAIS_ERASURES_FILE: {path} cannot be written: {error.strerror}") from None


def append(settings: Settings, digests: Collection[bytes], reason: str, now: datetime) -> None:
    """Write cases down; on the disk when this returns. Raises Unavailable: then nothing may be erased."""
    day = paris_day(now).isoformat()
    lines = "".join(f"{day} {each.hex()} {reason}\n" for each in digests).encode()
    try:
        descriptor = _open(path_of(settings))
        try:
            if _is_cut_off(descriptor):
                lines = b"\n" + lines
            if os.write(descriptor, lines) != len(lines):
                raise Unavailable("journal of erasures: no room")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise Unavailable(f"journal of erasures: {error.strerror}") from None


def entries(settings: Settings) -> Iterator[Entry]:
    """What it says; nothing where there is no file. Raises JournalError.

    A line that was cut off is left out: no database has erased anything by it.
    """
    path = path_of(settings)
    try:
        text = path.read_text(encoding="ascii") if path.exists() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise JournalError(f"RELAIS_ERASURES_FILE: {path} cannot be read: {type(error).__name__}") from None
    for line in text.splitlines():
        try:
            day, digest, reason = line.split()
            yield Entry(date.fromisoformat(day), bytes.fromhex(digest), reason)
        except ValueError:
            continue


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)


def _is_cut_off(descriptor: int) -> bool:
    """Whether its last line was not written to its end."""
    size = os.fstat(descriptor).st_size
    return size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
