"""Partners that are told by webhook."""

from services.chassis.tables_v3 import create_webhook_tables

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Only adds."""
    create_webhook_tables()
