"""`relais network …`: working on network files."""

import json
from dataclasses import asdict
from datetime import date, datetime
from pathlib import Path
from typing import Annotated

import typer

from services.contracts.paris import PARIS
from services.network import checking
from services.network.advice import ContactSheet
from services.network.loading import Flaw, NetworkError, Severity, Source, files_of, join, read

_FIRST_YEAR, _LAST_YEAR = 2000, 2200

app = typer.Typer(help="Work on network files.", no_args_is_help=True)


@app.callback()
def network() -> None:
    """Work on network files."""


Files = Annotated[list[Path], typer.Argument(help="Network files, or folders of them, read together.")]
On = Annotated[datetime | None, typer.Option("--on", formats=["%Y-%m-%d"], help="As of that day; today unless told.")]


@app.command()
def check(
    files: Files,
    *,
    on: On = None,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings count as errors.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="A list of {file, place, reason, severity} instead of lines.")
    ] = False,
) -> None:
    """Validate network files: exit 0, or exit 2 with lines `file: table.path.to.value: reason`.

    Lines that say `avertissement` deserve a look; they go to standard output and change nothing without --strict.
    """
    sources = _read(files, strict=strict, as_json=as_json)
    flaws = checking.find(sources, _day(on))
    _tell(flaws, strict=strict, as_json=as_json)
    if any(_counts(flaw, strict=strict) for flaw in flaws):
        raise typer.Exit(2)
    if not as_json:
        found = join(sources)
        if not found.lines:
            typer.echo("no routing table in these files: check them with the file that has one, such as national.toml")
        to_see = f", {len(flaws)} to look at" if flaws else ""
        typer.echo(
            f"{len(found.sites)} sites, {len(found.partners)} partners, {len(found.lines)} lines: "
            f"nothing to mend{to_see}"
        )


@app.command()
def reminders(
    files: Files,
    *,
    on: On = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="A list of {partner, name, last_verified} instead of lines.")
    ] = False,
) -> None:
    """List the contact sheets to verify again, the oldest first: partner, name, day of the last verification.

    Those never verified, or more than six months ago. Prints nothing when there is none, and ends with 0 in both cases:
    a cron job mails what is printed. Files that cannot be read end it with 2.
    """
    day = _day(on)
    stale = [sheet for sheet in join(_read(files, as_json=as_json)).contact_sheets if sheet.stale(day)]
    stale.sort(key=lambda sheet: sheet.last_verified or date.min)
    if as_json:
        typer.echo(json.dumps([_reminder(sheet) for sheet in stale], ensure_ascii=False, indent=2))
        return
    for sheet in stale:
        verified = f"vérifiée le {sheet.last_verified}" if sheet.last_verified else "jamais vérifiée"
        typer.echo(f"{sheet.partner}: {sheet.name}: {verified}")


def _reminder(sheet: ContactSheet) -> dict[str, str | None]:
    verified = sheet.last_verified.isoformat() if sheet.last_verified else None
    return {"partner": sheet.partner, "name": sheet.name, "last_verified": verified}


def _read(files: list[Path], *, as_json: bool, strict: bool = False) -> list[Source]:
    """Read the files, or tell what is wrong with them and end with 2."""
    try:
        return read([path for file in files for path in files_of(file)])
    except NetworkError as error:
        _tell(error.flaws, strict=strict, as_json=as_json)
        raise typer.Exit(2) from None


def _day(on: datetime | None) -> date:
    day = on.date() if on else datetime.now(PARIS).date()
    if not _FIRST_YEAR <= day.year <= _LAST_YEAR:
        raise typer.BadParameter(f"a day between {_FIRST_YEAR} and {_LAST_YEAR} is expected", param_hint="--on")
    return day


def _counts(flaw: Flaw, *, strict: bool) -> bool:
    return strict or flaw.severity is Severity.ERROR


def _tell(flaws: list[Flaw], *, strict: bool, as_json: bool) -> None:
    """Standard error has what makes the command fail, and nothing else."""
    if as_json:
        typer.echo(json.dumps([asdict(flaw) for flaw in flaws], ensure_ascii=False, indent=2))
        return
    for flaw in flaws:
        typer.echo(flaw, err=_counts(flaw, strict=strict))
