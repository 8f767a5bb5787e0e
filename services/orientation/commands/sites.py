"""`relais sites …`: the official list of France services sites."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Column, Table
from sqlalchemy import Connection

from services.chassis import commands
from services.network import communes
from services.orientation.commands.imports import DATED, Everything, counted, day_of, opened, printable, tell_rows
from services.orientation.directory import Busy, OlderList, official_list
from services.orientation.directory import sites as listed
from services.orientation.directory.official_list import DAYS, ListedSite, Reading

app = typer.Typer(help="The official list of France services sites.", no_args_is_help=True)
_DEPARTMENT = re.compile(r"2[AB]|0[1-9]|[1-9]\d|9[78]\d")
_LABELS = {"granted": "accordé", "withdrawn": "retiré"}
# How a person reads the fields of a listed site.
FIELDS = {
    "label": "label",
    "name": "nom",
    "address": "adresse",
    "complement": "complément d’adresse",
    "commune": "commune",
    "department": "département",
    "postcode": "code postal",
    "town": "localité",
    "latitude": "latitude",
    "longitude": "longitude",
    "emails": "courriel",
    "phone": "téléphone",
    "hours": "horaires",
    "by_appointment": "prise de rendez-vous",
    "comment": "commentaire",
    "branch": "antenne",
    "format": "format",
    "group": "groupe",
    "labelled_on": "labellisé le",
}


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
    day = day_of(listed_on or next(iter(DATED.findall(file.name)), None))
    reading = _read(file)
    with opened() as connection:
        try:
            taken = listed.take_over(connection, reading.sites, day, {each.site for each in reading.refused})
        except Busy:
            raise commands.fail("another import is running; run this again when it is done") from None
        except OlderList as error:
            raise commands.fail(f"--of: the list of {error.newest} is here already, and {day} is older", 2) from None
    if as_json:
        remarks = {"adapted": reading.adapted, "refused": reading.refused}
        told = {name: [asdict(each) for each in found] for name, found in remarks.items()}
        typer.echo(json.dumps({"listed_on": day.isoformat(), **asdict(taken), **told}, ensure_ascii=False))
    else:
        for what, found in (("adapted", reading.adapted), ("refused", reading.refused)):
            rows = [(str(each.line), each.site, each.field, each.reason) for each in found]
            tell_rows(what, ("line", "id_fs", "field", "reason"), rows, everything=everything)
        if not reading.sites:
            typer.echo(f"{printable(file.name)}: no rows that can be taken, so nothing changes by this file")
        typer.echo(
            f"list of {day}: {taken.new} new, {taken.changed} changed, {taken.gone} gone, {taken.unchanged} unchanged;"
            f" {counted(len({each.line for each in reading.adapted}), 'row')} adapted,"
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

    with opened() as connection:
        found = [structure(*each).model_dump(mode="json", exclude_none=True) for each in listed.labelled(connection)]
    text = json.dumps(found, ensure_ascii=False, indent=1) + "\n"
    if file is None:
        typer.echo(text, nl=False)
    else:
        file.write_text(text, encoding="utf-8")
        typer.echo(f"{counted(len(found), 'structure')} in {file}")


@app.command("list", epilog="Example: relais sites list --department 80")
def list_sites(
    *,
    department: Annotated[
        str | None, typer.Option("--department", help="Only of this département (INSEE code: 80, 2A, 974).")
    ] = None,
    commune: Annotated[
        str | None,
        typer.Option("--commune", help="Only of this commune (INSEE code); of a former one, the commune of today."),
    ] = None,
    gone: Annotated[bool, typer.Option("--gone", help="Those whose label was withdrawn, instead.")] = False,
    as_json: commands.AsJson = False,
) -> None:
    """List the sites that have the label: id, name, commune, status of the label and since when.

    Of a withdrawn label that is the date of the first list without the site. Exit 1 when no list was imported yet.
    """
    wanted = None if department is None else department.upper()
    if wanted is not None and not _DEPARTMENT.fullmatch(wanted):
        raise commands.fail("--department: a code of two or three characters is expected, such as 01, 2A or 974", 2)
    code = None if commune is None else commune.upper()
    if code is not None and (problem := communes.problem(code)):
        raise commands.fail(f"--commune: {problem}", 2)
    with opened() as connection:
        found = listed.standings(connection, gone=gone, department=wanted, commune=code)
        if not found:
            _refuse_nothing(connection)
    if as_json:
        typer.echo(json.dumps([_summary(each) for each in found], ensure_ascii=False, indent=1))
        return
    if found:
        headings = Column("id", no_wrap=True), *(Column(each, overflow="fold") for each in ("nom", "commune"))
        table = Table(*headings, *(Column(each, no_wrap=True) for each in ("label", "depuis le")))
        for each in found:
            place = _told("commune", each.site.commune)
            facts = (each.site.id, each.site.name, place, _LABELS[each.label], _french(each.since))
            table.add_row(*(escape(printable(text)) for text in facts))
        commands.out.print(table)
    typer.echo(f"{len(found) or 'aucun'} site{'s' if len(found) > 1 else ''}")


@app.command(epilog="Example: relais sites show 982")
def show(
    id_: Annotated[str, typer.Argument(metavar="ID", help="As `relais sites list` shows it (id_fs).")],
    *,
    as_json: commands.AsJson = False,
) -> None:
    """Show everything known of one site, labelled or not: its opening hours, and what each list changed.

    Exit 1 when no list ever had that id.
    """
    with opened() as connection:
        found = listed.standing(connection, id_)
        if found is None:
            _refuse_nothing(connection)
            raise commands.fail(f"no list has a site {printable(id_)}: `relais sites list` shows the ids")
        history = listed.history(connection, id_)
    if as_json:
        typer.echo(json.dumps(_document(found, history), ensure_ascii=False, indent=1, default=date.isoformat))
        return
    for line in [*_facts(found), *_history(history)]:
        typer.echo(printable(line))


def _refuse_nothing(connection: Connection) -> None:
    if listed.none_taken_over(connection):
        raise commands.fail("no list was imported yet: relais sites import FILE")


def _summary(found: listed.Standing) -> dict[str, str]:
    site = found.site
    return {
        "id": site.id,
        "name": site.name,
        "commune": site.commune,
        "commune_name": _commune_name(site),
        "department": site.department,
        "label": found.label,
        "since": found.since.isoformat(),
    }


def _document(found: listed.Standing, history: dict[date, dict[str, tuple[Any, Any]]]) -> dict[str, Any]:
    told = [
        {
            "listed_on": day,
            "changes": [{"field": name, "before": old, "after": new} for name, (old, new) in changes.items()],
        }
        for day, changes in history.items()
    ]
    own = {"listed_on": found.listed_on, "gone_on": found.gone_on, "opening_hours": found.site.opening_hours}
    return {**_summary(found), **asdict(found.site), **own, "history": told}


def _commune_name(site: ListedSite) -> str:
    """INSEE's name of the code; the list's own for a code of which INSEE has none."""
    found = communes.commune(site.commune)
    return found.name if found else site.town


def _facts(found: listed.Standing) -> Iterator[str]:
    site = found.site
    yield f"{site.name} ({site.id})"
    withdrawn = f", constaté par la liste du {_french(found.gone_on)}" if found.gone_on else ""
    yield _fact("label", _LABELS[found.label] + withdrawn)
    yield _fact("dernière liste", _french(found.listed_on))
    for field, value in asdict(site).items():
        if field == "hours":
            yield f"{FIELDS[field]} :"
            yield from (f"  {day:<9} {_ranges(ranges)}" for day, ranges in zip(DAYS, site.hours, strict=True))
        elif field not in {"id", "name"} and value not in {None, "", ()}:
            yield _fact(FIELDS[field], _told(field, value))


def _fact(name: str, value: str) -> str:
    return f"{name + ' :':<23} {value}"


def _history(history: dict[date, dict[str, tuple[Any, Any]]]) -> Iterator[str]:
    yield "historique :" if history else "historique : aucun changement d’une liste à l’autre"
    for day, changes in history.items():
        yield f"  liste du {_french(day)}"
        for field, (before, after) in changes.items():
            if field == "hours":
                for name, old, new in zip(DAYS, before, after, strict=True):
                    if old != new:
                        yield f"    {FIELDS[field]} du {name} : {_ranges(old)} → {_ranges(new)}"
            else:
                yield f"    {FIELDS[field]} : {_told(field, before)} → {_told(field, after)}"


def _told(field: str, value: Any) -> str:  # noqa: ANN401 - a field's value is of any type
    """A field's value as a person reads it."""
    if value is None or value in ("", [], ()):
        return "(vide)"
    if isinstance(value, bool):
        return "oui" if value else "non"
    if field == "label":
        return _LABELS[value]
    if field == "labelled_on":
        return _french(value)
    if field == "commune":
        found = communes.commune(value)
        return f"{found.name} ({value})" if found else str(value)
    return ", ".join(value) if isinstance(value, list | tuple) else str(value)


def _ranges(ranges: Sequence[Sequence[str]]) -> str:
    return ", ".join(f"{begin}–{end}" for begin, end in ranges) or "fermé"


def _french(day: date | str) -> str:
    return f"{date.fromisoformat(str(day)):%d/%m/%Y}"


def _read(file: Path) -> Reading:
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            return official_list.read(lines)
    except UnicodeDecodeError:
        raise commands.fail(f"{file}: not UTF-8", 2) from None
    except official_list.NotTheList as error:
        raise commands.fail(f"{file}: {error}", 2) from None
