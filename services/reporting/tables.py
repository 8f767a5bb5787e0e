"""What reporting keeps: one narrow row per fact, because later events amend and void single visits.

Rows are only ever added, by one multi-row INSERT per table and batch, and in any order of arrival: what a referral
is now is its highest step, read at query time. Dates named `day` are Paris days.
"""

from sqlalchemy import ARRAY, JSON, Boolean, Column, Date, DateTime, Index, Integer, MetaData, Table, Text, Uuid

metadata = MetaData()

visits = Table(
    "visits",
    metadata,
    Column("site", Text, primary_key=True),
    Column("visit_id", Uuid, primary_key=True),
    Column("occurred_at", DateTime(timezone=True), nullable=False),
    Column("day", Date, nullable=False),
    Column("mode", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("visit_class", Text, nullable=False),
    Column("spie", Boolean, nullable=False),
    Column("charter", Text),
    Column("commune", Text),
    Column("department", Text, nullable=False),
    Column("quarter", Text),
    Column("age_band", Text, nullable=False),
    Column("sex", Text),
    Column("publics", ARRAY(Text), nullable=False),
    Index("visits_day", "day"),
)

needs = Table(
    "needs",
    metadata,
    Column("site", Text, primary_key=True),
    Column("visit_id", Uuid, primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("code", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("operator", Text),
    Column("label", Text),
)

# `category` and `partner` are the first recipient's.
proposals = Table(
    "proposals",
    metadata,
    Column("orientation_id", Uuid, primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("site", Text, nullable=False),
    Column("visit_id", Uuid, nullable=False),
    Column("day", Date, nullable=False),
    Column("need", Text, nullable=False),
    Column("rule", Text, nullable=False),
    Column("partner", Text),
    Column("category", Text),
    Column("desk_first", Boolean, nullable=False),
    Column("unmet", Boolean, nullable=False),
    Column("chosen", Text),
    Index("proposals_day", "day"),
)

# Every state a referral has been in. What only `ReferralSent` says is null on the other rows: they may come first.
referral_steps = Table(
    "referral_steps",
    metadata,
    Column("referral_id", Uuid, primary_key=True),
    Column("step", Integer, primary_key=True, autoincrement=False),
    Column("state", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("case", Uuid, nullable=False),
    Column("reason", Text),
    Column("sent_day", Date),
    Column("site", Text),
    Column("visit_id", Uuid),
    Column("need", Text),
    Column("partner", Text),
    Column("category", Text),
    Column("department", Text),
)
Index("referral_steps_sent", referral_steps.c.sent_day, postgresql_where=referral_steps.c.sent_day.is_not(None))

timeline = Table(
    "timeline",
    metadata,
    Column("case", Uuid, primary_key=True),
    Column("at", DateTime(timezone=True), primary_key=True),
    Column("event_id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("site", Text),
    Column("codes", JSON, nullable=False),
)

# One row per visit that made a site know a case: voiding that visit takes exactly this reason away.
case_sites = Table(
    "case_sites",
    metadata,
    Column("case", Uuid, primary_key=True),
    Column("site", Text, primary_key=True),
    Column("visit_id", Uuid, primary_key=True),
)
