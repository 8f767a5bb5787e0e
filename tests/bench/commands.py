"""The command line: progress goes to stderr, tables or JSON to stdout."""

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console

from services.chassis.database import Database
from services.contracts.topology import SERVICES
from tests.bench import alike as likeness
from tests.bench import burst, calls, growth, report
from tests.bench import sustained as streaming
from tests.bench.burst import Contestant, Figures
from tests.bench.calls import percentile
from tests.bench.ground import Ground
from tests.bench.meters import Meter
from tests.bench.peers import PEERS
from tests.bench.relais import Relais, house_on, pids
from tests.bench.report import Line, Result, progress
from tests.support.counter import Counter
from tests.support.matching import measure

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
_WIDTH = 110
CONTESTANTS: tuple[Contestant, ...] = (Relais(), *PEERS)
_LEAST_VISITS = 100

Json = Annotated[bool, typer.Option("--json", help="Every figure, as JSON.")]
Visits = Annotated[int, typer.Option(help="Visits in a burst; the slow peer gets fewer.")]
Rounds = Annotated[int, typer.Option(help="Interleaved rounds.")]
Seconds = Annotated[float, typer.Option(help="Seconds of steady load.")]
Stored = Annotated[int, typer.Option(help="Visits stored beforehand.")]
Waiting = Annotated[int, typer.Option(help="Events that wait for each service.")]
People = Annotated[int, typer.Option(help="People recorded beforehand.")]
Searches = Annotated[int, typer.Option(help="Searches of each kind.")]
Only = Annotated[str, typer.Option(help=f"Of {', '.join(one.name for one in CONTESTANTS)}; separated by commas.")]


@app.callback()
def main() -> None:
    """Measure Relais on a RabbitMQ and a PostgreSQL of its own. Quiet machines give steady figures."""


@app.command()
def way(visits: Visits = 20_000, rounds: Rounds = 5, only: Only = "", *, as_json: Json = False) -> None:
    """A visit's way, from the outbox to the partner's confirm and reporting's rows: Relais and its peers."""
    _run(lambda ground: measure_way(ground, visits, rounds, only), as_json=as_json)


@app.command()
def alike(*, as_json: Json = False) -> None:
    """Whether Relais and the peers write the same rows and send the same messages."""
    _run(measure_likeness, as_json=as_json)


@app.command()
def latency(rate: float = 20, seconds: Seconds = 60, *, as_json: Json = False) -> None:
    """From a visit's 201 to its `ReferralSent` at the partner."""
    _run(lambda ground: measure_latency(ground, rate, seconds), as_json=as_json)


@app.command()
def http(seconds: Seconds = 10, batches: int = 20, *, as_json: Json = False) -> None:
    """What intake's endpoints take, one process of it."""
    _run(lambda ground: measure_http(ground, seconds, batches), as_json=as_json)


@app.command()
def sustained(rate: float = 3000, seconds: Seconds = 60, *, as_json: Json = False) -> None:
    """Whether a steady stream is kept up with."""
    _run(lambda ground: measure_stream(ground, rate, seconds), as_json=as_json)


@app.command("growth")
def grown(
    stored: Stored = 200_000, visits: Visits = 10_000, rounds: Rounds = 3, waiting: Waiting = 100_000,
    *, as_json: Json = False,
) -> None:  # fmt: skip
    """The burst on databases that hold many visits; memory while many events wait."""
    _run(lambda ground: measure_growth(ground, stored, visits, rounds, waiting), as_json=as_json)


@app.command()
def matching(people: People = 50_000, searches: Searches = 3000, *, as_json: Json = False) -> None:
    """How well and how fast people are found again by who they are, in a made-up population."""
    _run(lambda ground: measure_matching(ground, people, searches), as_json=as_json)


@app.command("all")
def everything(visits: Visits = 20_000, rounds: Rounds = 5, seconds: Seconds = 60, stored: Stored = 200_000) -> None:
    """Everything, some 20 minutes; each of the others can also be had alone, with more to choose."""
    _run(
        measure_likeness,
        lambda ground: measure_way(ground, visits, rounds, ""),
        lambda ground: measure_latency(ground, 20, seconds),
        lambda ground: measure_http(ground, seconds / 6, 20),
        lambda ground: measure_stream(ground, 3000, seconds),
        lambda ground: measure_growth(ground, stored, visits // 2, 3, 5 * visits),
        lambda ground: measure_matching(ground, 50_000, 3000),
    )


def measure_way(ground: Ground, visits: int, rounds: int, only: str) -> Result:
    """Every contestant in every round, one after the other."""
    contestants = [one for one in CONTESTANTS if not only or one.name in only.split(",")]
    figures: list[Figures] = []
    for contestant in contestants:
        contestant.prepare(ground, visits)
    for number in range(1, rounds + 1):
        for contestant in contestants:
            found = burst.run(ground, contestant, max(_LEAST_VISITS, int(visits * contestant.share)))
            progress.print(f"round {number} of {rounds}: {found.contestant} {found.rate:,.0f} visits/s")
            figures.append(found)
    return report.of_bursts(contestants, figures, rounds)


def measure_likeness(ground: Ground) -> Result:
    """Compare what is written. Raises Wrong when a peer does something else than Relais."""
    told = likeness.compare(ground, [one for one in CONTESTANTS if one.name != "floor"])
    lines = [Line(one, rows, "rows and messages alike") for one, rows in told.items()]
    return report.of_lines("alike", "The peers write what Relais writes", lines)


def measure_latency(ground: Ground, rate: float, seconds: float) -> Result:
    """All four services at a steady rate."""
    progress.print(f"latency at {rate:g} visits/s for {seconds:g} s")
    found = calls.latencies(ground, rate, seconds)
    lines = [
        Line("p50", percentile(found, 0.50) * 1000, "ms", "≤ 50 ms"),
        Line("p99", percentile(found, 0.99) * 1000, "ms", "≤ 120 ms"),
    ]
    title = f"From HTTP 201 to ReferralSent at the partner, {rate:g} visits/s for {seconds:g} s"
    return report.of_lines("latency", title, lines, found)


def measure_http(ground: Ground, seconds: float, batches: int) -> Result:
    """Intake alone, and its batches with the others running as well."""
    progress.print("http")
    with ground.plot() as plot, house_on(ground, plot, "intake") as house:
        meter = Meter(pids(house), ground.postmaster, ground.broker)
        most = calls.throughput(house, seconds)
        intake, database = (
            meter.seconds()[group] / most / seconds * 1e6 for group in ("intake", "postgres for intake")
        )
        calm = [took for _, _, took in calls.paced(house, 50, 3 * seconds)]
        alone = calls.batches(house, batches)
    with ground.plot() as plot, house_on(ground, plot) as house:
        together = calls.batches(house, batches)
    lines = [
        Line(f"POST /v1/visits, {calls.CONNECTIONS} connections, intake alone", most, "visits/s", "≥ 300/s"),
        Line("of which CPU: intake, a visit", intake, "µs"),
        Line("of which CPU: its database, a visit", database, "µs"),
        Line("the same at 50 visits/s: p99", percentile(calm, 0.99) * 1000, "ms", "≤ 50 ms"),
        Line(f"POST /v1/visits/batch, {calls.LINES} lines, intake alone", alone, "visits/s", "≥ 3,000/s"),
        Line("the same with all four services running", together, "visits/s"),
    ]
    return report.of_lines("http", "Intake over HTTP, one process, the client on the same machine", lines, calm)


def measure_stream(ground: Ground, rate: float, seconds: float) -> Result:
    """All four services under a steady stream."""
    progress.print(f"{rate:g} visits/s for {seconds:g} s")
    stream = streaming.run(ground, rate, seconds)
    lines = [
        Line("visits", stream.visits, "", f"{rate * seconds:,.0f}"),
        Line("largest lag of reporting and intake", stream.worst(), "s"),
        Line("largest lag in the last quarter", stream.worst(since=0.75 * seconds), "s", "bounded"),
        Line("after the last visit, all was written in", stream.drained, "s"),
        *(Line(f"{name}, peak resident memory", value, "MiB") for name, value in stream.megabytes.items()),
    ]
    kept_up = "kept up with" if stream.bounded else "NOT kept up with"
    return report.of_lines("sustained", f"{rate:,.0f} visits/s for {seconds:g} s: {kept_up}", lines, stream.lags)


def measure_growth(ground: Ground, stored: int, visits: int, rounds: int, waiting: int) -> Result:
    """Bursts on full and on empty databases by turns; then services that start before many waiting events."""
    full: list[Figures] = []
    empty: list[Figures] = []
    with ground.plot() as plot:
        progress.print(f"storing {stored:,} visits")
        growth.store(ground, plot, stored)
        for number in range(1, rounds + 1):
            empty.append(burst.run(ground, Relais(), visits))
            full.append(burst.run_on(ground, plot, Relais(), visits))
            progress.print(f"round {number} of {rounds}: {full[-1].rate:,.0f} of {empty[-1].rate:,.0f} visits/s")
    progress.print(f"{waiting:,} events waiting")
    megabytes = growth.waiting(ground, waiting)
    ratio = calls.median([one.rate / other.rate for one, other in zip(full, empty, strict=True)])
    lines = [
        Line(f"visits/s with {stored:,} visits stored", calls.median([one.rate for one in full]), ""),
        Line("visits/s with none", calls.median([one.rate for one in empty]), ""),
        Line("ratio, median of the rounds'", ratio, "", "≥ 0.8"),
        Line("CPU a visit with them", calls.median([one.cost for one in full]), "µs"),
        Line("CPU a visit without", calls.median([one.cost for one in empty]), "µs"),
        *(
            Line(
                f"{name} with {waiting:,} visits' events waiting, peak resident memory", megabytes[name], "MiB", "< 200"
            )
            for name in SERVICES
        ),
    ]
    title = f"Growth: bursts of {visits:,}, {rounds} interleaved rounds"
    return report.of_lines("growth", title, lines, [asdict(one) for one in (*full, *empty)])


def measure_matching(ground: Ground, people: int, searches: int) -> Result:
    """Intake's own search on its own database, without HTTP."""
    progress.print(f"matching: recording {people:,} people")
    with ground.plot() as plot:
        database = Database(plot.databases["intake"], "bench")
        found = measure(Counter(database, ground.folder), people, searches)
        database.close()
    lines = [
        Line("cases joined without a human", found.joined, "", "0"),
        Line("back, spelt otherwise: offered", 100 * found.exact.share, "%", "≥ 98 %"),
        Line("back, with one slip of the pen: offered", 100 * found.typo.share, "%", "≥ 90 %"),
        Line("others shown, in 1,000 searches", 1000 * found.wrong, "", "< 100"),
        Line("the same, for somebody who never came", 1000 * found.new.wrong / found.new.searches, ""),
        Line("a search: p50", percentile(found.seconds, 0.50) * 1000, "ms"),
        Line("a search: p99", percentile(found.seconds, 0.99) * 1000, "ms", "≤ 100 ms"),
    ]
    title = f"People found again among {people:,}, {searches:,} searches of each kind"
    return report.of_lines("matching", title, lines, found.seconds)


def _run(*measurements: Callable[[Ground], Result], as_json: bool = False) -> None:
    """Measure on one ground; print as soon as each is there, or everything as JSON in the end."""
    console = Console(width=_WIDTH)
    results = []
    with Ground() as ground:
        machine = report.machine(ground)
        for measure in measurements:
            results.append(measure(ground))
            if not as_json:
                for table in results[-1].tables:
                    console.print(table)
        if as_json:
            figures = {one.name: one.figures for one in results}
            typer.echo(json.dumps({"machine": machine, **figures}, indent=2, ensure_ascii=False))
        else:
            console.print(machine)
