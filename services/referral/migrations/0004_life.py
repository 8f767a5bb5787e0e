"""The full life of a referral: all its states, its clocks, where it went on, and what happened in each step.

Replicas of the earlier release may go on: what they write gets a clock that is set right at its first ring.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_STATES = (
    "awaiting-agreement",
    "sent",
    "received",
    "accepted",
    "in-progress",
    "on-hold",
    "declined",
    "completed",
    "failed",
    "withdrawn",
    "expired",
    "entered-in-error",
)
_EVENTS = ("reminded", "escalated", "rerouted")
_CLOCKS = """
UPDATE referrals SET since = CASE WHEN state = 'accepted' THEN changed_at ELSE opened_at END,
    wake_at = CASE WHEN state IN ('declined', 'completed') THEN NULL ELSE wake_at END
"""


def upgrade() -> None:
    """Add the columns; referrals that have ended have no clock, those that were answered run since their answer."""
    known = "state IN ({})".format(", ".join(f"'{state}'" for state in _STATES))
    op.drop_constraint("known_state", "referrals")
    op.create_check_constraint("known_state", "referrals", known)
    op.create_check_constraint("known_state", "history", known)
    now = sa.text("now()")
    for name in ("since", "wake_at"):
        op.add_column("referrals", sa.Column(name, sa.DateTime(timezone=True), server_default=now))
    for name in ("reminders", "escalations", "bounces"):
        op.add_column("referrals", sa.Column(name, sa.Integer, nullable=False, server_default="0"))
    for name in ("previous", "next_id"):
        op.add_column("referrals", sa.Column(name, sa.Uuid))
    op.execute(_CLOCKS)
    op.alter_column("referrals", "since", nullable=False)
    op.create_index("referrals_to_wake", "referrals", ["wake_at"], postgresql_where=sa.text("wake_at IS NOT NULL"))
    op.add_column("history", sa.Column("event", sa.Text))
    events = ", ".join(f"'{event}'" for event in _EVENTS)
    op.create_check_constraint("known_event", "history", f"event IN ({events})")
