"""The `relais` command: gathers each service's own commands."""

# Must come first: everything imported after it finds a cooperative standard library.
from services.chassis import green  # noqa: F401, I001

import importlib
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Annotated

import httpx
import typer

from services import retention
from services.chassis import commands, key_commands, runner
from services.chassis.errors import Unavailable
from services.chassis.postgres import PostgresError
from services.chassis.settings import Settings
from services.chassis.tokens import ROLES, Role, TokenError, Tokens
from services.chassis.vault import VaultError
from services.demonstration import demonstrate
from services.intake import commands as intake
from services.intake import erasure_commands as erasures
from services.intake.journal import JournalError
from services.network import Network, NetworkError, load
from services.network import commands as network
from services.network import partner_commands as partners
from services.network.members import organisations
from services.orientation.commands import directory, sites
from services.orientation.commands.explain import explain
from services.referral import commands as referral
from services.reporting import commands as reporting

app = typer.Typer(
    help="Relais: say your situation once, be oriented, be followed to the end.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(commands.app)
app.add_typer(commands.dead_letters, name="dead-letters")
app.add_typer(key_commands.app, name="keys")
network.app.command("explain", epilog="Example: relais network explain visit.json")(explain)
app.add_typer(intake.app, name="visits")
app.add_typer(network.app, name="network")
app.add_typer(partners.app, name="partners")
app.add_typer(sites.app, name="sites")
app.add_typer(directory.app, name="directory")
app.add_typer(reporting.app, name="report")
app.add_typer(referral.app, name="webhooks")
app.add_typer(erasures.app, name="erasures")
app.add_typer(retention.app, name="retention")

RoleArgument = Annotated[str, typer.Argument(help=", ".join(ROLES))]
OrgArgument = Annotated[str, typer.Argument(help="A site, partner or charter id of the network files.")]
# Where somebody of a role has pages behind a login; first where work begins.
_PAGES_OF: dict[Role, tuple[str, ...]] = {
    "agent": ("orientation", "referral", "intake", "reporting"),
    "site": ("orientation", "referral"),
    "partner": ("referral", "reporting"),
}


def service_class(name: str) -> type:
    """The nameko class of a service, imported only when it is to run."""
    module = importlib.import_module(f"services.{name}.service")
    found: type = getattr(module, f"{name.capitalize()}Service")
    return found


@app.command()
def token(
    role: RoleArgument,
    org: OrgArgument,
    hours: Annotated[float, typer.Option(help="How long it is valid.", min=0.01)] = 12,
) -> None:
    """Print a bearer token and nothing else."""
    settings = commands.settings()
    found = _checked(settings, role, org)
    try:
        typer.echo(Tokens(settings).sign(found, org, valid=timedelta(hours=hours)))
    except TokenError as error:
        raise commands.fail(str(error)) from None


@app.command(epilog="Example: relais invite agent fs-moreuil")
def invite(
    role: RoleArgument,
    org: OrgArgument,
    service: Annotated[
        str | None, typer.Option(help="Whose pages to begin with, where the role has some at several.")
    ] = None,
) -> None:
    """Print a link by which one person logs in to all pages for them, once, within 24 hours; and nothing else."""
    settings = commands.settings()
    found = _checked(settings, role, org)
    pages = _PAGES_OF.get(found, ())
    if not pages:
        raise commands.fail(f"ROLE: there is no page with a login for {role} yet", 2)
    if service not in {None, *pages}:
        raise commands.fail(f"--service: {role} has no page there; it has at {', '.join(pages)}", 2)
    at = service or pages[0]
    others = (each for each in pages if each != at)
    try:
        typer.echo(f"{settings.url(at)}/login?invitation={Tokens(settings).invite(found, org, at, *others)}")
    except TokenError as error:
        raise commands.fail(str(error)) from None


def _checked(settings: Settings, role: str, org: str) -> Role:
    """The role, if there is such a one and the network files know `org` for it; exit 2 otherwise."""
    found = next((each for each in ROLES if each == role), None)
    if found is None:
        raise commands.fail(f"ROLE: {role} is none of {', '.join(ROLES)}", 2)
    known = organisations(_network(settings), found)
    if known is not None and org not in known:
        raise commands.fail(f"ORG: the network files know no {org} for role {role}; they know {', '.join(known)}", 2)
    return found


def _network(settings: Settings) -> Network:
    """The network files, or exit 2 with a line for each flaw."""
    try:
        return load(settings.network)
    except NetworkError as error:
        raise commands.fail("\n".join(error.problems), 2) from None


@app.command()
def run(
    service: commands.ServiceOption = None,
    *,
    samples: Annotated[
        bool, typer.Option("--samples", help="Send the sample visits of the demo networks, print what became of them.")
    ] = False,
) -> None:
    """Serve until SIGTERM or Ctrl-C; without RELAIS_AMQP_URL and RELAIS_DATABASE_URL_* on embedded defaults."""
    settings = commands.settings()
    names = commands.chosen(service)
    _network(settings)
    typer.echo("Relais is starting…")
    try:
        runner.run(
            settings, {name: service_class(name) for name in names}, typer.echo, _after_start(settings, samples=samples)
        )
    except (runner.CannotRun, TokenError, VaultError, JournalError) as error:
        raise commands.fail(str(error), 2) from None
    except (PostgresError, runner.ServiceDied) as error:
        raise commands.fail(str(error)) from None


def _after_start(settings: Settings, *, samples: bool) -> Callable[[], None]:
    def ready() -> None:
        if samples:
            try:
                demonstrate(settings)
            except httpx.HTTPError as error:
                typer.echo(f"Not all sample visits could be sent: {error}", err=True)
            typer.echo(f"To look at in a browser: {settings.url('reporting')}/")
            for site in _network(settings).sites[:1]:
                typer.echo(f"An agent’s page, by a link that works once: relais invite agent {site.id}")
        typer.echo("Ready. Ctrl-C to stop.")

    return ready


def main() -> None:
    """Entry point."""
    try:
        sys.exit(app())
    except Unavailable as error:
        sys.exit(f"{error}; is it running, and are RELAIS_DATABASE_URL_… right?")


if __name__ == "__main__":
    main()
