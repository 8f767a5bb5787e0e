"""`relais keys …`: which master key wraps what, and changing it while everybody goes on working."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from sqlalchemy import inspect

from services.chassis import keyring, rotation
from services.chassis.commands import AsJson, ServiceOption, fail, open_databases, out, settings
from services.chassis.database import Database
from services.chassis.tables import vault_keys
from services.chassis.vault import VaultError

app = typer.Typer(help="The master keys, which wrap every case's key.", no_args_is_help=True)


@app.command(epilog="Example: relais keys status --json")
def status(service: ServiceOption = None, *, as_json: AsJson = False) -> None:
    """Say how many cases' keys hang on which master key, by a short fingerprint of it.

    Exit 1 when some hang on a master key that is not there.
    """
    with _opened(service) as databases:
        rows = [row for name, database in databases.items() for row in _hanging(name, database)]
    if as_json:
        typer.echo(json.dumps(rows))
    else:
        table = Table("service", "master key", "which", "keys")
        for row in rows:
            table.add_row(row["service"], row["master_key"] or "?", row["use"], str(row["keys"]))
        out.print(table)
    if lost := sum(row["keys"] for row in rows if row["master_key"] is None):
        raise fail(f"{lost} keys hang on a master key that is not there: bring it back, as a further line")


def _hanging(service: str, database: Database) -> list[dict[str, Any]]:
    vault = keyring.open_vault(settings(), database, service)
    found = keyring.census(database, vault)
    first, *others = vault.fingerprints
    uses: dict[str | None, str] = {first: "wraps", **dict.fromkeys(others, "opens")}
    if found[None]:
        uses[None] = "is missing"
    return [{"service": service, "master_key": key, "use": use, "keys": found[key]} for key, use in uses.items()]


@app.command(epilog="Example: relais keys rotate --drop-old")
def rotate(
    service: ServiceOption = None,
    *,
    drop_old: Annotated[
        bool,
        typer.Option(
            "--drop-old",
            help="At the end take the old keys out of the file: backups made before cannot be read without them.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make a new master key, first in the file, and have it wrap every key; services read and write all the while.

    Where the file holds several keys already, none is made: the first one wraps every key. So it goes on where it was
    stopped, and only wraps anew where somebody else keeps the keys. With --service it only wraps, in that database.
    """
    if service and drop_old:
        raise fail("--drop-old: every database must be seen first, so not together with --service", 2)
    began, err = time.monotonic(), Console(stderr=True)
    with _opened(service) as databases, Progress(console=err, transient=True, disable=not err.is_terminal) as bar:
        steps: dict[str, Any] = {}

        def told(step: str, done: float, total: float) -> None:
            if step not in steps:
                steps[step] = bar.add_task(step, total=total)
            bar.update(steps[step], completed=done, total=total)

        try:
            done = rotation.rotate(settings(), databases, told, only_wrap=service is not None, drop=drop_old)
        except rotation.CannotRotate as error:
            raise fail(str(error), 2) from None
        except keyring.Busy as error:
            raise fail(str(error)) from None
    _report(done, round(time.monotonic() - began, 1), as_json=as_json)


def _report(done: rotation.Rotation, seconds: float, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(asdict(done) | {"seconds": seconds}))
    else:
        for name, number in done.anew.items():
            typer.echo(f"{number:>10}  keys of {name} wrapped anew by {done.key}")
        for key in done.old:
            fate = "is taken out of the file" if done.dropped else "is still in the file: --drop-old takes it out"
            typer.echo(f"{key} {fate}")
    for name, number in done.unknown.items():
        if number:
            typer.echo(f"{name}: {number} keys hang on a master key that is not there", err=True)
    if any(done.unknown.values()):
        raise typer.Exit(1)


@contextmanager
def _opened(names: list[str] | None) -> Iterator[dict[str, Database]]:
    """The databases that keep keys; exit 2 without the master keys that they were sealed with."""
    for name in names or ():
        if name not in keyring.KEEPERS:
            raise fail(f"--service: {name} keeps nothing sealed; these do: {', '.join(keyring.KEEPERS)}", 2)
    with open_databases(names or list(keyring.KEEPERS), "keys") as databases:
        for name, database in databases.items():
            if not inspect(database.engine).has_table(vault_keys.name):
                raise fail(f"{name}'s database has no keys yet: start {name} first")
        try:
            yield databases
        except VaultError as error:
            raise fail(str(error), 2) from None
