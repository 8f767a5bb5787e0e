"""Referrals, their history, partners' answers."""

import sqlalchemy as sa
from alembic import op

from services.chassis.tables_v1 import create_messaging_tables, create_vault_table

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_STATES = ("awaiting-agreement", "sent", "received", "accepted", "declined", "completed")


def upgrade() -> None:
    """Forward only: a mistake is mended by the next migration."""
    create_messaging_tables()
    create_vault_table()
    op.execute("CREATE SEQUENCE referral_changes")
    op.create_table(
        "referrals",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("orientation_id", sa.Uuid, nullable=False),
        sa.Column("proposal", sa.Integer, nullable=False),
        sa.Column("visit_id", sa.Uuid, nullable=False),
        sa.Column("case_id", sa.Uuid, nullable=False),
        sa.Column("site", sa.Text, nullable=False),
        sa.Column("need", sa.Text, nullable=False),
        sa.Column("partner", sa.Text, nullable=False),
        sa.Column("category", sa.Text, nullable=False),
        sa.Column("department", sa.Text, nullable=False),
        sa.Column("fallbacks", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("step", sa.Integer, nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True)),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("change", sa.BigInteger, nullable=False, server_default=sa.text("nextval('referral_changes')")),
        sa.CheckConstraint("state IN ({})".format(", ".join(f"'{state}'" for state in _STATES)), name="known_state"),
    )
    op.create_index("referrals_of_proposal", "referrals", ["orientation_id", "proposal"], unique=True)
    op.create_index("referrals_of_partner", "referrals", ["partner", "change"])
    op.create_index("referrals_of_site", "referrals", ["site", "change"])
    op.create_table(
        "history",
        sa.Column("referral_id", sa.Uuid, sa.ForeignKey("referrals.id"), nullable=False),
        sa.Column("step", sa.Integer, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("referral_id", "step"),
    )
    op.create_table(
        "answers",
        sa.Column("referral_id", sa.Uuid, sa.ForeignKey("referrals.id"), nullable=False),
        sa.Column("answer_id", sa.Text, nullable=False),
        sa.Column("fingerprint", sa.LargeBinary, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("step", sa.Integer, nullable=False),
        sa.Column("appointment_day", sa.Date),
        sa.Column("story_sufficient", sa.Boolean),
        sa.Column("sealed", sa.LargeBinary),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("referral_id", "answer_id"),
    )
