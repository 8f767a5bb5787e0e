"""One queue for all that comes from one publisher; stories told again are found by an index."""

import sqlalchemy as sa
from alembic import op

from services.chassis.tables_v5 import rename_queues

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Only adds."""
    rename_queues()
    op.create_index("case_steps_retold", "case_steps", ["other"], postgresql_where=sa.text("retold"))
