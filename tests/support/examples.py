"""The guides' programs (`docs/examples`), run as they stand, each in a folder of its own, by environment variables."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.support import node

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


class Example:
    """One program in its folder: what it keeps there outlives it, as does all it printed."""

    def __init__(self, name: str, folder: Path, **variables: str) -> None:
        script = EXAMPLES / name
        commands = {
            ".py": lambda: [sys.executable, "-W", "ignore", str(script)],
            ".mjs": lambda: node.copied(script, folder),
            ".sh": lambda: ["/bin/sh", str(script)],
        }
        folder.mkdir(exist_ok=True)
        self._command = commands[script.suffix]()
        self._folder, self._out = folder, folder / "printed"
        self._out.touch()
        # Nothing of this test's own process, but where programs are.
        self._environment = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"} | variables

    @property
    def printed(self) -> list[str]:
        """The lines so far, of all runs."""
        return self._out.read_text().splitlines()

    def says(self, *words: str) -> list[str]:
        """The lines with all of these words."""
        return [line for line in self.printed if all(word in line for word in words)]

    @contextmanager
    def running(self, *arguments: str, **changes: str) -> Iterator["subprocess.Popen[bytes]"]:
        """Run it until the end of the block, then kill it: it says no last word."""
        with self._out.open("ab") as output:
            program = subprocess.Popen(
                [*self._command, *arguments],
                cwd=self._folder,
                env=self._environment | changes,
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        try:
            yield program
        finally:
            with suppress(ProcessLookupError):
                os.killpg(program.pid, signal.SIGKILL)
            program.wait()

    def run(self, *arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
        """Run it to its own end, within half a minute."""
        return subprocess.run(
            [*self._command, *arguments],
            cwd=self._folder,
            env=self._environment | changes,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
