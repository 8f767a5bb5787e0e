"""`relais webhooks …`: the secrets that sign partners' webhooks, and what could not be delivered."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Column, Table
from sqlalchemy import inspect

from services.chassis import commands, webhook_post, webhook_rows, webhook_secrets
from services.chassis.app import App, Work
from services.chassis.clock import Clock
from services.chassis.keyring import open_vault
from services.chassis.settings import Settings
from services.chassis.tables import webhook_secrets as secrets_table
from services.chassis.vault import VaultError
from services.network import NetworkError, load

app = typer.Typer(help="Delivery to partners by webhook: secrets, what failed.", no_args_is_help=True)
PartnerArgument = Annotated[str, typer.Argument(help='A partner with subscription = "webhook" in the network files.')]
EventsArgument = Annotated[list[str] | None, typer.Argument(help="Event ids, as `webhooks list` shows them.")]
# Tells nothing but that it arrived, and that its signature checks.
_TEST = "fr.relais.WebhookTest.v1"


@app.callback()
def webhooks() -> None:
    """Delivery to partners by webhook: secrets, what failed."""


@app.command(epilog="Example: relais webhooks secret mission-locale-santerre")
def secret(
    partner: PartnerArgument,
    *,
    rotate: Annotated[bool, typer.Option("--rotate", help="A new one; for 24 hours both sign.")] = False,
) -> None:
    """Make the secret that signs a partner's webhooks and print it, this once; it is kept sealed and never shown again.

    Exit 1 when there is one already.
    """
    settings = commands.settings()
    _address(settings, partner)
    with _opened(settings) as work:
        made = webhook_secrets.make(work, partner, rotate=rotate)
    if made is None:
        raise commands.fail(f"{partner} has a secret already, which cannot be shown again: --rotate makes a new one")
    typer.echo(made)


@app.command("list")
def list_deliveries(
    *,
    failed: Annotated[bool, typer.Option("--failed", help="Only those that were given up.")] = False,
    as_json: commands.AsJson = False,
) -> None:
    """List what is pending or failed, with tries, age and reason; of what was never tried the first 10,000."""
    with commands.open_databases(["referral"], "webhooks") as databases, databases["referral"].begin() as connection:
        rows = [_told(row) for row in webhook_rows.facts(connection, only_failed=failed)]
    if as_json:
        typer.echo(json.dumps(rows, default=datetime.isoformat))
        return
    if not rows:
        typer.echo("Nothing failed." if failed else "Nothing is pending, nothing failed.")
        return
    names = ("partner", "event", "type", "state", "tries", "age", "reason")
    table = Table(*(Column(name, overflow="fold") for name in names))
    for row in rows:
        facts = row | {
            "type": row["type"] or "",
            "age": commands.age(row["age_seconds"]),
            "reason": row["reason"] or "",
        }
        table.add_row(*(escape(str(facts[name])) for name in names))
    commands.out.print(table)


@app.command(epilog="Example: relais webhooks replay mission-locale-santerre --all")
def replay(
    partner: Annotated[str, typer.Argument(help="Whose failed events.")],
    events: EventsArgument = None,
    *,
    everything: Annotated[bool, typer.Option("--all", help="All that failed.")] = False,
) -> None:
    """Have failed events tried again, now and for another 24 hours."""
    if bool(events) == everything:
        raise commands.fail("give either event ids, or --all", 2)
    wanted = set(events or ())
    with commands.open_databases(["referral"], "webhooks") as databases, databases["referral"].begin() as connection:
        done = webhook_rows.replay(connection, partner, None if everything else wanted, Clock().now())
    typer.echo(f"{done} to be tried again" if everything else f"{done} of {len(wanted)} to be tried again")
    if done < len(wanted):
        raise typer.Exit(1)


@app.command()
def test(partner: PartnerArgument) -> None:
    """Send a signed test event to a partner's webhook from here, at once, and say what came of it."""
    settings = commands.settings()
    url = _address(settings, partner)
    with _opened(settings) as work:
        keys = webhook_secrets.signing(work, partner)
        id_ = work.ids.new_text()
        event = {"specversion": "1.0", "id": id_, "source": "/relais/referral", "type": _TEST}
        event |= {"time": work.now.isoformat(), "datacontenttype": "application/json"}
    if not keys:
        raise commands.fail(f"{partner} has no secret yet: relais webhooks secret {partner}")
    with webhook_post.new_client() as client:
        outcome = webhook_post.post(client, url, keys, id_, json.dumps(event | {"data": {}}))
    if not outcome.delivered:
        raise commands.fail(f"not delivered: {outcome.reason}")
    typer.echo("delivered")


def _address(settings: Settings, partner: str) -> str:
    """Where a partner receives; exit 2 when it does not receive by webhook."""
    try:
        known = {each.id: each.webhook for each in load(settings.network).partners if each.webhook}
    except NetworkError as error:
        raise commands.fail("\n".join(error.problems), 2) from None
    url = known.get(partner)
    if url is None:
        there_are = ", ".join(known) or "there are none"
        raise commands.fail(f'PARTNER: no partner {partner} with subscription = "webhook"; those with: {there_are}', 2)
    return url


@contextmanager
def _opened(settings: Settings) -> Iterator[Work]:
    """A transaction on referral's database; exit 2 without the master key that this was sealed with."""
    with commands.open_databases(["referral"], "webhooks") as databases:
        database = databases["referral"]
        if not inspect(database.engine).has_table(secrets_table.name):
            raise commands.fail("referral's database is not of this release yet: start referral first")
        try:
            with App("referral", settings, database, open_vault(settings, database, "referral")).work() as work:
                yield work
        except VaultError as error:
            raise commands.fail(str(error), 2) from None


def _told(row: dict[str, Any]) -> dict[str, Any]:
    since, failed_at = row.pop("since"), row.pop("failed_at")
    state = "failed" if failed_at else "pending"
    age = round((Clock().now() - since).total_seconds())
    return {"partner": row.pop("recipient"), "state": state, "age_seconds": age, **row, "failed_at": failed_at}
