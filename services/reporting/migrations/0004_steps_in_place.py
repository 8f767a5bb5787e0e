"""Steps that leave a referral in its state, and which referral follows which.

What replicas of the earlier release write is complete but for what a rerouting says, which supplies it; they park the
states that they do not know, and are stopped first. Rows that were there before are steps into a state.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the columns."""
    op.add_column("referral_steps", sa.Column("event", sa.Text))
    op.add_column("referral_steps", sa.Column("previous", sa.Uuid))
    op.add_column("referral_steps", sa.Column("next_referral_id", sa.Uuid))
    op.add_column("referral_steps", sa.Column("bounces", sa.Integer))
