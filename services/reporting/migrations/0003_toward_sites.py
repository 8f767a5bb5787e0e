"""Referrals from a partner toward a site have a sender, and maybe no case.

Replicas of the earlier release may go on, but park the events of a referral without a case.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the one, no longer require the other."""
    op.add_column("referral_steps", sa.Column("sender", sa.Text))
    op.alter_column("referral_steps", "case", nullable=True)
