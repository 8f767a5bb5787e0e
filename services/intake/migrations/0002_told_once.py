"""Cases found again and joined, agreements withdrawn, who may read which story, who did."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Forward only: a mistake is mended by the next migration."""
    op.add_column("cases", sa.Column("birth_index", sa.LargeBinary))
    op.add_column("cases", sa.Column("name_index", sa.LargeBinary))
    op.add_column("cases", sa.Column("merged_into", sa.Uuid))
    op.add_column("cases", sa.Column("objected_at", _MOMENT))
    op.add_column("cases", sa.Column("restricted_at", _MOMENT))
    today = sa.text("CURRENT_DATE")
    op.add_column("cases", sa.Column("last_contact_on", sa.Date, nullable=False, server_default=today))
    op.create_index("cases_birth", "cases", ["birth_index"])
    op.create_index("cases_name", "cases", ["name_index"])
    merged = sa.text("merged_into IS NOT NULL")
    op.create_index("cases_merged", "cases", ["merged_into"], postgresql_where=merged)
    op.create_index("cases_last_contact", "cases", ["last_contact_on"])
    unindexed = sa.text("birth_index IS NULL AND identity_sealed IS NOT NULL")
    op.create_index("cases_unindexed", "cases", ["id"], postgresql_where=unindexed)
    op.create_table(
        "search_allowances",
        sa.Column("who", sa.Text, primary_key=True),
        sa.Column("spent_until", _MOMENT, nullable=False),
    )
    op.add_column("visits", sa.Column("story", sa.Boolean, nullable=False, server_default=sa.text("false")))
    op.alter_column("agreements", "given_at", nullable=True)
    op.add_column("agreements", sa.Column("by", sa.Text, nullable=False, server_default="person"))
    op.add_column("agreements", sa.Column("withdrawn_at", _MOMENT))
    op.add_column("agreements", sa.Column("withdrawn_for", sa.Text))
    _create_merges()
    _create_sent_referrals()
    _create_accesses()


def _create_merges() -> None:
    op.create_table(
        "merges",
        sa.Column("number", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("case_id", sa.Uuid, nullable=False),
        sa.Column("merged", sa.Uuid, nullable=False),
        sa.Column("at", _MOMENT, nullable=False),
        sa.Column("org", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("retold", sa.Boolean, nullable=False),
        sa.Column("undone_at", _MOMENT),
        sa.Column("undone_by", sa.Text),
    )
    op.create_index("merges_case", "merges", ["case_id"])
    op.create_index("merges_merged", "merges", ["merged"])


def _create_sent_referrals() -> None:
    op.create_table(
        "sent_referrals",
        sa.Column("referral_id", sa.Uuid, nullable=False),
        sa.Column("case_id", sa.Uuid, nullable=False),
        sa.Column("visit_id", sa.Uuid),
        sa.Column("site", sa.Text),
        sa.Column("need", sa.Text),
        sa.Column("partner", sa.Text),
        sa.Column("category", sa.Text),
        sa.Column("sender", sa.Text),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("step", sa.Integer, nullable=False),
        sa.Column("at", _MOMENT, nullable=False),
    )
    op.create_index("sent_referrals_referral", "sent_referrals", ["referral_id"])
    op.create_index("sent_referrals_case", "sent_referrals", ["case_id"])
    op.create_table(
        "refusals",
        sa.Column("number", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("org", sa.Text, nullable=False),
        sa.Column("at", _MOMENT, nullable=False),
    )
    op.create_index("refusals_org", "refusals", ["org", "at"])


def _create_accesses() -> None:
    op.create_table(
        "accesses",
        sa.Column("number", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("case_id", sa.Uuid),
        sa.Column("erased", sa.LargeBinary),
        sa.Column("at", _MOMENT, nullable=False),
        sa.Column("org", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("referral_id", sa.Uuid),
    )
    op.create_index("accesses_case", "accesses", ["case_id", "org", "at"])
    op.create_index("accesses_erased", "accesses", ["erased"], postgresql_where=sa.text("erased IS NOT NULL"))
    op.create_index("accesses_at", "accesses", ["at"], postgresql_using="brin")
    # Against mistakes, not against whoever owns the table: retention and erasure say so in their transaction.
    op.execute(
        """
        CREATE FUNCTION accesses_only_grow() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF coalesce(current_setting('relais.forgetting', true), '') <> 'on' THEN
                RAISE EXCEPTION 'accesses is append-only';
            END IF;
            RETURN coalesce(NEW, OLD);
        END $$
        """
    )
    op.execute(
        "CREATE TRIGGER accesses_only_grow BEFORE UPDATE OR DELETE ON accesses"
        " FOR EACH ROW EXECUTE FUNCTION accesses_only_grow()"
    )
