"""Visits, cases, agreements."""

import sqlalchemy as sa
from alembic import op

from services.chassis.tables_v1 import create_messaging_tables, create_vault_table

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward only: a mistake is mended by the next migration."""
    create_messaging_tables()
    create_vault_table()
    op.create_table(
        "cases",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("site", sa.Text, nullable=False),
        sa.Column("reference_index", sa.LargeBinary, nullable=False, unique=True),
        sa.Column("reference_sealed", sa.LargeBinary, nullable=False),
        sa.Column("identity_index", sa.LargeBinary),
        sa.Column("identity_sealed", sa.LargeBinary),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("cases_identity", "cases", ["identity_index"])
    op.create_table(
        "visits",
        sa.Column("site", sa.Text, nullable=False),
        sa.Column("visit_id", sa.Uuid, nullable=False),
        sa.Column("fingerprint", sa.LargeBinary, nullable=False),
        sa.Column("case_id", sa.Uuid, sa.ForeignKey("cases.id")),
        sa.Column("possible_matches", sa.Integer, nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("facts", sa.Text, nullable=False),
        sa.Column("free_text_sealed", sa.LargeBinary),
        sa.PrimaryKeyConstraint("site", "visit_id"),
    )
    op.create_index("ix_visits_case_id", "visits", ["case_id"])
    op.create_table(
        "agreements",
        sa.Column("case_id", sa.Uuid, sa.ForeignKey("cases.id"), nullable=False),
        sa.Column("recipient", sa.Text, nullable=False),
        sa.Column("sensitive", sa.Boolean, nullable=False),
        sa.Column("given_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("form", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("case_id", "recipient"),
    )
