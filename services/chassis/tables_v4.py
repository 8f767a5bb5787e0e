"""The chassis's tables for what was erased: see `services.chassis.tables`."""

import sqlalchemy as sa
from alembic import op


def create_erasure_tables() -> None:
    """Tombstones, and the work that they leave."""
    op.create_table(
        "erased",
        sa.Column("digest", sa.LargeBinary, primary_key=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("erased_at", "erased", ["at"])
    op.create_table(
        "forgetting",
        sa.Column("digest", sa.LargeBinary, primary_key=True),
        sa.Column("subject", sa.Uuid, nullable=False),
        sa.Column("secret", sa.Uuid, nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("needles", sa.ARRAY(sa.Uuid), nullable=False),
        sa.Column("horizon", sa.BigInteger),
        sa.Column("swept_at", sa.DateTime(timezone=True)),
    )
