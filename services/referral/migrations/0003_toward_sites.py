"""Referrals from a partner toward a site: without orientation or proposal, and maybe without visit and case.

Replicas of the earlier release may go on: they write no such referral, and what they write is as it was.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_OF_A_VISIT = ("orientation_id", "proposal", "visit_id", "case_id")
_FROM_A_VISIT = (
    "CASE WHEN sender IS NULL THEN num_nulls(orientation_id, proposal, visit_id, case_id) = 0"
    " ELSE fingerprint IS NOT NULL END"
)


def upgrade() -> None:
    """Add the sender's columns; what every referral of a visit has stays required of those."""
    for name, kind in (("sender", sa.Text), ("about", sa.Uuid), ("fingerprint", sa.LargeBinary)):
        op.add_column("referrals", sa.Column(name, kind))
    op.add_column("referrals", sa.Column("sealed", sa.LargeBinary))
    op.create_check_constraint("from_a_visit_or_a_sender", "referrals", _FROM_A_VISIT)
    for name in _OF_A_VISIT:
        op.alter_column("referrals", name, nullable=True)
    known = sa.text("sender IS NOT NULL")
    op.create_index("referrals_of_sender", "referrals", ["sender", "change"], postgresql_where=known)
