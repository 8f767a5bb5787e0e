"""A master key that is lost is said to be lost: no service starts, and nothing is made or written in its place."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from services.chassis.database import Database
from services.chassis.keyring import KEEPERS, open_vault
from services.chassis.migrate import migrate
from services.chassis.settings import Settings
from tests.support.databases import all_of, dump
from tests.support.house import House

NOBODY = "amqp://127.0.0.1:1/none"


def sealed(databases: dict[str, str], folder: Path, *services: str) -> None:
    """Have these services' databases as after their first start."""
    for service in services:
        database = Database(databases[service], "test")
        migrate(database, service)
        open_vault(Settings(state=folder), database, service)
        database.close()


@pytest.fixture
def house(tmp_path: Path, databases: Callable[[], dict[str, str]]) -> Iterator[House]:
    """Lend a house whose services never start, with empty databases."""
    house = House(tmp_path, NOBODY, all_of(databases()))
    house.bearer("site", "fs-moreuil")  # makes the key of tokens, as a first start does
    yield house
    house.close()


def lose(path: Path) -> None:
    """No file at all."""
    path.unlink()


def cut(path: Path) -> None:
    """Half a copy."""
    path.write_bytes(path.read_bytes()[:20])


def replace(path: Path) -> None:
    """A folder in its place, as docker makes one where a file to mount is missing."""
    path.unlink()
    path.mkdir()


def refused(house: House, *arguments: str, **environment: str | None) -> str:
    """What a start says that is refused, and changes nothing in files and databases."""
    files = {path.name: path.is_file() and path.read_bytes() for path in house.folder.iterdir()}
    rows = {name: dump(url) for name, url in house.databases.items()}
    ended = house.relais("run", *arguments, **environment)
    assert ended.returncode == 2, ended.stderr
    assert "Traceback" not in ended.stderr
    assert {name: dump(url) for name, url in house.databases.items()} == rows
    assert {path.name: path.is_file() and path.read_bytes() for path in house.folder.iterdir()} == files
    return ended.stderr


@pytest.mark.parametrize(
    ("service", "how"), [("intake", lose), ("referral", lose), ("intake", cut), ("intake", replace)]
)
def test_a_service_refuses_to_start(house: House, service: str, how: Callable[[Path], None]) -> None:
    """Code 2, the setting's name, the file, whose database needs it, and no key in what it says."""
    sealed(house.databases, house.folder, *KEEPERS)
    file = house.folder / "master-key"
    key = file.read_text().strip()
    how(file)
    said = refused(house, "--service", service)
    assert re.search(rf"RELAIS_MASTER_KEY_FILE: {file}: .*{service}'s database was sealed with a master key", said)
    assert key not in said
    assert key[:20] not in said


def test_one_process_makes_no_key_for_a_new_database_beside_a_sealed_one(house: House) -> None:
    """All services together, intake's database lost as well: nothing is made before all of them are asked."""
    sealed(house.databases, house.folder, "referral")
    (house.folder / "master-key").unlink()
    said = refused(house, RELAIS_AMQP_URL=None, RELAIS_AMQP_URL_INGEST=None, RELAIS_AMQP_URL_PARTNERS=None)
    assert "referral's database was sealed with a master key" in said
