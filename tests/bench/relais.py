"""Relais itself: four processes, `relais run --service …`, as in production."""

import base64
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from services.contracts.topology import SERVICES
from tests.bench.ground import Ground, Plot
from tests.bench.seeds import Seed, visits
from tests.support.house import House


class Relais:
    """What is measured."""

    name = "relais"
    label = "Relais"
    share = 1.0

    def prepare(self, ground: Ground, number: int) -> None:
        """Nothing to prepare."""

    def seeds(self, number: int) -> Sequence[Seed]:
        """Fresh visits."""
        return visits(number)

    @contextmanager
    def running(self, ground: Ground, plot: Plot) -> Iterator[Mapping[str, int]]:
        """Start the four services; end them, kindly, at the end."""
        with house_on(ground, plot) as house:
            yield pids(house)


@contextmanager
def house_on(ground: Ground, plot: Plot, *services: str) -> Iterator[House]:
    """Relais's services (all by default) on a plot."""
    folder = Path(tempfile.mkdtemp(prefix="house-", dir=ground.folder))
    # One for all houses: a database is opened with the key that it was sealed with.
    key = ground.folder / "master-key"
    if not key.exists():
        key.write_text(base64.b64encode(os.urandom(32)).decode())
    house = House(folder, plot.amqp_url, plot.databases, RELAIS_MASTER_KEY_FILE=str(key))
    try:
        house.start(*services)
        yield house
    finally:
        house.close()


def pids(house: House) -> dict[str, int]:
    """Each running service's process."""
    return {name: house._processes[name].pid for name in SERVICES if house.alive(name)}  # noqa: SLF001
