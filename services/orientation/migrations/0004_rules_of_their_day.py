"""The rules that were in use, and since when: a visit is explained by those of its day."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Only adds."""
    op.create_table(
        "rules_in_use",
        sa.Column("since", sa.DateTime(timezone=True), primary_key=True),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("network", sa.Text, nullable=False),
    )
