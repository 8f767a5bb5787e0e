"""The first tables: narrow facts, each case's timeline, and who knows a case."""

import sqlalchemy as sa
from alembic import op

from services.chassis.tables_v1 import create_messaging_tables

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create everything."""
    create_messaging_tables()
    op.create_table(
        "visits",
        sa.Column("site", sa.Text, primary_key=True),
        sa.Column("visit_id", sa.Uuid, primary_key=True),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("day", sa.Date, nullable=False),
        sa.Column("mode", sa.Text, nullable=False),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("visit_class", sa.Text, nullable=False),
        sa.Column("spie", sa.Boolean, nullable=False),
        sa.Column("charter", sa.Text),
        sa.Column("commune", sa.Text),
        sa.Column("department", sa.Text, nullable=False),
        sa.Column("quarter", sa.Text),
        sa.Column("age_band", sa.Text, nullable=False),
        sa.Column("sex", sa.Text),
        sa.Column("publics", sa.ARRAY(sa.Text), nullable=False),
    )
    op.create_index("visits_day", "visits", ["day"])
    op.create_table(
        "needs",
        sa.Column("site", sa.Text, primary_key=True),
        sa.Column("visit_id", sa.Uuid, primary_key=True),
        sa.Column("position", sa.Integer, primary_key=True),
        sa.Column("code", sa.Text, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("operator", sa.Text),
        sa.Column("label", sa.Text),
    )
    op.create_table(
        "proposals",
        sa.Column("orientation_id", sa.Uuid, primary_key=True),
        sa.Column("position", sa.Integer, primary_key=True),
        sa.Column("site", sa.Text, nullable=False),
        sa.Column("visit_id", sa.Uuid, nullable=False),
        sa.Column("day", sa.Date, nullable=False),
        sa.Column("need", sa.Text, nullable=False),
        sa.Column("rule", sa.Text, nullable=False),
        sa.Column("partner", sa.Text),
        sa.Column("category", sa.Text),
        sa.Column("desk_first", sa.Boolean, nullable=False),
        sa.Column("unmet", sa.Boolean, nullable=False),
        sa.Column("chosen", sa.Text),
    )
    op.create_index("proposals_day", "proposals", ["day"])
    op.create_table(
        "referral_steps",
        sa.Column("referral_id", sa.Uuid, primary_key=True),
        sa.Column("step", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("case", sa.Uuid, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("sent_day", sa.Date),
        sa.Column("site", sa.Text),
        sa.Column("visit_id", sa.Uuid),
        sa.Column("need", sa.Text),
        sa.Column("partner", sa.Text),
        sa.Column("category", sa.Text),
        sa.Column("department", sa.Text),
    )
    op.create_index(
        "referral_steps_sent", "referral_steps", ["sent_day"], postgresql_where=sa.text("sent_day IS NOT NULL")
    )
    op.create_table(
        "timeline",
        sa.Column("case", sa.Uuid, primary_key=True),
        sa.Column("at", sa.DateTime(timezone=True), primary_key=True),
        sa.Column("event_id", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("site", sa.Text),
        sa.Column("codes", sa.JSON, nullable=False),
    )
    op.create_table(
        "case_sites",
        sa.Column("case", sa.Uuid, primary_key=True),
        sa.Column("site", sa.Text, primary_key=True),
        sa.Column("visit_id", sa.Uuid, primary_key=True),
    )
