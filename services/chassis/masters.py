"""Where the master keys come from: a file, or a command that prints them; 32 bytes in base64 a line, the first wraps.

No key, and nothing that a command says, is ever in an error.
"""

import base64
import os
import shlex
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import mkstemp

from services.chassis.settings import Settings
from services.chassis.vault import VaultError, fingerprint, flush_folder, new_master_key, write_private

# Between two looks at the file's date, and two runs of the command; the latter, when a key does not open.
LOOK_SECONDS, RUN_SECONDS, _URGENT_SECONDS = 2.0, 60.0, 5.0
_PATIENCE_SECONDS = 30.0
_BYTES = 32
_EXPECTED = "expected 32 bytes in base64 on each line"


class KeyFile:
    """The master keys in a file."""

    def __init__(self, path: Path, *, ours: bool) -> None:
        self.path = path
        self.name = f"RELAIS_MASTER_KEY_FILE: {path}"
        self._ours = ours  # nobody named it: it is made when there is none
        self._looked_at = 0.0
        self._seen: tuple[int, ...] | None = None

    def due(self, *, urgent: bool) -> bool:
        """Whether another file is there than the one read last; looked for every two seconds unless `urgent`."""
        now = time.monotonic()
        if not urgent and now - self._looked_at < LOOK_SECONDS:
            return False
        self._looked_at = now
        return self._look() != self._seen

    def read(self) -> tuple[bytes, ...]:
        """The master keys, the one that wraps first. Raises VaultError."""
        self._seen, self._looked_at = self._look(), time.monotonic()
        try:
            text = self.path.read_text(encoding="ascii")
        except (OSError, ValueError) as error:
            raise VaultError(f"{self.name}: {type(error).__name__}, {_EXPECTED}") from None
        return _parsed(text, self.name)

    def make(self) -> None:
        """Make the first key where nobody named a file and there is none. Raises VaultError."""
        try:
            if self._ours and not self.path.exists():
                write_private(self.path, new_master_key())
        except OSError as error:
            raise VaultError(f"{self.name}: {type(error).__name__}, a first key could not be made there") from None

    def add(self) -> None:
        """Put a new key before the others. Raises VaultError, OSError where the file cannot be replaced."""
        known = [_written(each) for each in self.read()]
        self._replace([new_master_key(), *known])

    def keep_first(self) -> None:
        """Take all but the first out. Raises VaultError, OSError where the file cannot be replaced."""
        self._replace([_written(self.read()[0])])

    def _replace(self, lines: Sequence[str]) -> None:
        """At once or not at all, for the same owner and with the same rights; it outlives a power cut."""
        path = self.path.resolve()
        before = path.stat()
        descriptor, name = mkstemp(prefix=f".{path.name}.", dir=path.parent)
        draft = Path(name)
        try:
            with os.fdopen(descriptor, "w") as file:
                if (before.st_uid, before.st_gid) != (os.geteuid(), os.getegid()):
                    os.fchown(file.fileno(), before.st_uid, before.st_gid)
                os.fchmod(file.fileno(), before.st_mode & 0o777)
                file.writelines(f"{line}\n" for line in lines)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
        flush_folder(path.parent)

    def _look(self) -> tuple[int, ...] | None:
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_ino, found.st_size, found.st_mtime_ns


class KeyCommand:
    """The master keys that a command prints."""

    def __init__(self, line: str) -> None:
        self._line = line
        # The arguments are not told: an account's password may be among them.
        self.name = f"RELAIS_MASTER_KEY_COMMAND: {shlex.split(line)[0]}"
        self._ran_at = 0.0

    def due(self, *, urgent: bool) -> bool:
        """Whether it ran a minute ago, or five seconds when `urgent`."""
        return time.monotonic() - self._ran_at >= (_URGENT_SECONDS if urgent else RUN_SECONDS)

    def read(self) -> tuple[bytes, ...]:
        """The master keys, the one that wraps first. Raises VaultError."""
        self._ran_at = time.monotonic()
        try:
            done = subprocess.run(  # noqa: S603 - the operator's own command, without a shell
                shlex.split(self._line),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                timeout=_PATIENCE_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise VaultError(f"{self.name}: no answer within {_PATIENCE_SECONDS:g} s") from None
        except (OSError, ValueError) as error:
            raise VaultError(f"{self.name}: cannot be run: {type(error).__name__}") from None
        if done.returncode:
            raise VaultError(f"{self.name}: ended with code {done.returncode}; run it by hand to see why")
        return _parsed(done.stdout.decode("ascii", errors="replace"), self.name)

    def make(self) -> None:
        """Nothing: whoever keeps the keys makes them."""


def source_of(settings: Settings) -> KeyFile | KeyCommand:
    """Where the settings say that the master keys are."""
    if settings.master_key_command:
        return KeyCommand(settings.master_key_command)
    return KeyFile(settings.master_key_file or settings.state / "master-key", ours=settings.master_key_file is None)


def _parsed(text: str, name: str) -> tuple[bytes, ...]:
    found: dict[str, bytes] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            master = base64.b64decode(line.strip(), validate=True)
        except ValueError:
            master = b""
        if len(master) != _BYTES:
            raise VaultError(f"{name}: line {number}: {_EXPECTED}")
        found[fingerprint(master)] = master
    if not found:
        raise VaultError(f"{name}: it is empty, {_EXPECTED}")
    return tuple(found.values())


def _written(master: bytes) -> str:
    return base64.b64encode(master).decode()
