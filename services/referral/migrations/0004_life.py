"""The full life of a referral: all its states, its clocks, where it went on, and what happened in each step.

What replicas of the earlier release write gets a clock that is set right at its first ring; but they cannot read what
this release writes: they are stopped first.
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
_OPEN = "state IN ('awaiting-agreement', 'sent', 'received', 'accepted', 'in-progress', 'on-hold')"


def upgrade() -> None:
    """Add the columns: no row is written. The checks and the index read each row once, however many there are.

    Referrals that are open begin their clocks now: nobody was told that they would expire.
    """
    op.execute("SET LOCAL statement_timeout = 0")
    known = "state IN ({})".format(", ".join(f"'{state}'" for state in _STATES))
    op.drop_constraint("known_state", "referrals")
    op.create_check_constraint("known_state", "referrals", known)
    op.create_check_constraint("known_state", "history", known)
    op.add_column(
        "referrals", sa.Column("since", sa.DateTime(timezone=True), nullable=False, server_default=sa.text("now()"))
    )
    op.add_column("referrals", sa.Column("wake_at", sa.DateTime(timezone=True)))
    for name in ("reminders", "escalations", "bounces"):
        op.add_column("referrals", sa.Column(name, sa.Integer, nullable=False, server_default="0"))
    op.add_column("referrals", sa.Column("never_sent", sa.Boolean, nullable=False, server_default="false"))
    for name in ("previous", "next_id"):
        op.add_column("referrals", sa.Column(name, sa.Uuid))
    op.create_index(
        "referrals_to_wake",
        "referrals",
        [sa.text("coalesce(wake_at, opened_at)")],
        postgresql_where=sa.text(_OPEN),
    )
    op.add_column("history", sa.Column("event", sa.Text))
    events = ", ".join(f"'{event}'" for event in _EVENTS)
    op.create_check_constraint("known_event", "history", f"event IN ({events})")
