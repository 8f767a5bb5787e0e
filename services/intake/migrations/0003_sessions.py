"""Who is logged in to its pages."""

from services.chassis.tables_v2 import create_session_tables

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Only adds."""
    create_session_tables()
