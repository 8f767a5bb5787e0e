"""`relais retention run`: what has served its time goes, in intake and referral, as their own timers have it go."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from services.chassis import commands
from services.chassis.app import App
from services.intake import journal
from services.intake import retention as of_cases
from services.referral import retention as of_referrals

app = typer.Typer(help="What has served its time, and goes.", no_args_is_help=True)
Counts = dict[str, dict[str, int]]
_WORDS = {
    "cases": "cases, two years after the last contact",
    "anonymous_texts": "anonymous visits’ texts, after two years",
    "accesses": "accesses, after 36 months",
    "referrals_without_case": "partners’ referrals without a case, two years after their last step",
}
_KEEPERS: dict[str, tuple[Callable[[App], Counts], Callable[[App], Counts]]] = {
    "intake": (of_cases.run, of_cases.due),
    "referral": (of_referrals.run, of_referrals.due),
}


@app.callback()
def retention() -> None:
    """Let go what has served its time."""


@app.command()
def run(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count what would go now.")] = False,  # noqa: FBT002
    as_json: commands.AsJson = False,  # noqa: FBT002
) -> None:
    """Let go what has served its time, by Paris days; the services do so by themselves every hour."""
    found: Counts = {}
    with _keepers() as apps:
        for keeper in apps:
            let_go, due = _KEEPERS[keeper.service]
            found |= (due if dry_run else let_go)(keeper)
    if as_json:
        typer.echo(json.dumps({"dry_run": dry_run, "counts": found}))
        return
    for what, months in found.items():
        typer.echo(f"{sum(months.values()):>8}  {_WORDS[what]}")
        for month, number in months.items():
            typer.echo(f"          {month}  {number}")
    if dry_run:
        typer.echo("Nothing was deleted.")


@contextmanager
def _keepers() -> Iterator[list[App]]:
    settings = commands.settings()
    try:
        journal.check(settings)
    except journal.JournalError as error:
        raise commands.fail(str(error)) from None
    with commands.open_databases(list(_KEEPERS), "retention") as databases:
        yield [App(name, settings, database) for name, database in databases.items()]
