"""`relais network …`: working on network files."""

from pathlib import Path
from typing import Annotated

import typer

from services.network.loading import NetworkError, load_files

app = typer.Typer(help="Work on network files.", no_args_is_help=True)


@app.callback()
def network() -> None:
    """Work on network files."""


@app.command()
def check(
    files: Annotated[list[Path], typer.Argument(help="Network files, or folders of them, read together.")],
) -> None:
    """Validate network files: exit 0, or exit 2 with lines `file: table.path.to.value: reason`."""
    paths = [path for file in files for path in (sorted(file.glob("*.toml")) if file.is_dir() else [file])]
    try:
        found = load_files(paths)
    except NetworkError as error:
        for problem in error.problems:
            typer.echo(problem, err=True)
        raise typer.Exit(2) from None
    typer.echo(f"{len(found.sites)} sites, {len(found.partners)} partners, {len(found.lines)} lines: nothing to mend")
