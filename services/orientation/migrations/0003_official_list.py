"""The official list of sites, and its history."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Only adds."""
    op.create_table(
        "listed_sites",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("commune", sa.Text, nullable=False),
        sa.Column("labelled_on", sa.Date, nullable=False),
        sa.Column("listed_on", sa.Date, nullable=False),
        sa.Column("gone_on", sa.Date),
        sa.Column("document", sa.Text, nullable=False),
    )
    op.create_table(
        "site_changes",
        sa.Column("site", sa.Text, nullable=False),
        sa.Column("listed_on", sa.Date, nullable=False),
        sa.Column("field", sa.Text, nullable=False),
        sa.Column("before", sa.Text),
        sa.Column("after", sa.Text),
        sa.PrimaryKeyConstraint("site", "listed_on", "field"),
    )
