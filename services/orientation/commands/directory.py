"""`relais sites …`: the official list of France services sites. `relais directory …`: the service directory."""

import json
import re
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
from rich.table import Table
from sqlalchemy import Connection

from services.chassis import commands
from services.chassis.clock import Clock
from services.chassis.migrate import migrate
from services.orientation.directory import Busy, OlderList, official_list, snapshots
from services.orientation.directory import sites as listed
from services.orientation.directory.official_list import Reading

if TYPE_CHECKING:
    from services.orientation.directory.importing import Report

app = typer.Typer(help="The official list of France services sites.", no_args_is_help=True)
directory_app = typer.Typer(help="The service directory: structures and services.", no_args_is_help=True)
Kind = Literal["structures", "services"]
Everything = Annotated[bool, typer.Option("--all", help="Name every row, not the first 20 of each kind.")]
_DATED = re.compile(r"\d{4}-\d{2}-\d{2}")
_SHOWN = 20


@app.callback()
def sites() -> None:
    """The official list of France services sites."""


@app.command("import", epilog="Example: relais sites import france-services-sites-2024-08-01.csv")
def import_list(
    file: Annotated[Path, typer.Argument(help="The list as the ANCT publishes it (CSV).", exists=True, dir_okay=False)],
    listed_on: Annotated[
        str | None, typer.Option("--of", help="Its date, AAAA-MM-JJ; by default the one in the file’s name.")
    ] = None,
    everything: Everything = False,  # noqa: FBT002
    as_json: commands.AsJson = False,  # noqa: FBT002
) -> None:
    """Take the list over: what is new, changed or gone since the last one. The same list again changes nothing.

    Rows that had to be adapted or refused are named with the reason; exit 1 when some were refused.
    """
    day = _day(listed_on or next(iter(_DATED.findall(file.name)), None))
    reading = _read(file)
    with _directory() as connection:
        try:
            taken = listed.take_over(connection, reading.sites, day)
        except OlderList as error:
            raise commands.fail(f"--of: the list of {error.newest} is here already, and {day} is older", 2) from None
    if as_json:
        remarks = {"adapted": reading.adapted, "refused": reading.refused}
        told = {name: [asdict(each) for each in found] for name, found in remarks.items()}
        typer.echo(json.dumps({"listed_on": day.isoformat(), **asdict(taken), **told}, ensure_ascii=False))
    else:
        for what, found in (("adapted", reading.adapted), ("refused", reading.refused)):
            rows = [(str(each.line), each.site, each.field, each.reason) for each in found]
            _tell(what, ("line", "id_fs", "field", "reason"), rows, everything=everything)
        typer.echo(
            f"list of {day}: {taken.new} new, {taken.changed} changed, {taken.gone} gone, {taken.unchanged} unchanged;"
            f" {len({each.line for each in reading.adapted})} rows adapted,"
            f" {len({each.line for each in reading.refused})} refused"
        )
    if reading.refused:
        raise typer.Exit(1)


@app.command()
def export(
    file: Annotated[Path | None, typer.Argument(help="Where to; by default to the terminal.", dir_okay=False)] = None,
) -> None:
    """Write the labelled sites as data·inclusion v1 structures (JSON)."""
    from services.orientation.directory.data_inclusion import structure  # noqa: PLC0415 - 0.4 s that only this one needs

    with _directory() as connection:
        found = [structure(*each).model_dump(mode="json", exclude_none=True) for each in listed.labelled(connection)]
    text = json.dumps(found, ensure_ascii=False, indent=1) + "\n"
    if file is None:
        typer.echo(text, nl=False)
    else:
        file.write_text(text, encoding="utf-8")
        typer.echo(f"{len(found)} structures in {file}")


@contextmanager
def _directory() -> Iterator[Connection]:
    with commands.open_databases(["orientation"], "sites") as databases:
        migrate(databases["orientation"], "orientation")
        with databases["orientation"].begin() as connection:
            yield connection


def _day(text: str | None) -> date:
    if text is None:
        raise commands.fail("--of: the file’s name has no date; give the list’s, AAAA-MM-JJ", 2)
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise commands.fail(f"--of: {text} is no date AAAA-MM-JJ", 2) from None
    if day > Clock().now().date():
        raise commands.fail(f"--of: {day} is still to come", 2)
    return day


def _read(file: Path) -> Reading:
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            return official_list.read(lines)
    except UnicodeDecodeError:
        raise commands.fail(f"{file}: not UTF-8", 2) from None
    except official_list.NotTheList as error:
        raise commands.fail(f"{file}: {error}", 2) from None


def _tell(what: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, everything: bool) -> None:
    if not rows:
        return
    table = Table(*columns, title=f"rows {what}", title_justify="left")
    for each in rows if everything else rows[:_SHOWN]:
        table.add_row(*(escape(_printable(text)) for text in each))
    commands.out.print(table)
    if len(rows) > _SHOWN and not everything:
        typer.echo(f"… and {len(rows) - _SHOWN} more: --all or --json")


def _printable(text: str) -> str:
    """What a stranger wrote moves no cursor and rings no bell."""
    return "".join(each if each.isprintable() else "\ufffd" for each in text)


@directory_app.callback()
def directory_commands() -> None:
    """The service directory: structures and services, as data·inclusion v1 has them."""


@directory_app.command("import", epilog="Example: relais directory import structures.json services.json")
def import_directory(  # noqa: PLR0913 - each is an option
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
    day = _day(listed_on or _date_of(files))
    with _directory() as connection, _progress(files) as progress:
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


@directory_app.command("export", epilog="Example: relais directory export services.csv --kind services --format csv")
def export_directory(
    file: Annotated[Path | None, typer.Argument(help="Where to; by default to the terminal.", dir_okay=False)] = None,
    *,
    kind: Annotated[Kind, typer.Option(help="What to write.")] = "services",
    form: Annotated[Literal["json", "csv"], typer.Option("--format", help="How.")] = "json",
) -> None:
    """Write the structures or the services that are there, as data·inclusion v1; importing them changes nothing."""
    from services.orientation.directory import data_inclusion  # noqa: PLC0415 - as above

    number = 0
    with _directory() as connection:
        documents = snapshots.present(connection, kind)
        pieces = data_inclusion.as_json(documents) if form == "json" else data_inclusion.as_csv(kind, documents)
        if file is None:
            for piece in pieces:
                typer.echo(piece, nl=False)
            return
        with file.open("w", encoding="utf-8", newline="") as target:
            for number, piece in enumerate(pieces):  # noqa: B007 - the last piece is the end
                target.write(piece)
    typer.echo(f"{number} {kind} in {file}")


def _date_of(files: Sequence[Path]) -> str:
    """The date in the files' names, or today's."""
    dates = {found for file in files for found in _DATED.findall(file.name)}
    if len(dates) > 1:
        raise commands.fail("--of: the files’ names have several dates; give one, AAAA-MM-JJ", 2)
    return dates.pop() if dates else Clock().now().date().isoformat()


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
    _tell("refused", ("file", "line", "id", "field", "reason"), refused, everything=everything)
    for kind, sources in (("structures", report.structures), ("services", report.services)):
        for source, found in sources.items():
            typer.echo(
                f"{kind} of {_printable(source)}: {found.new} new, {found.changed} changed, {found.gone} gone,"
                f" {found.unchanged} unchanged"
            )
    for name in report.untold:
        typer.echo(
            f"{name}: a row that was refused has no readable id, so nothing that it does not name is taken for gone"
        )
    figures = [*report.structures.values(), *report.services.values()]
    changes = sum(each.new + each.changed + each.gone for each in figures)
    typer.echo(f"directory of {day}: {changes or 'nothing'} changed; {report.refused_rows} rows refused")
