"""The service directory: structures and services as data·inclusion has them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Only adds."""
    op.create_table(
        "directory_snapshots",
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("listed_on", sa.Date, nullable=False),
        sa.PrimaryKeyConstraint("kind", "source"),
    )
    op.create_table(
        "structures",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("latitude", sa.Float),
        sa.Column("longitude", sa.Float),
        sa.Column("gone_on", sa.Date),
        sa.Column("document", sa.Text, nullable=False),
    )
    op.create_table(
        "services",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("structure_id", sa.Text, nullable=False),
        sa.Column("sort_name", sa.Text, nullable=False),
        sa.Column("thematiques", postgresql.ARRAY(sa.Text), nullable=False),
        sa.Column("publics", postgresql.ARRAY(sa.Text), nullable=False),
        sa.Column("zones", postgresql.ARRAY(sa.Text), nullable=False),
        sa.Column("remote", sa.Boolean, nullable=False),
        sa.Column("latitude", sa.Float),
        sa.Column("longitude", sa.Float),
        sa.Column("gone_on", sa.Date),
        sa.Column("document", sa.Text, nullable=False),
    )
