"""`relais run` with nothing given: one process with its own PostgreSQL and broker, started and ended as people do."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from tests.support.house import House

READY_SECONDS = 60.0


class Embedded(House):
    """A house in one process: `run` starts it, `terminate` and `kill` end it; its state folder stays."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "", {}, COLUMNS="120")
        for name in ("RELAIS_AMQP_URL", "RELAIS_AMQP_URL_INGEST", "RELAIS_AMQP_URL_PARTNERS"):
            del self.environment[name]
        self._process: subprocess.Popen[str] | None = None
        self.first_line_after = self.ready_after = 0.0
        # In seconds of a processor: how busy the machine is makes no difference.
        self.worked_until_first_line = self.worked_until_ready = 0.0

    def run(self, *options: str) -> list[str]:
        """Start it and wait until it says that it is ready; the lines it printed until then."""
        started = time.monotonic()
        with (self.folder / "relais.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "services", "run", *options],
                env=self.environment,
                stdout=subprocess.PIPE,
                stderr=log,
                stdin=subprocess.DEVNULL,
                text=True,
            )
        assert self._process.stdout is not None
        printed: list[str] = []
        for line in self._process.stdout:
            printed.append(line.rstrip("\n"))
            self.ready_after = time.monotonic() - started
            if len(printed) == 1:
                self.first_line_after = self.ready_after
                self.worked_until_first_line = _worked(self._process.pid)
            if "Ctrl-C" in line:
                self.worked_until_ready = _worked(self._process.pid)
                return printed
            assert self.ready_after < READY_SECONDS, printed
        raise AssertionError(f"ended with {self._process.wait()}:\n{self.log('relais')[-2000:]}")

    def terminate(self) -> tuple[int, float]:
        """SIGTERM; the exit code, and how long it took."""
        return self._end(signal.SIGTERM)

    def kill_at_once(self) -> None:
        """SIGKILL: no last word, and its PostgreSQL is left behind."""
        self._end(signal.SIGKILL)

    def servers(self) -> list[int]:
        """The PostgreSQL processes that work in this state folder."""
        parents: dict[int, int] = {}
        ours = set()
        for entry in Path("/proc").iterdir():
            with suppress(OSError, ValueError):
                pid = int(entry.name)
                parents[pid] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                if os.fsencode(self.folder / "postgresql" / "data") in (entry / "cmdline").read_bytes().split(b"\0"):
                    ours.add(pid)
        return [pid for pid, parent in parents.items() if pid in ours or parent in ours]

    def close(self) -> None:
        """End everything, PostgreSQL included."""
        if self._process is not None:
            self._end(signal.SIGKILL)
        for server in self.servers():
            with suppress(ProcessLookupError):
                os.kill(server, signal.SIGKILL)
        super().close()

    def _end(self, number: signal.Signals) -> tuple[int, float]:
        assert self._process is not None
        process, self._process = self._process, None
        started = time.monotonic()
        process.send_signal(number)
        code = process.wait(30)
        assert process.stdout is not None
        process.stdout.close()
        return code, time.monotonic() - started


def _worked(pid: int) -> float:
    """Seconds of a processor that a process, and the children it has waited for, have taken."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
