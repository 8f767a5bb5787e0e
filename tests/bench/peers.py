"""The peers as contestants: each service a process of its own, as Relais's."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from uuid import UUID

from services.contracts.topology import SERVICES
from tests.bench import burst, floor
from tests.bench.burst import Wrong
from tests.bench.ground import Ground, Plot
from tests.bench.relais import Relais
from tests.bench.seeds import Seed, visits

_STOP_SECONDS = 10


@dataclass
class Peer:
    """Four processes `python -m tests.bench.<module> SERVICE`, which say `ready`. `share`: of a burst's visits."""

    name: str
    label: str
    module: str
    share: float = 1.0
    environment: dict[str, str] = field(default_factory=dict)

    def prepare(self, ground: Ground, number: int) -> None:
        """Called once, before the rounds."""

    def seeds(self, number: int) -> Sequence[Seed]:
        """Fresh visits."""
        return visits(number)

    @contextmanager
    def running(self, ground: Ground, plot: Plot) -> Iterator[Mapping[str, int]]:
        """Start the four; end them at the end."""
        processes: dict[str, subprocess.Popen[str]] = {}
        log_file = ground.folder / f"{self.name}.log"
        with log_file.open("a") as log:
            try:
                for service in SERVICES:
                    own = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
                    own |= {"PEER_DATABASE": plot.dsn(service), "PEER_AMQP": plot.amqp_url}
                    processes[service] = subprocess.Popen(  # noqa: S603 - our own module
                        [sys.executable, "-m", f"tests.bench.{self.module}", service],
                        env=own | self.environment,
                        stdout=subprocess.PIPE,
                        stderr=log,
                        stdin=subprocess.DEVNULL,
                        text=True,
                    )
                for service, process in processes.items():
                    assert process.stdout is not None
                    if process.stdout.readline() != "ready\n":
                        raise Wrong(f"{self.name}: {service} does not start\n{log_file.read_text()[-3000:]}")
                yield {service: process.pid for service, process in processes.items()}
                dead = [service for service, process in processes.items() if process.poll() is not None]
                if dead:
                    raise Wrong(f"{self.name}: {', '.join(dead)} died\n{log_file.read_text()[-3000:]}")
            finally:
                for process in processes.values():
                    process.terminate()
                for process in processes.values():
                    process.wait(_STOP_SECONDS)
                    assert process.stdout is not None
                    process.stdout.close()


class Floor(Peer):
    """Writes again what a run of Relais with as many visits wrote; that run is recorded first, and not measured."""

    def prepare(self, ground: Ground, number: int) -> None:
        """Record."""
        folder = ground.folder / "recorded"
        folder.mkdir()
        self.environment = {"FLOOR_RECORD": str(folder)}
        burst.run(ground, Relais(), number, lambda plot: floor.record(plot, folder))

    def seeds(self, number: int) -> Sequence[Seed]:
        """The recorded visits."""
        lines = (Path(self.environment["FLOOR_RECORD"]) / "intake.outbox").read_text().splitlines()
        assert len(lines) == number
        bodies = [line.split("\t")[3].replace("\\\\", "\\") for line in lines]
        return [_seed(body) for body in bodies]


def _seed(body: str) -> Seed:
    event = json.loads(body)
    return Seed(UUID(event["data"]["case"]), datetime.fromisoformat(event["time"]), body)


_DUTIES = {"PEER_DUTIES": "yes"}
PEERS: tuple[Peer, ...] = (
    Peer("faststream", "FastStream, asyncpg: one event a transaction", "faststream_peer", share=0.075),
    Peer("asyncio", "asyncio, aiormq, asyncpg", "asyncio_peer"),
    Peer("asyncio-duties", "asyncio, checking as much as Relais", "asyncio_peer", environment=_DUTIES),
    Peer("threads", "threads, py-amqp, psycopg", "threads_peer"),
    Peer("threads-duties", "threads, checking as much as Relais", "threads_peer", environment=_DUTIES),
    Floor("floor", "floor: the same bytes, no logic", "floor"),
)
