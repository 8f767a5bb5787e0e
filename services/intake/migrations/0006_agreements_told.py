"""Whether an agreement was told as the case's, or by a visit, for that visit."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Only adds: one that was told is told once more when it is given again, which changes nothing but the timeline."""
    op.add_column("agreements", sa.Column("told", sa.Boolean, nullable=False, server_default="false"))
