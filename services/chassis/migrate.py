"""Brings a service's database to the present shape; safe with several replicas starting at once."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import MetaData, text

from services.chassis.database import Database

_ROOT = Path(__file__).parents[1]
_LOCK = 0x52454C41


def migrate(database: Database, service: str) -> None:
    """Apply what is missing, under a lock, with a lock timeout so that a busy table is not blocked for long."""
    config = _config(service)
    head = ScriptDirectory.from_config(config).get_current_head()
    with database.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        if MigrationContext.configure(connection).get_current_revision() == head:
            return
        connection.execute(text("SET LOCAL lock_timeout = '5s'"))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _config(service: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_ROOT / "chassis" / "migrations"))
    config.set_main_option("version_locations", str(_ROOT / service / "migrations"))
    config.set_main_option("path_separator", "newline")
    config.attributes["metadata"] = MetaData()
    return config
