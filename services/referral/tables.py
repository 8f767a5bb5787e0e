"""Referral's tables. A partner's note is sealed with the case's key, or where there is no case with the referral's."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Sequence,
    Table,
    Text,
    Uuid,
    text,
)

from services.contracts.codes import ReferralState
from services.referral.domain import life

metadata = MetaData()
EVENTS = ("reminded", "escalated", "rerouted")
_KNOWN_STATE = "state IN ({})".format(", ".join(f"'{state}'" for state in ReferralState))
_NOW = text("now()")
IS_OPEN = "state IN ({})".format(", ".join(f"'{state}'" for state in ReferralState if state in life.OPEN))
changes = Sequence("referral_changes", metadata=metadata)
FROM_A_VISIT = (
    "CASE WHEN sender IS NULL THEN num_nulls(orientation_id, proposal, visit_id, case_id) = 0"
    " ELSE fingerprint IS NOT NULL END"
)

referrals = Table(
    "referrals",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("orientation_id", Uuid),
    Column("proposal", Integer),
    Column("visit_id", Uuid),
    Column("case_id", Uuid),
    Column("site", Text, nullable=False),
    Column("need", Text, nullable=False),
    Column("partner", Text, nullable=False),
    Column("category", Text, nullable=False),
    Column("department", Text, nullable=False),
    Column("fallbacks", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("step", Integer, nullable=False),
    Column("due_at", DateTime(timezone=True)),
    Column("opened_at", DateTime(timezone=True), nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    Column("change", BigInteger, nullable=False, server_default=changes.next_value()),
    Column("sender", Text),
    Column("about", Uuid),
    Column("fingerprint", LargeBinary),
    Column("sealed", LargeBinary),
    Column("since", DateTime(timezone=True), nullable=False, server_default=_NOW),
    Column("wake_at", DateTime(timezone=True)),
    Column("reminders", Integer, nullable=False, server_default="0"),
    Column("escalations", Integer, nullable=False, server_default="0"),
    Column("bounces", Integer, nullable=False, server_default="0"),
    Column("never_sent", Boolean, nullable=False, server_default="false"),
    Column("previous", Uuid),
    Column("next_id", Uuid),
    Column("agreed_at", DateTime(timezone=True)),
    Column("reveals_health", Boolean),
    CheckConstraint(_KNOWN_STATE, name="known_state"),
    CheckConstraint(FROM_A_VISIT, name="from_a_visit_or_a_sender"),
    Index("referrals_of_partner", "partner", "change"),
    Index("referrals_of_site", "site", "change"),
    Index("referrals_of_case", "case_id", postgresql_where=text("case_id IS NOT NULL")),
    Index("referrals_without_case", "changed_at", postgresql_where=text("case_id IS NULL")),
    Index("referrals_of_sender", "sender", "change", postgresql_where=text("sender IS NOT NULL")),
    Index("referrals_to_wake", text("coalesce(wake_at, opened_at)"), postgresql_where=text(IS_OPEN)),
    comment="change: number of the last step, in commit order; what a reader pages by. sender, about, fingerprint and"
    " sealed are those of a referral that a partner sent to a site, which has neither orientation nor proposal."
    " fallbacks: whom else the rules named, each with whether the person agreed. since: when the clock of its state"
    " began; wake_at: when it acts next, null: at once. previous, next_id: before it, after it."
    " agreed_at: when the agreement was given that it was sent with. reveals_health: by the need itself, whoever gets"
    " it; null (of an earlier release): maybe."
    " never_sent: it ended before the partner got it, and is nobody's to see but its sender's.",
)

# What whom it is addressed to may see: from the moment it is sent, and never what ended before.
SHOWN_TO_RECIPIENT = referrals.c.state.in_(life.VISIBLE_TO_PARTNER) & ~referrals.c.never_sent

history = Table(
    "history",
    metadata,
    Column("referral_id", Uuid, nullable=False),
    Column("step", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("reason", Text),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("event", Text),
    PrimaryKeyConstraint("referral_id", "step"),
    CheckConstraint(_KNOWN_STATE, name="known_state"),
    CheckConstraint("event IN ({})".format(", ".join(f"'{event}'" for event in EVENTS)), name="known_event"),
    comment="Every step of a referral: the only source for delays. event: what happened in it where the state stays.",
)

answers = Table(
    "answers",
    metadata,
    Column("referral_id", Uuid, ForeignKey("referrals.id"), nullable=False),
    Column("answer_id", Text, nullable=False),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("state", Text, nullable=False),
    Column("step", Integer, nullable=False),
    Column("appointment_day", Date),
    Column("story_sufficient", Boolean),
    Column("sealed", LargeBinary),
    Column("at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("referral_id", "answer_id"),
    comment="sealed: note and appointment details, under the case's key.",
)

agreements = Table(
    "agreements",
    metadata,
    Column("case_id", Uuid, nullable=False),
    Column("recipient", Text, nullable=False),
    Column("given", Boolean, nullable=False),
    Column("sensitive", Boolean, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("case_id", "recipient"),
    comment="What a person decided after a visit, for a category or a partner id: the latest decision for each.",
)

joined_cases = Table(
    "joined_cases",
    metadata,
    Column("case_id", Uuid, primary_key=True),
    Column("into_case", Uuid, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("joined", Boolean, nullable=False),
    Index("joined_cases_into", "into_case"),
    comment="Cases read as another, since agents found them to be one person's; joined false: no more.",
)
