"""Migrations of all four services on a real PostgreSQL."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import MetaData, inspect, text

from services.chassis import tables as chassis_tables
from services.chassis.database import Database
from services.chassis.migrate import migrate
from services.contracts.topology import SERVICES
from tests.support.databases import all_of

# Only what keeps free text has keys.
ONLY_OF = {
    "webhook_secrets": {"referral"},
    "webhook_deliveries": {"referral"},
    "vault_keys": {"intake", "referral"},
}


def expected(service: str) -> MetaData:
    """Everything the code of a service reads and writes: its own tables, and the chassis's."""
    merged = MetaData()
    for table in import_module(f"services.{service}.tables").metadata.tables.values():
        table.to_metadata(merged)
    for table in chassis_tables.metadata.tables.values():
        if service in ONLY_OF.get(table.name, SERVICES):
            table.to_metadata(merged)
    return merged


@pytest.fixture
def urls(databases: Callable[[], dict[str, str]]) -> dict[str, str]:
    """Make four empty databases."""
    return all_of(databases())


@pytest.fixture
def opened(urls: dict[str, str]) -> Iterator[dict[str, Database]]:
    """Open all four."""
    databases = {service: Database(url, "test") for service, url in urls.items()}
    yield databases
    for database in databases.values():
        database.close()


@pytest.mark.parametrize("service", SERVICES)
def test_migrations_make_exactly_the_tables_that_the_code_uses(opened: dict[str, Database], service: str) -> None:
    """No table, column, index or constraint too many or too few; comments are for readers of the code only."""
    migrate(opened[service], service)
    with opened[service].begin() as connection:
        options = {
            "compare_type": True,
            "compare_server_default": True,
            "include_name": lambda name, kind, _parents: kind != "table" or name != "alembic_version",
        }
        context = MigrationContext.configure(connection, opts=options)
        differences = compare_metadata(context, expected(service))
    assert [one for one in differences if one[0] != "add_table_comment"] == []


@pytest.mark.parametrize("service", SERVICES)
def test_migrating_twice_is_migrating_once(opened: dict[str, Database], service: str) -> None:
    """A restart finds nothing to do, and takes nothing away."""
    migrate(opened[service], service)
    with opened[service].begin() as connection:
        connection.execute(text("INSERT INTO marks VALUES ('kept', 7)"))
    migrate(opened[service], service)
    with opened[service].begin() as connection:
        assert connection.scalar(text("SELECT position FROM marks WHERE name = 'kept'")) == 7
        assert connection.scalar(text("SELECT count(*) FROM alembic_version")) == 1


def test_processes_that_migrate_at_once_do_not_meet(urls: dict[str, str]) -> None:
    """Three replicas started together on an empty database: one creates the tables, the others find them."""
    program = (
        "import sys; from services.chassis.database import Database; from services.chassis.migrate import migrate;"
        "database = Database(sys.argv[1], 'test'); database.ping(); print('ready', flush=True); sys.stdin.readline();"
        "migrate(database, 'referral')"
    )
    command = [sys.executable, "-c", program, urls["referral"]]
    replicas = [
        subprocess.Popen(  # noqa: S603 - this very interpreter
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    for replica in replicas:
        assert replica.stdout is not None
        assert replica.stdout.readline() == "ready\n"
    for replica in replicas:
        assert replica.stdin is not None
        replica.stdin.write("go\n")
        replica.stdin.flush()
    for replica in replicas:
        _, errors = replica.communicate(timeout=60)
        assert replica.returncode == 0, errors
    database = Database(urls["referral"], "test")
    assert set(expected("referral").tables) < set(inspect(database.engine).get_table_names())
    database.close()


def test_a_migration_that_fails_leaves_nothing(opened: dict[str, Database]) -> None:
    """All tables or none: the next start begins where this one began."""
    database = opened["reporting"]
    with database.begin() as connection:
        connection.execute(text("CREATE TABLE referral_steps (stranger int)"))
    with pytest.raises(Exception, match="referral_steps"):
        migrate(database, "reporting")
    assert inspect(database.engine).get_table_names() == ["referral_steps"]


@pytest.mark.parametrize("service", SERVICES)
def test_migrations_are_one_line_of_revisions(service: str) -> None:
    """One head; forward only: a mistake is mended by the next migration."""
    folder = Path(import_module(f"services.{service}").__path__[0]) / "migrations"
    names = sorted(path.name for path in folder.glob("*.py"))
    assert [name[:4] for name in names] == [f"{number:04}" for number in range(1, len(names) + 1)]
    assert not any("def downgrade" in path.read_text() for path in folder.glob("*.py"))
