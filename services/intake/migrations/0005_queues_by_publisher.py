"""One queue for all that comes from one publisher; one table of what may be done so often."""

from alembic import op

from services.chassis.tables_v5 import rename_queues

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Drops what counted refusals for ten minutes."""
    rename_queues()
    op.rename_table("search_allowances", "allowances")
    op.execute("ALTER INDEX search_allowances_pkey RENAME TO allowances_pkey")
    op.drop_table("refusals")
