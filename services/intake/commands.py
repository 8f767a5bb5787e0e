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

app = typer.Typer(help="Envoyer des visites par l’API publique.", no_args_is_help=True)
_CHUNK = 50


@app.callback()
def visits() -> None:
    """Envoyer des visites par l’API publique."""


@app.command()
def send(
    file: Annotated[Path, typer.Argument(help="Une visite JSON par ligne (NDJSON).", exists=True, dir_okay=False)],
    token: Annotated[str, typer.Option(envvar="RELAIS_TOKEN", help="Jeton « site » (relais token site SITE).")],
    mode: Annotated[str | None, typer.Option(help="« history » : comptées, jamais orientées.")] = None,
    address: Annotated[str, typer.Option(envvar="RELAIS_INTAKE_HTTP", help="hôte:port du service intake.")] = (
        "127.0.0.1:8001"
    ),
) -> None:
    """Envoyer les visites d’un fichier ; recommencer ne compte rien deux fois."""
    lines = [line for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    try:
        bodies = [json.loads(line) | ({"mode": mode} if mode else {}) for line in lines]
    except (ValueError, TypeError) as error:
        typer.echo(f"{file} : une visite JSON par ligne est attendue ({type(error).__name__}).", err=True)
        raise typer.Exit(2) from None
    refused = []
    try:
        for number, result in enumerate(post_visits(bodies, token, f"http://{address}"), 1):
            if result["status"] not in {200, 201}:
                refused.append((number, result))
    except httpx.HTTPError as error:
        typer.echo(f"Intake ne répond pas ({type(error).__name__}) ; relancez la même commande.", err=True)
        raise typer.Exit(1) from None
    for number, result in refused:
        places = "; ".join(f"{each['pointer']} : {each['detail']}" for each in result.get("errors", ()))
        typer.echo(f"ligne {number} : {result['status']} {places or result.get('detail', '')}", err=True)
    typer.echo(f"{len(bodies) - len(refused)} visites enregistrées, {len(refused)} refusées")
    if refused:
        raise typer.Exit(1)


def post_visits(bodies: Sequence[dict[str, Any]], token: str, origin: str) -> Iterator[dict[str, Any]]:
    """One result per visit, in order, with a progress bar. Raises httpx.HTTPError."""
    with Progress(console=Console(stderr=True), transient=True) as progress, httpx.Client(timeout=60) as client:
        task = progress.add_task("Visites envoyées", total=len(bodies))
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
