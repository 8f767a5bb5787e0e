"""Cases that were erased; referrals without one by age."""

import sqlalchemy as sa
from alembic import op

from services.chassis.tables_v4 import create_erasure_tables

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Only adds."""
    create_erasure_tables()
    alone = sa.text("case_id IS NULL")
    op.create_index("referrals_without_case", "referrals", ["changed_at"], postgresql_where=alone)
