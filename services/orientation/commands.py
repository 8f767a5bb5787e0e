"""`relais sites …`: the official list of France services sites."""

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from sqlalchemy import Connection

from services.chassis import commands
from services.chassis.clock import Clock
from services.chassis.migrate import migrate
from services.orientation import directory, official_list
from services.orientation.official_list import Reading, Remark

app = typer.Typer(help="The official list of France services sites.", no_args_is_help=True)
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
    everything: Annotated[bool, typer.Option("--all", help="Name every row, not the first 20 of each kind.")] = False,  # noqa: FBT002
    as_json: commands.AsJson = False,  # noqa: FBT002
) -> None:
    """Take the list over: what is new, changed or gone since the last one. The same list again changes nothing.

    Rows that had to be adapted or refused are named with the reason; exit 1 when some were refused.
    """
    day = _day(listed_on or next(iter(_DATED.findall(file.name)), None))
    reading = _read(file)
    with _directory() as connection:
        try:
            taken = directory.take_over(connection, reading.sites, day)
        except directory.OlderList as error:
            raise commands.fail(f"--of: the list of {error.newest} is here already, and {day} is older", 2) from None
    if as_json:
        remarks = {"adapted": reading.adapted, "refused": reading.refused}
        told = {name: [asdict(each) for each in found] for name, found in remarks.items()}
        typer.echo(json.dumps({"listed_on": day.isoformat(), **asdict(taken), **told}, ensure_ascii=False))
    else:
        _tell("adapted", reading.adapted, everything=everything)
        _tell("refused", reading.refused, everything=everything)
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
    from services.orientation.data_inclusion import structure  # noqa: PLC0415 - 0.4 s that no other command needs

    with _directory() as connection:
        found = [structure(*each).model_dump(mode="json", exclude_none=True) for each in directory.labelled(connection)]
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


def _tell(what: str, remarks: Sequence[Remark], *, everything: bool) -> None:
    if not remarks:
        return
    table = Table("line", "id_fs", "field", "reason", title=f"rows {what}", title_justify="left")
    for each in remarks if everything else remarks[:_SHOWN]:
        table.add_row(str(each.line), each.site, each.field, each.reason)
    commands.out.print(table)
    if len(remarks) > _SHOWN and not everything:
        typer.echo(f"… and {len(remarks) - _SHOWN} more: --all or --json")
