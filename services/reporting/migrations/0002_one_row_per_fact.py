"""A case's timeline is read from the facts themselves: what it repeated of them goes, with its two tables.

Stop reporting's replicas of the earlier release first: they write to the tables that go.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_MOVES = (
    (
        'UPDATE visits SET "case" = told."case" FROM case_sites AS told'
        " WHERE (visits.site, visits.visit_id) = (told.site, told.visit_id)"
    ),
    (
        'UPDATE proposals SET "case" = told."case", at = told.at FROM timeline AS told'
        " WHERE told.kind = 'orientation' AND told.site = proposals.site"
        " AND CAST(told.codes ->> 'visit_id' AS uuid) = proposals.visit_id"
    ),
    (
        "UPDATE referral_steps AS step SET from_state = told.codes ->> 'from_state',"
        " appointment_day = CAST(told.codes ->> 'appointment_day' AS date) FROM timeline AS told"
        ' WHERE told."case" = step."case" AND told.at = step.at AND told.kind = \'referral-\' || step.state'
        " AND CAST(told.codes ->> 'referral_id' AS uuid) = step.referral_id AND step.step > 1"
    ),
)


def upgrade() -> None:
    """Add the columns, fill them, drop the tables."""
    op.add_column("visits", sa.Column("case", sa.Uuid))
    op.add_column("proposals", sa.Column("case", sa.Uuid))
    op.add_column("proposals", sa.Column("at", sa.DateTime(timezone=True)))
    op.add_column("referral_steps", sa.Column("from_state", sa.Text))
    op.add_column("referral_steps", sa.Column("appointment_day", sa.Date))
    for statement in _MOVES:
        op.execute(statement)
    known = sa.text('"case" IS NOT NULL')
    op.create_index("visits_case", "visits", ["case"], postgresql_where=known)
    op.create_index("proposals_case", "proposals", ["case"], postgresql_where=known)
    op.create_index("referral_steps_case", "referral_steps", ["case"])
    op.drop_table("timeline")
    op.drop_table("case_sites")
