"""Visits and needs are found by the day they were written on."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """An earlier release goes on writing; its activity report no longer works."""
    for table, key in (("visits", ("site", "visit_id")), ("needs", ("site", "visit_id", "position"))):
        # Rows of before share a day long past: with today's they would be where today's rows go.
        op.add_column(table, sa.Column("written_on", sa.Date, nullable=False, server_default="2000-01-01"))
        op.alter_column(table, "written_on", server_default=sa.text("CURRENT_DATE"))
        op.drop_constraint(f"{table}_pkey", table)
        op.create_primary_key(f"{table}_pkey", table, ["written_on", *key])
