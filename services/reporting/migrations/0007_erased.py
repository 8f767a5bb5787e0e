"""Cases that were erased."""

from services.chassis.tables_v4 import create_erasure_tables

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Only adds."""
    create_erasure_tables()
