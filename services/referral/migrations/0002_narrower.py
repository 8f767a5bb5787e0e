"""History without a foreign key (a lock of the referral for each row), referrals without an index nobody reads by.

Replicas of the earlier release may go on: nothing they write to is gone.
"""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Drop both."""
    op.drop_constraint("history_referral_id_fkey", "history")
    op.drop_index("referrals_of_proposal", "referrals")
