"""The commands that belong to no single service: token, secrets, schemas, settings, dead-letters."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Column, Table

from services.chassis import inbox, logs, runner, secrets
from services.chassis.clock import Clock
from services.chassis.database import Database
from services.chassis.settings import BadSettings, Settings, described, load_settings
from services.contracts import schemas as documents
from services.contracts.topology import SERVICES

app = typer.Typer()
dead_letters = typer.Typer(help="Parked events: what could not be handled, with reason and age.", no_args_is_help=True)
ROOT = Path(__file__).parents[2]
out = Console()
ServiceOption = Annotated[list[str] | None, typer.Option("--service", help="Only this service; may be repeated.")]
ServiceArgument = Annotated[str, typer.Argument(help=", ".join(SERVICES))]
NumbersArgument = Annotated[list[int], typer.Argument(help="As `dead-letters list` shows them.")]
AsJson = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]
_CONFIGURATION = """\
# Configuration

Environment variables, read and checked when a process starts: a bad value ends it with code 2, the variable's name
and the reason. A variable that is not in this table is ignored, so mind the spelling.

This page is written by `relais settings --markdown > docs/configuration.md`; the texts are those of
`services/chassis/settings.py`.

| variable | default | what it is |
|---|---|---|
{rows}

Besides, `relais visits send` and `relais report` take their token from `RELAIS_TOKEN` when `--token` is not given.
"""


def fail(message: str, code: int = 1) -> typer.Exit:
    """Say on standard error what is wrong; raise the result. 1: failed; 2: your input is wrong."""
    typer.echo(message, err=True)
    return typer.Exit(code)


def settings() -> Settings:
    """Settings from the environment, or exit 2 naming the variable."""
    try:
        loaded = load_settings()
    except BadSettings as error:
        raise fail(str(error), 2) from None
    logs.configure(loaded.log_level, loaded.log_format)
    return loaded


def chosen(names: list[str] | None) -> tuple[str, ...]:
    """Service names as given, or all; exit 2 on an unknown one."""
    for name in names or ():
        if name not in SERVICES:
            raise fail(f"service: {name} is none of {', '.join(SERVICES)}", 2)
    return tuple(names or SERVICES)


@app.command("secrets")
def make_secrets(
    folder: Annotated[Path, typer.Argument(help="Where to write them; what is there is left alone.")],
) -> None:
    """Make the passwords and keys of a production installation, once."""
    definitions = ROOT / "deploy" / "rabbitmq" / "definitions.json"
    if not definitions.exists():
        raise fail("run this in a checkout of Relais: deploy/rabbitmq/definitions.json is needed")
    for name in secrets.make(folder, definitions):
        typer.echo(folder / name)


@app.command()
def schemas(
    check: Annotated[bool, typer.Option("--check", help="Only compare; exit 1 when stale.")] = False,  # noqa: FBT002
) -> None:
    """Write the JSON Schemas and the AsyncAPI document into `schemas/`."""
    stale = []
    for name, document in documents.documents().items():
        path = ROOT / "schemas" / name
        text = json.dumps(document, ensure_ascii=False, indent=2) + "\n"
        if not path.exists() or path.read_text() != text:
            stale.append(name)
            if not check:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
    for name in stale:
        typer.echo(f"{'stale' if check else 'written'}: schemas/{name}")
    if check and stale:
        raise fail("run `make schemas`, and read CONTRIBUTING.md before changing a published version")


@app.command("settings")
def list_settings(
    markdown: Annotated[bool, typer.Option("--markdown", help="As docs/configuration.md.")] = False,  # noqa: FBT002
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """List the environment variables that configure Relais, with their defaults."""
    if markdown:
        typer.echo(configuration_page(), nl=False)
    elif as_json:
        typer.echo(json.dumps([dict(zip(("variable", "default", "what"), row, strict=True)) for row in described()]))
    else:
        for name, default, what in described():
            typer.echo(f"{name}={default}\n    {what}")


def configuration_page() -> str:
    """`docs/configuration.md`."""
    rows = (f"| `{name}` | {f'`{default}`' if default else ''} | {what} |" for name, default, what in described())
    return _CONFIGURATION.format(rows="\n".join(rows))


@contextmanager
def _databases(names: list[str] | None) -> Iterator[dict[str, Database]]:
    loaded = settings()
    wanted = chosen(names)
    given = [service for service in SERVICES if loaded.database_url(service)]
    if given and names is None:
        wanted = tuple(given)
    if missing := [service for service in wanted if given and service not in given]:
        raise fail(f"RELAIS_DATABASE_URL_{missing[0].upper()} is not set", 2)
    if not given and not (loaded.state / "postgresql").exists():
        raise fail(f"no RELAIS_DATABASE_URL_… is set, and {loaded.state} holds no embedded PostgreSQL", 2)
    with runner.databases(loaded, wanted) as urls:
        opened = {service: Database(url, "dead-letters") for service, url in urls.items()}
        yield opened
        for database in opened.values():
            database.close()


@dead_letters.command("list")
def list_parked(service: ServiceOption = None, as_json: AsJson = False) -> None:  # noqa: FBT002
    """List parked events, oldest first."""
    rows = []
    with _databases(service) as databases:
        for name, database in databases.items():
            with database.begin() as connection:
                rows += [{"service": name, **row} for row in inbox.each(inbox.parked(connection))]
    if as_json:
        typer.echo(json.dumps(rows))
        return
    if not rows:
        typer.echo(f"No parked event in {', '.join(databases)}.")
        return
    table = Table(
        *(Column(name, overflow="fold") for name in ("service", "number", "queue", "since", "tries", "reason"))
    )
    for row in rows:
        table.add_row(
            row["service"], str(row["number"]), row["queue"], row["failed_at"], str(row["tries"]), row["reason"]
        )
    out.print(table)


@dead_letters.command()
def show(
    service: ServiceArgument, number: Annotated[int, typer.Argument(help="As `dead-letters list` shows it.")]
) -> None:
    """Print a parked message as it arrived. It may hold coded facts about a person: do not pass it on."""
    with _databases([service]) as databases, databases[service].begin() as connection:
        rows = inbox.parked(connection, number)
    if not rows:
        raise fail(f"{service} has no parked event {number}")
    typer.echo(rows[0].body.decode(errors="backslashreplace"))


@dead_letters.command()
def replay(service: ServiceArgument, numbers: NumbersArgument) -> None:
    """Have a running service try parked events again; what was handled meanwhile has no second effect."""
    with _databases([service]) as databases, databases[service].begin() as connection:
        done = inbox.replay(connection, numbers, Clock().now())
    typer.echo(f"{done} of {len(numbers)} to be tried again")
    if done < len(numbers):
        raise typer.Exit(1)


@dead_letters.command()
def drop(service: ServiceArgument, numbers: NumbersArgument) -> None:
    """Forget parked events for good."""
    with _databases([service]) as databases, databases[service].begin() as connection:
        done = sum(inbox.forget(connection, row.number) for n in numbers for row in inbox.parked(connection, n))
    typer.echo(f"{done} of {len(numbers)} dropped")
    if done < len(numbers):
        raise typer.Exit(1)
