"""`relais network explain VISIT.json`: which lines of the table matched, and why the others did not."""

from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError
from rich.markup import escape
from rich.table import Table

from services.chassis import commands, problems
from services.chassis.errors import Rejected
from services.chassis.migrate import migrate
from services.chassis.settings import Settings
from services.network import NetworkError, load_files
from services.network.loading import files_of
from services.orientation import explaining
from services.orientation.forms import ExplainedNeed, ExplainForm, Explanation
from services.orientation.rules import Rules

_WHY = {
    "asked": "demandées",
    "recorded": "celles par lesquelles cette visite a été orientée",
    "in-use": "celles en vigueur au moment de la visite",
    "oldest": "les plus anciennes conservées, la visite leur est antérieure",
    "later": "celles d’aujourd’hui, le site n’était pas dans celles de ce jour-là",
    "files": "celles des fichiers",
}


def explain(
    file: Annotated[
        Path,
        typer.Argument(help="A visit as for POST /v1/visits (JSON); what is personal in it is not read.", exists=True),
    ],
    *,
    files: Annotated[
        list[Path] | None,
        typer.Option("--files", help="By the rules of these network files, or folders; may be repeated."),
    ] = None,
    version: Annotated[
        str | None, typer.Option("--rules-version", help="By these rules, as a proposal names them.")
    ] = None,
    as_json: commands.AsJson = False,
) -> None:
    """Explain which lines of the routing table match a visit, and why the others do not.

    By the rules that the visit was oriented by, or those of its day, which orientation's database remembers; where
    there is no database yet, by the network files of RELAIS_NETWORK.
    """
    if files and version:
        raise commands.fail("--files and --rules-version: give one of the two", 2)
    form = _read(file)
    settings = commands.settings()
    if version:
        form = form.model_copy(update={"rules_version": version})
    try:
        if files or not (version or _has_database(settings)):
            found = explaining.explained(form, _rules(files or [settings.network]), "files")
        else:
            with commands.open_databases(["orientation"], "explain") as databases:
                migrate(databases["orientation"], "orientation")
                with databases["orientation"].begin() as connection:
                    found = explaining.explain(form, connection, settings)
    except Rejected as error:
        raise commands.fail(_problems(file, error), 2) from None
    if as_json:
        typer.echo(found.model_dump_json(indent=2))
    else:
        _tell(found)


def _has_database(settings: Settings) -> bool:
    return bool(settings.database_url("orientation")) or (settings.state / "postgresql").exists()


def _read(file: Path) -> ExplainForm:
    try:
        return ExplainForm.model_validate_json(file.read_bytes())
    except OSError as error:
        raise commands.fail(f"{file}: {error.strerror}", 2) from None
    except ValidationError as error:
        raise commands.fail(_problems(file, problems.invalid(error)), 2) from None


def _problems(file: Path, error: Rejected) -> str:
    return (
        "\n".join(f"{file}: {each['pointer']}: {each['detail']}" for each in error.errors) or f"{file}: {error.detail}"
    )


def _rules(files: list[Path]) -> Rules:
    try:
        return Rules(load_files([path for file in files for path in files_of(file)]))
    except NetworkError as error:
        raise commands.fail("\n".join(error.problems), 2) from None


def _tell(found: Explanation) -> None:
    charter = f"convention « {found.charter} »" if found.charter else "sans convention SPIE"
    typer.echo(f"Règles {found.rules_version} : {_WHY[found.why_these_rules]}.")
    home = f"{found.residence.name} ({found.residence.code}, département {found.residence.department})"
    typer.echo(f"Visite du {found.day:%d/%m/%Y}, {charter} ; résidence : {home}.")
    for need in found.needs:
        _tell_need(need)


def _tell_need(need: ExplainedNeed) -> None:
    typer.echo(f"\n{need.label}")
    if need.closed:
        typer.echo(f"  {need.closed}")
        return
    table = Table("", "ligne", "pourquoi", box=None, pad_edge=True)
    above = True
    for line in need.lines:
        if line.applies:
            table.add_row("→", escape(line.id), escape(f"S’applique. {line.reason} (source : {line.source})"))
            above = False
        elif line.unmet:
            table.add_row(" ", escape(line.id), escape(" ".join(line.unmet)))
        else:
            assert not above
            table.add_row(" ", escape(line.id), "Conviendrait aussi, mais une ligne au-dessus s’applique.")
    commands.out.print(table)
    for number, attempts in enumerate(need.recipients, 1):
        several = f"Orientation {number}, " if len(need.recipients) > 1 else ""
        for place, each in enumerate(attempts):
            rank = "à défaut" if place else "d’abord"
            typer.echo(f"  {several}{rank} {each.kind} : {each.name or 'personne'}. {each.note}")
    if need.choice:
        typer.echo(f"  {need.choice}")
    for proposal in need.proposals:
        whom = " > ".join(each.partner for each in proposal.recipients) or "au guichet"
        typer.echo(f"  Proposé : {whom}. {proposal.reason}")
