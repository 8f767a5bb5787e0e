"""The chassis's tables for events that leave by webhook: see `services.chassis.tables`."""

import sqlalchemy as sa
from alembic import op


def create_webhook_tables() -> None:
    """What signs, and what could not be delivered at once, for a service that has such recipients."""
    op.create_table(
        "webhook_secrets",
        sa.Column("number", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("recipient", sa.Text, nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True)),
    )
    op.create_index("webhook_secrets_of", "webhook_secrets", ["recipient"])
    op.create_table(
        "webhook_deliveries",
        sa.Column("position", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("recipient", sa.Text, nullable=False),
        sa.Column("event", sa.Text, nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("first_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True)),
        sa.Column("failed_at", sa.DateTime(timezone=True)),
        sa.CheckConstraint("num_nulls(due_at, failed_at) = 1", name="due_or_failed"),
    )
    op.create_index("webhook_deliveries_of", "webhook_deliveries", ["recipient", "position"])
    due = sa.text("due_at IS NOT NULL")
    op.create_index("webhook_deliveries_due", "webhook_deliveries", ["recipient", "due_at"], postgresql_where=due)
