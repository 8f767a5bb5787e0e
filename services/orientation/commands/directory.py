"""`relais directory …`: the service directory."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from services.chassis import commands
from services.orientation.commands.imports import (
    DATED,
    Everything,
    counted,
    day_of,
    opened,
    printable,
    tell_rows,
    today,
)
from services.orientation.directory import Busy, OlderList, snapshots

if TYPE_CHECKING:
    from services.orientation.directory.importing import Report

app = typer.Typer(help="The service directory: structures and services.", no_args_is_help=True)
Kind = Literal["structures", "services"]


@app.callback()
def directory() -> None:
    """The service directory: structures and services, as data·inclusion v1 has them."""


@app.command("import", epilog="Example: relais directory import structures.json services.json")
def import_files(  # noqa: PLR0913 - each is an option
    files: Annotated[
        list[Path],
        typer.Argument(help="data·inclusion v1: JSON, a row a line (NDJSON) or CSV.", exists=True, dir_okay=False),
    ],
    *,
    listed_on: Annotated[
        str | None, typer.Option("--of", help="Their date, AAAA-MM-JJ; by default the one in their names, else today.")
    ] = None,
    partial: Annotated[
        bool, typer.Option("--partial", help="Not all that their sources have: what they do not name stays.")
    ] = False,
    structures: Annotated[
        bool, typer.Option("--structures", help="They hold structures, whatever their fields.")
    ] = False,
    services: Annotated[bool, typer.Option("--services", help="They hold services, whatever their fields.")] = False,
    everything: Everything = False,
    as_json: commands.AsJson = False,
) -> None:
    """Take structures and services over: what is new, changed or gone of each source. The same again changes nothing.

    Rows that were refused are named with the reason, and what was known of them stays; exit 1 when there are any.
    """
    from services.orientation.directory import importing  # noqa: PLC0415 - 0.2 s that no other command needs

    if structures and services:
        raise commands.fail("--structures and --services: give one of the two", 2)
    kind: Kind | None = "structures" if structures else "services" if services else None
    day = day_of(listed_on or _date_of(files))
    with opened() as connection, _progress(files) as progress:
        try:
            report = importing.take_over(connection, files, day, kind=kind, partial=partial, progress=progress)
        except importing.NotTheDirectory as error:
            raise commands.fail(str(error), 2) from None
        except OlderList as error:
            raise commands.fail(f"--of: a snapshot of {error.newest} is here already, and {day} is older", 2) from None
        except Busy:
            raise commands.fail("another import is running; try again when it is done") from None
    if as_json:
        typer.echo(json.dumps({"listed_on": day.isoformat(), **asdict(report)}, ensure_ascii=False))
    else:
        _tell_report(report, day, everything=everything)
    if report.refused:
        raise typer.Exit(1)


@app.command("export", epilog="Example: relais directory export services.csv --kind services --format csv")
def export(
    file: Annotated[Path | None, typer.Argument(help="Where to; by default to the terminal.", dir_okay=False)] = None,
    *,
    kind: Annotated[Kind, typer.Option(help="What to write.")] = "services",
    form: Annotated[Literal["json", "csv"], typer.Option("--format", help="How.")] = "json",
) -> None:
    """Write the structures or the services that are there, as data·inclusion v1; importing them changes nothing."""
    from services.orientation.directory import data_inclusion  # noqa: PLC0415 - as above

    number = 0
    with opened() as connection:
        documents = snapshots.present(connection, kind)
        pieces = data_inclusion.as_json(documents) if form == "json" else data_inclusion.as_csv(kind, documents)
        if file is None:
            for piece in pieces:
                typer.echo(piece, nl=False)
            return
        with file.open("w", encoding="utf-8", newline="") as target:
            for number, piece in enumerate(pieces):  # noqa: B007 - the last piece is the end
                target.write(piece)
    typer.echo(f"{counted(number, kind.removesuffix('s'))} in {file}")


def _date_of(files: Sequence[Path]) -> str:
    """The date in the files' names, or today's."""
    dates = {found for file in files for found in DATED.findall(file.name)}
    if len(dates) > 1:
        raise commands.fail("--of: the files’ names have several dates; give one, AAAA-MM-JJ", 2)
    return dates.pop() if dates else today().isoformat()


@contextmanager
def _progress(files: Sequence[Path]) -> Iterator[Callable[[Path, int], None]]:
    """A bar for each file on a terminal, cleared at the end; elsewhere nothing."""
    err = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        tasks = {file: bar.add_task(escape(file.name), total=file.stat().st_size) for file in files}
        yield lambda file, read: bar.update(tasks[file], completed=read)


def _tell_report(report: "Report", day: date, *, everything: bool) -> None:
    refused = [(each.file, str(each.line), each.id or "", each.field, each.reason) for each in report.refused]
    tell_rows("refused", ("file", "line", "id", "field", "reason"), refused, everything=everything)
    for kind, sources in (("structures", report.structures), ("services", report.services)):
        for source, found in sources.items():
            typer.echo(
                f"{kind} of {printable(source)}: {found.new} new, {found.changed} changed, {found.gone} gone,"
                f" {found.unchanged} unchanged"
            )
    for name in report.empty:
        typer.echo(f"{printable(name)}: no rows, so nothing changes by this file")
    for name in report.untold:
        typer.echo(
            f"{name}: a row that was refused has no readable id, so nothing that it does not name is taken for gone"
        )
    figures = [*report.structures.values(), *report.services.values()]
    changes = sum(each.new + each.changed + each.gone for each in figures)
    typer.echo(f"directory of {day}: {changes or 'nothing'} changed; {counted(report.refused_rows, 'row')} refused")
