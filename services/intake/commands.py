"""`relais visits …`: sending visits through the public HTTP API, as site software does."""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer
from rich.console import Console
from rich.progress import Progress

app = typer.Typer(help="Send visits through the public API.", no_args_is_help=True)
_CHUNK = 50


@app.callback()
def visits() -> None:
    """Send visits through the public API."""


@app.command()
def send(
    file: Annotated[Path, typer.Argument(help="One visit in JSON per line (NDJSON).", exists=True, dir_okay=False)],
    token: Annotated[str, typer.Option(envvar="RELAIS_TOKEN", help="A site’s token (relais token site SITE).")],
    mode: Annotated[str | None, typer.Option(help="`history`: counted, never referred.")] = None,
    address: Annotated[str, typer.Option(envvar="RELAIS_INTAKE_HTTP", help="host:port of intake, or its URL.")] = (
        "127.0.0.1:8001"
    ),
) -> None:
    """Send the visits of a file; sending again counts nothing twice."""
    visits_by_line = _read(file)
    bodies = [body | ({"mode": mode} if mode else {}) for body in visits_by_line.values()]
    refused = []
    try:
        for number, result in zip(visits_by_line, post_visits(bodies, token, _origin(address)), strict=True):
            if result["status"] not in {200, 201}:
                refused.append((number, result))
    except httpx.HTTPStatusError as error:
        typer.echo(_refusal(error.response), err=True)
        raise typer.Exit(1) from None
    except httpx.HTTPError as error:
        typer.echo(f"Intake does not answer ({type(error).__name__}); run the same command again.", err=True)
        raise typer.Exit(1) from None
    for number, result in refused:
        places = "; ".join(f"{each['pointer']}: {each['detail']}" for each in result.get("errors", ()))
        typer.echo(f"line {number}: {result['status']} {places or result.get('detail', '')}", err=True)
    typer.echo(f"{len(bodies) - len(refused)} visits recorded, {len(refused)} refused")
    if refused:
        raise typer.Exit(1)


def _origin(address: str) -> str:
    return address if "://" in address else f"http://{address}"


def _read(file: Path) -> dict[int, dict[str, Any]]:
    """The visits by the number of their line; exit 2 at a line that is no JSON object, before anything is sent."""
    found, number = {}, 0
    try:
        # Only \n ends a line: a story may hold other separators, which JSON leaves as they are.
        for number, line in enumerate(file.read_text(encoding="utf-8").split("\n"), 1):
            if line.strip():
                found[number] = json.loads(line) | {}
    except (ValueError, TypeError) as error:
        place = f"{file}, line {number}" if number else str(file)
        typer.echo(f"{place}: expected one visit in JSON per line ({type(error).__name__}).", err=True)
        raise typer.Exit(2) from None
    return found


def _refusal(answer: httpx.Response) -> str:
    """Why the whole batch was refused, in one line."""
    try:
        return f"{answer.status_code}: {answer.json()['detail']}"
    except (ValueError, KeyError, TypeError):
        return f"Unexpected answer {answer.status_code}."


def post_visits(bodies: Sequence[dict[str, Any]], token: str, origin: str) -> Iterator[dict[str, Any]]:
    """One result per visit, in order, with a progress bar. Raises httpx.HTTPError."""
    with Progress(console=Console(stderr=True), transient=True) as progress, httpx.Client(timeout=60) as client:
        task = progress.add_task("Visits sent", total=len(bodies))
        for start in range(0, len(bodies), _CHUNK):
            chunk = bodies[start : start + _CHUNK]
            answer = client.post(
                f"{origin}/v1/visits/batch",
                content="\n".join(json.dumps(body, ensure_ascii=False) for body in chunk).encode(),
                headers={"Authorization": f"Bearer {token}", "Content-Type": "application/x-ndjson"},
            )
            answer.raise_for_status()
            yield from (json.loads(line) for line in answer.text.splitlines())
            progress.advance(task, len(chunk))


def by_site(bodies: Iterable[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Visits grouped by their site, each group in order."""
    grouped: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for body in bodies:
        grouped[body["site"]].append(body)
    return grouped
