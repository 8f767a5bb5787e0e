"""`relais partners …`: sites' and partners' accounts at the broker, through RabbitMQ's management API."""

import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from tempfile import TemporaryFile
from typing import Annotated, NoReturn
from urllib.parse import quote, unquote, urlsplit

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from services.chassis import commands, management
from services.chassis.management import Management, ManagementError
from services.chassis.settings import Settings
from services.network import accounts, provisioning
from services.network.accounts import Account, BadName, Vhosts
from services.network.loading import NetworkError, load
from services.network.provisioning import Credentials, Plan

_CLOSED_WITHIN = 5.0
_POLL_SECONDS = 0.2
# Wider than any address: a password is copied whole or not at all.
_WIDTH = 400
# In the order of Vhosts.
_VARIABLES = ("RELAIS_AMQP_URL", "RELAIS_AMQP_URL_INGEST", "RELAIS_AMQP_URL_PARTNERS")

app = typer.Typer(help="Accounts of sites and partners at the broker.", no_args_is_help=True)
Ids = Annotated[list[str], typer.Argument(help="Ids of sites or partners, as in the network files.")]
Out = Annotated[
    Path | None, typer.Option("--out", help="Write each account's credentials into a file there, and print none.")
]


@app.callback()
def partners() -> None:
    """Accounts of sites and partners at the broker."""


@dataclass(frozen=True)
class _Broker:
    """The broker of the settings: its API, what its vhosts are called, and where outsiders reach it."""

    api: Management
    vhosts: Vhosts
    address: str

    def facts(self, made: Credentials) -> dict[str, str]:
        """What an outsider needs, by name."""
        account = made.account
        scheme, _, host = self.address.partition("://")
        vhost = quote(account.vhost, safe="")
        return {
            "id": account.id,
            "kind": account.kind,
            "user": account.user,
            "password": made.password,
            "vhost": account.vhost,
            "queue": account.queue,
            "exchange": account.exchange,
            "url": f"{scheme}://{account.user}@{host}/{vhost}",
            "url_with_password": f"{scheme}://{account.user}:{made.password}@{host}/{vhost}",
        }


@app.command(epilog="Example: relais partners provision --out credentials")
def provision(
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would change, and change nothing.")] = False,
    out: Out = None,
    as_json: Annotated[bool, typer.Option("--json", help="A list of credentials, or of changes.")] = False,
) -> None:
    """Make vhosts, accounts, rights, queues and limits of the network files' sites and partners, where they are not.

    A new account's password is shown this once. Existing passwords stay as they are. An account whose site or partner
    is no longer in the network files stays, too, and is named on standard error; the command ends with 0 all the same.
    A queue that exists with other arguments is named and left alone, and the command ends with 1; so it does when
    another run made an account at the same time, whose password is that run's.
    """
    settings = commands.settings()
    _prepare(out)
    with _broker(settings) as broker:
        _apart(broker.vhosts)
        wanted = _wanted(settings, broker.vhosts)
        planned = provisioning.plan(broker.api.definitions(), wanted, broker.vhosts)
        if dry_run:
            _tell_changes(planned, as_json=as_json)
        else:
            _apply(broker, planned, len(wanted), out, as_json=as_json)
    for stranger in planned.strangers:
        _note(f"no site or partner of the network files uses it (any more), left alone: {stranger}; see `revoke`")
    for clash in planned.clashes:
        _note(f"exists with other arguments, left alone: {clash}; delete it when it is empty, and run this again")
    for user in planned.overtaken:
        _note(f"another run made it meanwhile, with a password of its own: {user}; if nobody has that, `rotate` it")
    if planned.clashes or planned.overtaken:
        raise typer.Exit(1)


@app.command(epilog="Example: relais partners rotate mission-locale-santerre")
def rotate(
    ids: Ids,
    *,
    out: Out = None,
    as_json: Annotated[bool, typer.Option("--json", help="A list of credentials.")] = False,
) -> None:
    """Give accounts a new password, shown this once, and close the connections that were opened with the old one."""
    _prepare(out)
    with _broker(commands.settings()) as broker:
        made: list[dict[str, str]] = []
        try:
            for account in _existing(broker, ids):
                made.append(broker.facts(provisioning.rotate(broker.api, account)))
                if out:
                    _write(out, made[-1])
                _close(broker.api, account, "the password was changed")
        finally:
            if made and not out:
                _show(made, as_json=as_json)
        if out:
            _note(f"{len(made)} new passwords, in {out}")


@app.command(epilog="Example: relais partners revoke mission-locale-santerre --purge-queue")
def revoke(
    ids: Ids,
    *,
    purge_queue: Annotated[bool, typer.Option("--purge-queue", help="Delete its queue, with what it holds.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="A list of {account, queue, queue_deleted}.")] = False,
) -> None:
    """Delete accounts and close their connections: nothing is delivered to them any more.

    Their queues stay, and fill, unless told otherwise. As long as the site or partner is in the network files, the next
    `relais partners provision` makes a new account for it, with another password: take it out of there as well.
    """
    settings = commands.settings()
    with _broker(settings) as broker:
        done: list[dict[str, str | bool]] = []
        found = _existing(broker, ids)
        for account in found:
            # The queue first: an administrator who may not delete it is refused before anything is changed.
            gone = purge_queue and broker.api.delete_queue(account.vhost, account.queue)
            broker.api.delete_account(account.user)
            _close(broker.api, account, "the account was revoked")
            done.append({"account": account.user, "queue": account.queue, "queue_deleted": gone})
            if not as_json:
                typer.echo(f"revoked: {account.user}; queue {account.queue} {'deleted' if gone else 'kept'}")
        if as_json:
            typer.echo(json.dumps(done, indent=2))
        for user in sorted({account.user for account in found} & _named(settings, broker.vhosts)):
            _note(f"{user} is still in the network files: the next `relais partners provision` makes it a new account")


@contextmanager
def _broker(settings: Settings) -> Iterator[_Broker]:
    """The broker's API, or exit 2 naming the variable; its errors end the command."""
    url = settings.amqp_management_url
    if url is None:
        raise commands.fail("RELAIS_AMQP_MANAGEMENT_URL is not set: http://user:password@host:15672, or https://", 2)
    file = settings.amqp_management_password_file
    try:
        password = file.read_text().strip() if file else None
    except (OSError, ValueError) as error:
        raise commands.fail(f"RELAIS_AMQP_MANAGEMENT_PASSWORD_FILE: {type(error).__name__}", 2) from None
    with management.opened(url, password, settings.amqp_ca_file) as api:
        try:
            yield _Broker(api, _vhosts(settings), _address(settings, api))
        except ManagementError as error:
            raise commands.fail(str(error), 2 if error.configured else 1) from None


def _vhosts(settings: Settings) -> Vhosts:
    urls = (None if settings.in_memory else settings.broker_url, settings.ingest_url, settings.partners_url)
    names = zip(urls, ("relais", "ingest", "partners"), strict=True)
    return Vhosts(*(_vhost(url) if url else name for url, name in names))


def _apart(vhosts: Vhosts) -> None:
    """Exit 2 unless the three are three: in one, what somebody may do in the other two would be his as well."""
    for (one, name), (other, again) in combinations(zip(_VARIABLES, vhosts, strict=True), 2):
        if name == again:
            raise commands.fail(f"{one} and {other} name the same vhost: sites, partners and services need one each", 2)


def _vhost(url: str) -> str:
    return unquote(urlsplit(url.partition(";")[0]).path.removeprefix("/")) or "/"


def _address(settings: Settings, api: Management) -> str:
    if settings.amqp_public_url:
        return settings.amqp_public_url
    if settings.in_memory:
        return f"amqps://{api.host}:5671"
    parts = urlsplit(settings.broker_url.partition(";")[0])
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def _wanted(settings: Settings, vhosts: Vhosts) -> list[Account]:
    try:
        return accounts.accounts(load(settings.network), vhosts)
    except NetworkError as error:
        raise commands.fail("\n".join(error.problems), 2) from None
    except BadName as error:
        raise commands.fail(str(error), 2) from None


def _named(settings: Settings, vhosts: Vhosts) -> set[str]:
    """Users that the network files ask for; nobody where they cannot be read, which must not hinder a revocation."""
    try:
        return {account.user for account in accounts.accounts(load(settings.network), vhosts)}
    except (NetworkError, BadName):
        _note("the network files cannot be read: see that those revoked are not in them any more")
        return set()


def _existing(broker: _Broker, ids: Sequence[str]) -> list[Account]:
    """The accounts of these ids; exit 2 before anything is changed when one has none."""
    try:
        asked = {id_: [accounts.account(kind, id_, broker.vhosts) for kind in accounts.KINDS] for id_ in ids}
    except BadName as error:
        raise commands.fail(f"ID: {error}", 2) from None
    known = {user["name"] for user in broker.api.definitions()["users"]}
    for id_, found in asked.items():
        if not any(account.user in known for account in found):
            raise commands.fail(f"ID: the broker has no account of {id_}; nothing was changed", 2)
    return [account for found in asked.values() for account in found if account.user in known]


def _apply(broker: _Broker, planned: Plan, number: int, out: Path | None, *, as_json: bool) -> None:
    made: list[dict[str, str]] = []
    err = Console(stderr=True)
    progress = Progress(console=err, transient=True, disable=not err.is_terminal)
    try:
        with progress as bar:
            task = bar.add_task("accounts", total=sum(part.account is not None for part in planned.parts))
            for handful in provisioning.apply(broker.api, planned, lambda done: bar.advance(task, done)):
                facts = [broker.facts(each) for each in handful]
                made += facts
                for each in facts if out else ():
                    _write(out or Path(), each)
    except ManagementError:
        _note("accounts made just now whose password is not shown get another by `relais partners rotate`")
        raise
    finally:
        if not out and (made or as_json):
            _show(made, as_json=as_json)
    where = f", in {out}" if out and made else ""
    _note(f"{number} accounts, {len(made)} of them new{where}; {_counted(planned)}")


def _counted(planned: Plan) -> str:
    return f"{len(planned.changes)} changes" if planned.changes else "nothing to change"


def _tell_changes(planned: Plan, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps([change._asdict() for change in planned.changes], indent=2))
        return
    for change in planned.changes:
        typer.echo(f"{change.action} {change.kind} {change.name}")
    _note(f"dry run: {_counted(planned)}")


def _close(api: Management, account: Account, reason: str) -> None:
    """Close its connections until there is none; exit 1 if they stay."""
    deadline = time.monotonic() + _CLOSED_WITHIN
    while api.close_connections(account.user, reason):
        if time.monotonic() > deadline:
            raise commands.fail(f"connections of {account.user} stay open: close them at the broker")
        time.sleep(_POLL_SECONDS)


def _show(credentials: Sequence[dict[str, str]], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(credentials, indent=2))
        return
    table = Table("account", "reads", "writes to", "address, with the password: shown this once")
    for each in credentials:
        table.add_row(each["user"], each["queue"], each["exchange"], each["url_with_password"])
    Console(file=sys.stdout, width=_WIDTH, highlight=False).print(table)


def _prepare(folder: Path | None) -> None:
    """Make sure of the folder before anything is made that would have to be written there; exit 2."""
    if folder is None:
        return
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise commands.fail(f"--out: nothing can be written there: {type(error).__name__}", 2) from None


def _write(folder: Path, facts: dict[str, str]) -> None:
    """A file that its owner alone may read, whole or not at all; one that is there is of an earlier password."""
    try:
        draft = folder / f".{facts['user']}.{os.getpid()}"
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(json.dumps(facts, indent=2) + "\n")
        draft.replace(folder / f"{facts['user']}.json")
    except OSError as error:
        _unwritten(facts["user"], error)


def _unwritten(user: str, error: OSError) -> NoReturn:
    raise commands.fail(f"--out: {type(error).__name__}; {user} exists and its password is lost: rotate it") from None


def _note(text: str) -> None:
    """Standard output is for credentials and changes alone."""
    typer.echo(text, err=True)
