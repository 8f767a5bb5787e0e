"""What was proposed is in the ledger: a second copy that nobody reads goes.

Stop orientation's replicas of the earlier release first: they write to the table that goes.
"""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Drop it."""
    op.drop_table("orientations")
