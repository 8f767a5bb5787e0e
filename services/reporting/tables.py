"""What reporting keeps: one narrow row per fact, because later events amend and void single visits.

Rows are only ever added, by one multi-row INSERT per table and batch, and in any order of arrival: what a referral
is now is its highest step, read at query time. A case's timeline, and which sites know it, are read from the same
rows. Dates named `day` are Paris days.
"""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Identity,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    Uuid,
    text,
)

metadata = MetaData()

# The database writes `written_on`, the same in a visit and its needs, which one transaction writes: whatever numbers
# sites give their visits, new ones are together in the index. That a visit is counted once, the inbox sees to.
visits = Table(
    "visits",
    metadata,
    Column("written_on", Date, primary_key=True, server_default=text("CURRENT_DATE")),
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
    Column("case", Uuid),
    Column("retold", Boolean),
    Index("visits_day", "day"),
    Index("visits_case", "case", postgresql_where=text('"case" IS NOT NULL')),
)

needs = Table(
    "needs",
    metadata,
    Column("written_on", Date, primary_key=True, server_default=text("CURRENT_DATE")),
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
    Column("case", Uuid),
    Column("at", DateTime(timezone=True)),
    Index("proposals_day", "day"),
    Index("proposals_case", "case", postgresql_where=text('"case" IS NOT NULL')),
)

# Every step of a referral, its waiting for the agreement included. What only `ReferralSent`, or of what waits
# `ReferralHeld`, says is null on the other rows: they may come first. `sent_day` is of the sending alone. `event` says
# what happened where the state stays (`reminded`, `escalated`, `rerouted`), and is null for a step into a state.
# Of a rerouting, `partner`, `category` and `next_referral_id` are those of the next recipient's referral; `bounces` is
# how many recipients had been left behind by then. `due_at`, of a sending: when silence is overdue.
referral_steps = Table(
    "referral_steps",
    metadata,
    Column("referral_id", Uuid, primary_key=True),
    Column("step", Integer, primary_key=True, autoincrement=False),
    Column("state", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("case", Uuid),
    Column("reason", Text),
    Column("sent_day", Date),
    Column("site", Text),
    Column("visit_id", Uuid),
    Column("need", Text),
    Column("partner", Text),
    Column("category", Text),
    Column("department", Text),
    Column("from_state", Text),
    Column("appointment_day", Date),
    Column("sender", Text),
    Column("event", Text),
    Column("previous", Uuid),
    Column("next_referral_id", Uuid),
    Column("bounces", Integer),
    Column("story_sufficient", Boolean),
    Column("due_at", DateTime(timezone=True)),
    Index("referral_steps_case", "case"),
)
Index("referral_steps_sent", referral_steps.c.sent_day, postgresql_where=referral_steps.c.sent_day.is_not(None))
# Joined from the outside, so that no visit is lost should it have no need.
visits_with_needs = visits.outerjoin(
    needs,
    (needs.c.written_on == visits.c.written_on)
    & (needs.c.site == visits.c.site)
    & (needs.c.visit_id == visits.c.visit_id),
)

# What happened to a case itself, one row for each event: `kind` is `agreement-given`, `agreement-withdrawn`, `merged`,
# `unmerged`; `other` is the case that was joined to it, `site` whose agent found it. `at` is when an agreement's
# decision was taken.
case_steps = Table(
    "case_steps",
    metadata,
    Column("number", BigInteger, Identity(always=True), primary_key=True),
    Column("case", Uuid, nullable=False),
    Column("kind", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("recipient", Text),
    Column("sensitive", Boolean),
    Column("reason", Text),
    Column("other", Uuid),
    Column("retold", Boolean),
    Column("site", Text),
    Index("case_steps_case", "case"),
    Index("case_steps_other", "other", postgresql_where=text("other IS NOT NULL")),
    Index("case_steps_retold", "other", postgresql_where=text("retold")),
)
