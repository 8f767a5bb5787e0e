"""Whether a story was told again, whether it was enough, and what happened to cases themselves."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward only: a mistake is mended by the next migration."""
    op.add_column("visits", sa.Column("retold", sa.Boolean))
    op.add_column("referral_steps", sa.Column("story_sufficient", sa.Boolean))
    op.add_column("referral_steps", sa.Column("due_at", sa.DateTime(timezone=True)))
    op.create_table(
        "case_steps",
        sa.Column("number", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("case", sa.Uuid, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recipient", sa.Text),
        sa.Column("sensitive", sa.Boolean),
        sa.Column("reason", sa.Text),
        sa.Column("other", sa.Uuid),
        sa.Column("retold", sa.Boolean),
        sa.Column("site", sa.Text),
    )
    op.create_index("case_steps_case", "case_steps", ["case"])
    op.create_index("case_steps_other", "case_steps", ["other"], postgresql_where=sa.text("other IS NOT NULL"))
