"""One queue for all that comes from one publisher."""

from services.chassis.tables_v5 import rename_queues

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """No table changes."""
    rename_queues()
