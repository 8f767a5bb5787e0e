"""The commands that belong to no single service: secrets, schemas, settings, dead-letters, replay."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Column, Table
from sqlalchemy import Connection

from services.chassis import inbox, logs, replaying, runner, secrets
from services.chassis.clock import Clock
from services.chassis.database import Database
from services.chassis.settings import BadSettings, Settings, described, load_settings
from services.contracts import schemas as documents
from services.contracts.paris import PARIS
from services.contracts.topology import PASS_ON, SERVICES, queue_of, taken_from

app = typer.Typer()
dead_letters = typer.Typer(help="Parked events: what could not be handled, with reason and age.", no_args_is_help=True)
ROOT = Path(__file__).parents[2]
_AT_ONCE = 1000
out = Console()
ServiceOption = Annotated[list[str] | None, typer.Option("--service", help="Only this service; may be repeated.")]
ServiceArgument = Annotated[str, typer.Argument(help=", ".join(SERVICES))]
NumbersArgument = Annotated[list[int] | None, typer.Argument(help="As `dead-letters list` shows them.")]
AllOption = Annotated[bool, typer.Option("--all", help="All of them, or those of --queue and --reason.")]
QueueOption = Annotated[str | None, typer.Option("--queue", help="Only of this queue.")]
ReasonOption = Annotated[str | None, typer.Option("--reason", help="Only with these words in their reason.")]
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
    broker: Annotated[
        list[str] | None, typer.Option(help="A host name by which outsiders reach the broker; may be repeated.")
    ] = None,
) -> None:
    """Make the passwords, keys and the broker's certificate of a production installation, once."""
    definitions = ROOT / "deploy" / "rabbitmq" / "definitions.json"
    if not definitions.exists():
        raise fail("run this in a checkout of Relais: deploy/rabbitmq/definitions.json is needed")
    try:
        made = secrets.make(folder, definitions, broker or ())
    except FileNotFoundError as error:
        raise fail(f"{error.filename} is missing: the broker's certificate is made with it, or brought along") from None
    for name in made:
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
def open_databases(names: list[str] | None, command: str = "dead-letters") -> Iterator[dict[str, Database]]:
    """The databases of these services, or of all; exit 2 when none is configured and none embedded."""
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
        opened = {service: Database(url, command) for service, url in urls.items()}
        try:
            yield opened
        finally:
            for database in opened.values():
                database.close()


@dead_letters.command("list")
def list_parked(
    service: ServiceOption = None,
    queue: QueueOption = None,
    reason: ReasonOption = None,
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """List parked events, oldest first, with their age since they first failed."""
    rows = []
    with open_databases(service) as databases:
        for name, database in databases.items():
            with database.begin() as connection:
                rows += [{"service": name, **row} for row in inbox.parked_facts(connection, queue, reason)]
    now = Clock().now()
    for row in rows:
        row["age_seconds"] = round((now - row["failed_at"]).total_seconds())
    if as_json:
        typer.echo(json.dumps(rows, default=datetime.isoformat))
        return
    if not rows:
        typer.echo(f"No parked event in {', '.join(databases)}.")
        return
    table = Table(*(Column(name, overflow="fold") for name in ("service", "number", "queue", "age", "tries", "reason")))
    for row in rows:
        facts = (row["service"], row["number"], row["queue"], age(row["age_seconds"]), row["tries"], row["reason"])
        table.add_row(*map(str, facts))
    out.print(table)


def age(seconds: int) -> str:
    """In the largest unit of which there are two: 47 h, 3 days."""
    for unit, length in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


@dead_letters.command()
def show(
    service: ServiceArgument,
    number: Annotated[int, typer.Argument(help="As `dead-letters list` shows it.")],
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Print a parked message as it arrived. It may hold coded facts about a person: do not pass it on."""
    with open_databases([service]) as databases, databases[service].begin() as connection:
        rows = inbox.parked(connection, number)
    if not rows:
        raise fail(f"{service} has no parked event {number}")
    body = rows[0].body.decode(errors="backslashreplace")
    if as_json:
        facts = ("number", "queue", "source", "id", "tries", "reason", "failed_at", "content_type")
        told = {name: getattr(rows[0], name) for name in facts}
        typer.echo(json.dumps({**told, "body": body}, default=datetime.isoformat))
        return
    typer.echo(body)


def _numbers(
    connection: Connection, numbers: list[int] | None, *, everything: bool, queue: str | None, reason: str | None
) -> list[int]:
    """The numbers given, or those that `--all` means; exit 2 when it is not clear which."""
    if bool(numbers) == everything or ((queue or reason) and not everything):
        raise fail("give either numbers, or --all with --queue and --reason if you like", 2)
    return numbers or [row["number"] for row in inbox.parked_facts(connection, queue, reason)]


def _chunks(numbers: Sequence[int]) -> Iterator[Sequence[int]]:
    return (numbers[at : at + _AT_ONCE] for at in range(0, len(numbers), _AT_ONCE))


@dead_letters.command()
def replay(
    service: ServiceArgument,
    numbers: NumbersArgument = None,
    everything: AllOption = False,  # noqa: FBT002
    queue: QueueOption = None,
    reason: ReasonOption = None,
) -> None:
    """Have a running service try parked events again; what was handled meanwhile has no second effect."""
    with open_databases([service]) as databases, databases[service].begin() as connection:
        wanted = _numbers(connection, numbers, everything=everything, queue=queue, reason=reason)
        done = sum(inbox.replay(connection, chunk, Clock().now()) for chunk in _chunks(wanted))
    typer.echo(f"{done} of {len(wanted)} to be tried again")
    if done < len(wanted):
        raise typer.Exit(1)


@dead_letters.command()
def drop(
    service: ServiceArgument,
    numbers: NumbersArgument = None,
    everything: AllOption = False,  # noqa: FBT002
    queue: QueueOption = None,
    reason: ReasonOption = None,
) -> None:
    """Forget parked events for good."""
    with open_databases([service]) as databases, databases[service].begin() as connection:
        wanted = _numbers(connection, numbers, everything=everything, queue=queue, reason=reason)
        done = sum(inbox.drop(connection, chunk) for chunk in _chunks(wanted))
    typer.echo(f"{done} of {len(wanted)} dropped")
    if done < len(wanted):
        raise typer.Exit(1)


@app.command("replay", epilog="Example: relais replay --from intake --to reporting --since 2026-11-01")
def replay_ledger(
    publisher: Annotated[str, typer.Option("--from", help="Whose ledger; its database and the broker are needed.")],
    consumer: Annotated[str, typer.Option("--to", help="The one service to send it to, which must be running.")],
    since: Annotated[
        str | None, typer.Option(help="Only events from then on: ISO date or time, in Paris unless it says otherwise.")
    ] = None,
    kinds: Annotated[
        list[str] | None, typer.Option("--type", help="Only these events, such as VisitRecorded; may be repeated.")
    ] = None,
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Send a service's ledger again to one consumer, and to nobody else.

    What the consumer has handled and remembers has no second effect. What it has forgotten, because its database was
    emptied or set back, it handles anew; orientation and referral publish anew, too: send to intake and reporting only.
    """
    chosen([publisher, consumer])
    names = _names(publisher, consumer, kinds)
    start = _instant(since) if since else None
    loaded = settings()
    if loaded.in_memory:
        raise fail("RELAIS_AMQP_URL is not set: nobody else reaches the in-memory broker of `relais run`", 2)
    if consumer in PASS_ON:
        typer.echo(f"Mind: what {consumer} has forgotten it handles, and publishes, anew.", err=True)
    began, err = Clock().now(), Console(stderr=True)
    progress = Progress(console=err, transient=True, disable=not err.is_terminal)
    with open_databases([publisher], "replay") as databases, progress as bar:
        task = bar.add_task(f"{publisher} to {consumer}", total=None)
        try:
            sent = replaying.replay(
                databases[publisher],
                loaded.broker_url,
                replaying.Wanted(queue_of(consumer, publisher), names, start),
                lambda done, total: bar.update(task, completed=done, total=total),
            )
        except replaying.NobodyReads as error:
            raise fail(f"nobody reads {error}: start {consumer}, then run this again") from None
        except replaying.AWAY as error:
            raise fail(
                f"the broker does not take events ({type(error).__name__}); run this again when it does"
            ) from None
    facts = {"from": publisher, "to": consumer, "since": start, "total": sum(sent.events.values()), **asdict(sent)}
    facts["seconds"] = round((Clock().now() - began).total_seconds(), 1)
    if as_json:
        typer.echo(json.dumps(facts, default=datetime.isoformat))
        return
    for name, number in sent.events.items():
        typer.echo(f"{number:>10}  {name}")
    typer.echo(f"{facts['total']:>10}  events sent to {consumer} in {sent.messages} messages, {facts['seconds']} s")
    if sent.begins and not (start and start > sent.begins):
        typer.echo(f"Events written before {sent.begins.astimezone(PARIS):%d/%m/%Y %H:%M} are not kept any more.")


def _names(publisher: str, consumer: str, kinds: list[str] | None) -> list[str]:
    """Of which events; exit 2 when that consumer does not take them."""
    taken = [event.name() for event in taken_from(consumer).get(publisher, ())]
    if not taken:
        takers = ", ".join(replaying.consumers_of(publisher))
        raise fail(f"--to: {consumer} takes nothing from {publisher}; those who do: {takers}", 2)
    for kind in kinds or ():
        if kind not in taken:
            raise fail(f"--type: {consumer} takes no {kind} from {publisher}, but {', '.join(taken)}", 2)
    return [name for name in taken if not kinds or name in kinds]


def _instant(text: str) -> datetime:
    try:
        given = datetime.fromisoformat(text)
    except ValueError:
        raise fail("--since: expected an ISO date or time, such as 2026-11-01 or 2026-11-01T08:00", 2) from None
    instant = given if given.tzinfo else given.replace(tzinfo=PARIS)
    if instant > Clock().now():
        raise fail("--since: that is still to come", 2)
    return instant
