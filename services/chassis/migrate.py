"""Brings a service's database to the present shape; safe with several replicas starting at once.

A database that is newer is left as it is: migrations only add, so that a release may be rolled back, and an old
replica may start beside new ones.
"""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import MetaData, text

from services.chassis import logs
from services.chassis.database import Database

_ROOT = Path(__file__).parents[1]
_LOCK = 0x52454C41

log = logs.get(__name__)


def migrate(database: Database, service: str) -> None:
    """Apply what is missing, under a lock, with a lock timeout so that a busy table is not blocked for long."""
    config = config_of(service)
    head = ScriptDirectory.from_config(config).get_current_head()
    with database.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        found = MigrationContext.configure(connection).get_current_revision()
        if found == head:
            return
        # Revisions are numbered: 0001, 0002, …
        if found and head and found > head:
            log.warning("database is newer", service=service, revision=found, known=head)
            return
        connection.execute(text("SET LOCAL lock_timeout = '5s'"))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def config_of(service: str) -> Config:
    """Alembic's configuration of a service's migrations."""
    config = Config()
    config.set_main_option("script_location", str(_ROOT / "chassis" / "migrations"))
    config.set_main_option("version_locations", str(_ROOT / service / "migrations"))
    config.set_main_option("path_separator", "newline")
    config.attributes["metadata"] = MetaData()
    return config
