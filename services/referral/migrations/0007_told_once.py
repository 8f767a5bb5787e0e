"""What a person decided after a visit; cases that are one person's."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward only: a mistake is mended by the next migration."""
    op.add_column("referrals", sa.Column("agreed_at", sa.DateTime(timezone=True)))
    op.add_column("referrals", sa.Column("reveals_health", sa.Boolean))
    reached = sa.Column("reached", sa.Boolean, nullable=False, server_default=sa.text("true"))
    op.add_column("webhook_deliveries", reached)
    known = sa.text("case_id IS NOT NULL")
    op.create_index("referrals_of_case", "referrals", ["case_id"], postgresql_where=known)
    op.create_table(
        "agreements",
        sa.Column("case_id", sa.Uuid, nullable=False),
        sa.Column("recipient", sa.Text, nullable=False),
        sa.Column("given", sa.Boolean, nullable=False),
        sa.Column("sensitive", sa.Boolean, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("case_id", "recipient"),
    )
    op.create_table(
        "joined_cases",
        sa.Column("case_id", sa.Uuid, primary_key=True),
        sa.Column("into_case", sa.Uuid, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("joined", sa.Boolean, nullable=False),
    )
    op.create_index("joined_cases_into", "joined_cases", ["into_case"])
