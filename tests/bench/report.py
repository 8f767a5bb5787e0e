"""The tables, and what they were measured on."""

import os
import platform
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.bench.burst import Contestant, Figures
from tests.bench.ground import POSTGRES, Ground

progress = Console(stderr=True)
# What the project wants of Relais against each contestant, by the median of the rounds' ratios.
WANTED_RATIO = {"faststream": 20.0, "asyncio": 0.9, "threads": 0.9, "floor": 0.5}


@dataclass(frozen=True)
class Result:
    """One measurement: its tables, and every figure behind them."""

    name: str
    tables: Sequence[Table]
    figures: Any


@dataclass(frozen=True)
class Line:
    """One figure with what is wanted of it."""

    what: str
    value: float
    unit: str
    wanted: str = ""


def machine(ground: Ground) -> str:
    """The machine, the versions, the day."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    broker = ground.rabbit.api("GET", "/overview")["rabbitmq_version"]
    settings = ", ".join(f"{name} {value}" for name, value in POSTGRES.items())
    return (
        f"{os.cpu_count()} cores ({model}), {memory:.0f} GiB, Python {platform.python_version()}, PostgreSQL"
        f" {ground.version()} ({settings}; fsync on), RabbitMQ {broker}, all on this"
        f" machine; {datetime.now(UTC):%Y-%m-%d}"
    )


def of_lines(name: str, title: str, lines: Sequence[Line], figures: object = None) -> Result:
    """A table of single figures."""
    table = Table("", "measured", "wanted", title=title, title_justify="left")
    for line in lines:
        table.add_row(line.what, f"{_number(line.value)} {line.unit}".strip(), line.wanted)
    return Result(name, [table], {"lines": [asdict(line) for line in lines], "figures": figures})


def of_bursts(contestants: Sequence[Contestant], figures: Sequence[Figures], rounds: int) -> Result:
    """Rates, Relais's ratio to each, and what a visit costs each process."""
    by_name = {one.name: [found for found in figures if found.contestant == one.name] for one in contestants}
    speed = Table("", "visits", "visits/s", "of", "Relais is", "wanted", "CPU, µs a visit", title_justify="left")
    speed.title = f"A visit's way, medians of {rounds} interleaved rounds"
    for one in contestants:
        mine = by_name[one.name]
        rates = [found.rate for found in mine]
        ratio = _ratio(by_name.get("relais", []), mine) if one.name != "relais" else None
        wanted = WANTED_RATIO.get(one.name)
        speed.add_row(
            one.label,
            f"{mine[0].visits:,}",
            f"{statistics.median(rates):,.0f}",
            f"{min(rates):,.0f} to {max(rates):,.0f}",
            "" if ratio is None else f"{ratio:.2f} times",
            "about 4,000/s" if ratio is None else "" if wanted is None else f"≥ {wanted:g} times",
            f"{statistics.median(found.cost for found in mine):,.0f}",
        )
    return Result(
        "way",
        [speed, _costs(contestants, by_name)],
        [asdict(found) | {"rate": found.rate} for found in figures],
    )


def _costs(contestants: Sequence[Contestant], by_name: Mapping[str, Sequence[Figures]]) -> Table:
    table = Table("", *(one.name for one in contestants), title_justify="left")
    table.title = "Where it goes: CPU in µs a visit; then peak resident memory in MiB"

    def add(label: str, value: Callable[[Figures], float]) -> None:
        table.add_row(label, *(_number(statistics.median(map(value, by_name[one.name]))) for one in contestants))

    some = next(iter(by_name.values()))[0]
    for group in sorted({group for found in by_name.values() for group in found[0].cpu}):
        add(group, lambda found, group=group: found.micros(group))  # type: ignore[misc]
    table.add_section()
    for service in some.megabytes:
        add(f"{service}, MiB", lambda found, service=service: found.megabytes[service])  # type: ignore[misc]
    return table


def _ratio(ours: Sequence[Figures], theirs: Sequence[Figures]) -> float | None:
    """The median of the rounds' ratios."""
    pairs = [one.rate / other.rate for one, other in zip(ours, theirs, strict=False)]
    return statistics.median(pairs) if pairs else None


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.1f}" if abs(value) >= 10 else f"{value:.2f}"
