"""What a run costs: processor time and resident memory of each process, from Linux's /proc."""

import os
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PROC = Path("/proc")
HARNESS = "harness"


def child(program: str) -> int:
    """Our child process that runs a program."""
    for entry in _PROC.glob("[0-9]*"):
        with suppress(OSError):
            name, _, fields = (entry / "stat").read_text().partition("(")[2].rpartition(")")
            if name == program and int(fields.split()[1]) == os.getpid():
                return int(entry.name)
    raise LookupError(program)


def peak_megabytes(pid: int) -> float:
    """The most resident memory a living process ever had, in MiB."""
    for line in (_PROC / str(pid) / "status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0


class Meter:
    """Processor seconds (user and system) since `start`, by group.

    Each process given by name is a group; so is the broker; PostgreSQL's backends are grouped by the database they
    serve, its other processes are `postgres, others`.
    """

    def __init__(self, processes: Mapping[str, int], postmaster: int, broker: int) -> None:
        self._named = {**{pid: name for name, pid in processes.items()}, broker: "rabbitmq", os.getpid(): HARNESS}
        self._postmaster = postmaster
        self._first = self._read()

    def start(self) -> None:
        """Count from now."""
        self._first = self._read()

    def seconds(self) -> dict[str, float]:
        """Processor seconds since the start, by group."""
        total: Counter[str] = Counter()
        for key, (group, ticks) in self._read().items():
            total[group] += ticks - self._first.get(key, (group, 0))[1]
        return {group: ticks / _TICKS for group, ticks in sorted(total.items())}

    def _read(self) -> dict[tuple[int, str], tuple[str, int]]:
        """(process, start time) -> its group and ticks; ended backends are the postmaster's."""
        found: dict[tuple[int, str], tuple[str, int]] = {}
        for entry in _PROC.iterdir():
            if not entry.name.isdigit():
                continue
            with suppress(OSError):
                pid = int(entry.name)
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                parent, user, system, begun = int(fields[1]), int(fields[11]), int(fields[12]), fields[19]
                if pid in self._named:
                    found[pid, begun] = self._named[pid], user + system
                elif pid == self._postmaster:
                    found[pid, begun] = "postgres, others", user + system + int(fields[13]) + int(fields[14])
                elif parent == self._postmaster:
                    found[pid, begun] = _group(entry), user + system
        return found


def _group(entry: Path) -> str:
    """`postgres for intake` out of `postgres: intake_3 intake_3 [local] idle`."""
    words = (entry / "cmdline").read_bytes().split(b"\0")[0].decode().split()
    if len(words) > 2 and words[1] == words[2]:
        return f"postgres for {words[1].rpartition('_')[0]}"
    return "postgres, others"
