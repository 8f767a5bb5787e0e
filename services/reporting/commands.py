"""`relais report …`: reports from the terminal, through the same HTTP API as everybody else's."""

import sys
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NoReturn

import httpx
import typer

from services.reporting.domain.figures import By

_DONE_BADLY, _YOUR_INPUT = 1, 2
_INPUT_STATUSES = frozenset({400, 404, 406, 422})

app = typer.Typer(name="report", help="Reports of the network’s activity.", no_args_is_help=True)


class Format(StrEnum):
    """What the API answers with."""

    JSON = "json"
    CSV = "csv"


@app.callback()
def report() -> None:
    """Reports of the network’s activity."""


@app.command()
def activity(  # noqa: PLR0913 - one parameter per option
    *,
    first: Annotated[datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], help="First day.")] = None,
    last: Annotated[datetime | None, typer.Option("--to", formats=["%Y-%m-%d"], help="Last day, included.")] = None,
    site: Annotated[str | None, typer.Option(help="One site only.")] = None,
    by: Annotated[By | None, typer.Option(help="Break down by.")] = None,
    format_: Annotated[Format, typer.Option("--format", help="Form of the report.")] = Format.JSON,
    json: Annotated[bool, typer.Option("--json", help="As --format json.")] = False,
    output: Annotated[Path | None, typer.Option(help="File to write; the terminal otherwise.")] = None,
    token: Annotated[
        str | None, typer.Option(envvar="RELAIS_TOKEN", help="A steering token (relais token steering ORG).")
    ] = None,
    address: Annotated[
        str, typer.Option(envvar="RELAIS_REPORTING_HTTP", help="host:port of reporting.")
    ] = "127.0.0.1:8004",
) -> None:
    """Visits, proposals and referrals of a period in exact figures; the last twelve months unless told."""
    if not token:
        _stop(_YOUR_INPUT, "A token is needed: --token or RELAIS_TOKEN (relais token steering ORG).")
    chosen = Format.JSON if json else format_
    asked = {"from": first and first.date(), "to": last and last.date(), "site": site, "by": by, "format": chosen}
    text = _fetch(address, token, {name: str(value) for name, value in asked.items() if value is not None})
    if output is None:
        sys.stdout.write(text if text.endswith("\n") else f"{text}\n")
        return
    try:
        output.write_text(text, encoding="utf-8", newline="")
    except OSError as error:
        _stop(_DONE_BADLY, f"{output}: cannot be written ({error.strerror}).")


def _fetch(address: str, token: str, query: dict[str, str]) -> str:
    origin = address if "://" in address else f"http://{address}"
    try:
        answer = httpx.get(
            f"{origin}/v1/reports/activity", params=query, headers={"Authorization": f"Bearer {token}"}, timeout=60
        )
    except httpx.HTTPError as error:
        _stop(_DONE_BADLY, f"{origin} does not answer ({type(error).__name__}).")
    if not answer.is_success:
        _stop(_YOUR_INPUT if answer.status_code in _INPUT_STATUSES else _DONE_BADLY, _problem(answer))
    return answer.text


def _problem(answer: httpx.Response) -> str:
    """A problem document in one line and its errors below."""
    try:
        problem = answer.json()
        errors = [f"  {each['pointer']}: {each['detail']}" for each in problem.get("errors", [])]
        return "\n".join([f"{answer.status_code}: {problem.get('detail') or problem['title']}", *errors])
    except (ValueError, KeyError, TypeError, AttributeError):
        return f"Unexpected answer {answer.status_code}."


def _stop(code: int, message: str) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(code)
