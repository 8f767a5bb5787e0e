"""The chassis's tables as they were first released. A later change is a new function, called by a new migration."""

import sqlalchemy as sa
from alembic import op


def create_messaging_tables() -> None:
    """Outbox, marks, inbox and failures: see `services.chassis.tables`."""
    op.create_table(
        "outbox",
        sa.Column("position", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("recipient", sa.Text),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("routing_key", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    )
    outside = sa.text("recipient IS NOT NULL")
    op.create_index("outbox_to_recipients", "outbox", ["recipient", "position"], postgresql_where=outside)
    op.create_index("outbox_outside", "outbox", ["position"], postgresql_where=outside)
    op.create_table(
        "marks",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("position", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "inbox",
        sa.Column("source", sa.Text, primary_key=True),
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("handled_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.text("now()")),
    )
    op.create_table(
        "failures",
        sa.Column("number", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("queue", sa.Text, nullable=False),
        sa.Column("source", sa.Text),
        sa.Column("id", sa.Text),
        sa.Column("content_type", sa.Text, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("failed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True)),
    )
    op.create_index(
        "failures_event",
        "failures",
        ["queue", "source", "id"],
        unique=True,
        postgresql_where=sa.text("id IS NOT NULL"),
    )
    op.create_index("failures_due", "failures", ["due_at"], postgresql_where=sa.text("due_at IS NOT NULL"))


def create_vault_table() -> None:
    """One wrapped key per case, for a service that keeps free text."""
    op.create_table(
        "vault_keys",
        sa.Column("owner", sa.Uuid, primary_key=True),
        sa.Column("wrapped", sa.LargeBinary, nullable=False),
    )
