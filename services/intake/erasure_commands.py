"""`relais erasures …`: the journal of what was erased, and having it erased again after a restore."""

import json
from datetime import UTC, date, datetime
from typing import Annotated
from uuid import UUID, uuid4

import typer

from services.chassis import commands, erased, forgetting
from services.chassis.app import App
from services.chassis.database import Database
from services.chassis.settings import Settings
from services.contracts.intake import CaseErased
from services.intake import erasing, journal

app = typer.Typer(help="What was erased, and having it erased again after a restore.", no_args_is_help=True)
# Nothing that Relais keeps is older.
_EVER = datetime(2000, 1, 1, tzinfo=UTC)
SinceOption = Annotated[str | None, typer.Option(help="Only what was erased from that day on: 2026-11-01.")]


@app.callback()
def erasures() -> None:
    """Read the journal of what was erased, or have it erased again after a restore."""


@app.command("list")
def list_entries(since: SinceOption = None, as_json: commands.AsJson = False) -> None:  # noqa: FBT002
    """List the journal: day, digest of the case's id, reason. No line names anybody."""
    found = _entries(commands.settings(), since)
    if as_json:
        typer.echo(json.dumps([{"day": str(e.day), "digest": e.digest.hex(), "reason": e.reason} for e in found]))
        return
    for entry in found:
        typer.echo(f"{entry.day} {entry.digest.hex()} {entry.reason}")


@app.command(epilog="Example: relais erasures replay --service reporting --since 2026-11-01")
def replay(
    service: commands.ServiceOption = None,
    since: SinceOption = None,
    as_json: commands.AsJson = False,  # noqa: FBT002
) -> None:
    """After a service's database was restored: have every service forget again what that database still names.

    Reads all of the databases named, by default of every service, and has intake tell all of them anew. Intake forgets
    by itself at its start.
    """
    settings = commands.settings()
    digests = {entry.digest for entry in _entries(settings, since)}
    with commands.open_databases(None, "erasures") as databases:
        missing = [name for name in ("intake", *(service or ())) if name not in databases]
        if missing:
            raise commands.fail(f"RELAIS_DATABASE_URL_{missing[0].upper()} is not set", 2)
        wanted = commands.chosen(service) if service else tuple(databases)
        found = {name: _held(databases[name], digests) for name in wanted}
        again = sorted(set().union(*found.values()))
        intake = App("intake", settings, databases["intake"])
        erasing.catch_up(intake)
        for case in again:
            with intake.work() as work:
                secret = uuid4()
                forgetting.begin(work, case, secret, _EVER, erasing.forget_rows)
                work.emit(CaseErased(case=case, opened_at=_EVER, reason="request", secret=secret))
    told = {name: len(cases) for name, cases in found.items()}
    if as_json:
        typer.echo(json.dumps({"journal": len(digests), "found": told, "told": len(again)}))
        return
    for name, number in told.items():
        typer.echo(f"{number:>8}  erased cases that {name} still named")
    typer.echo(f"{len(again):>8}  of {len(digests)} in the journal told to all services anew")


def _held(database: Database, digests: set[bytes]) -> set[UUID]:
    with database.begin() as connection:
        return erased.held(connection, digests) if digests else set()


def _entries(settings: Settings, since: str | None) -> list[journal.Entry]:
    """The journal; exit 2 for a bad date, 1 where it cannot be read."""
    try:
        first = date.fromisoformat(since) if since else date.min
    except ValueError:
        raise commands.fail("--since: expected an ISO date, such as 2026-11-01", 2) from None
    try:
        return [entry for entry in journal.entries(settings) if entry.day >= first]
    except journal.JournalError as error:
        raise commands.fail(str(error)) from None
