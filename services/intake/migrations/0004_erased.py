"""Cases and visits that were erased; texts of anonymous visits by age."""

import sqlalchemy as sa
from alembic import op

from services.chassis.tables_v4 import create_erasure_tables

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Only adds."""
    create_erasure_tables()
    op.create_table("erased_visits", sa.Column("digest", sa.LargeBinary, primary_key=True))
    anonymous = sa.text("case_id IS NULL AND free_text_sealed IS NOT NULL")
    op.create_index("visits_anonymous_texts", "visits", ["occurred_at"], postgresql_where=anonymous)
