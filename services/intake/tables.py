"""Intake's tables. Whatever identifies or was told freely is sealed with the case's key."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    Uuid,
    text,
)

metadata = MetaData()
_ANONYMOUS_TEXT = text("case_id IS NULL AND free_text_sealed IS NOT NULL")

cases = Table(
    "cases",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("site", Text, nullable=False),
    Column("reference_index", LargeBinary, nullable=False, unique=True),
    Column("reference_sealed", LargeBinary, nullable=False),
    Column("identity_index", LargeBinary),
    Column("identity_sealed", LargeBinary),
    Column("opened_at", DateTime(timezone=True), nullable=False),
    Column("birth_index", LargeBinary),
    Column("name_index", LargeBinary),
    Column("merged_into", Uuid),
    Column("objected_at", DateTime(timezone=True)),
    Column("restricted_at", DateTime(timezone=True)),
    Column("last_contact_on", Date, nullable=False, server_default=text("CURRENT_DATE")),
    Index("cases_identity", "identity_index"),
    Index("cases_birth", "birth_index"),
    Index("cases_name", "name_index"),
    Index("cases_merged", "merged_into", postgresql_where=text("merged_into IS NOT NULL")),
    Index("cases_last_contact", "last_contact_on"),
    Index("cases_unindexed", "id", postgresql_where=text("birth_index IS NULL AND identity_sealed IS NOT NULL")),
    comment="identity_index, birth_index, name_index: keyed, by which a person is found again. merged_into: the case"
    " that this one is read with, never itself merged. last_contact_on: what retention counts from (a Paris day).",
)

visits = Table(
    "visits",
    metadata,
    Column("site", Text, nullable=False),
    Column("visit_id", Uuid, nullable=False),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("case_id", Uuid, ForeignKey("cases.id"), index=True),
    Column("possible_matches", Integer, nullable=False),
    Column("occurred_at", DateTime(timezone=True), nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    Column("facts", Text, nullable=False),
    Column("free_text_sealed", LargeBinary),
    Column("story", Boolean, nullable=False, server_default=text("false")),
    PrimaryKeyConstraint("site", "visit_id"),
    Index("visits_anonymous_texts", "occurred_at", postgresql_where=_ANONYMOUS_TEXT),
    comment="facts: the coded visit as published; free_text_sealed: story, notes, override reasons; story: whether one"
    " is among them.",
)

erased_visits = Table(
    "erased_visits",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    comment="Visits of erased cases, so that none is recorded anew when sent again: SHA-256 of site and visit_id.",
)

agreements = Table(
    "agreements",
    metadata,
    Column("case_id", Uuid, ForeignKey("cases.id"), nullable=False),
    Column("recipient", Text, nullable=False),
    Column("sensitive", Boolean, nullable=False),
    Column("given_at", DateTime(timezone=True)),
    Column("form", Text, nullable=False),
    Column("by", Text, nullable=False, server_default="person"),
    Column("withdrawn_at", DateTime(timezone=True)),
    Column("withdrawn_for", Text),
    Column("told", Boolean, nullable=False, server_default="false"),
    PrimaryKeyConstraint("case_id", "recipient"),
    comment="The last decision for each recipient, a category or a partner id: given, and then maybe withdrawn."
    " given_at is null where it was refused without having been given."
    " told: as the case's, so that it counts for every visit; else by a visit, for that visit.",
)

merges = Table(
    "merges",
    metadata,
    Column("number", BigInteger, Identity(always=True), primary_key=True),
    Column("case_id", Uuid, nullable=False),
    Column("merged", Uuid, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("org", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("retold", Boolean, nullable=False),
    Column("undone_at", DateTime(timezone=True)),
    Column("undone_by", Text),
    Index("merges_case", "case_id"),
    Index("merges_merged", "merged"),
    comment="Who joined which cases, and who took it back.",
)

sent_referrals = Table(
    "sent_referrals",
    metadata,
    Column("referral_id", Uuid, nullable=False),
    Column("case_id", Uuid, nullable=False),
    Column("visit_id", Uuid),
    Column("site", Text),
    Column("need", Text),
    Column("partner", Text),
    Column("category", Text),
    Column("sender", Text),
    Column("state", Text, nullable=False),
    Column("step", Integer, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Index("sent_referrals_referral", "referral_id"),
    Index("sent_referrals_case", "case_id"),
    comment="What intake heard of referrals, a row for each step: who may read which story. Rows are only added, in any"
    " order: the state is that of the highest step. What only the sending says is null on the others.",
)

allowances = Table(
    "allowances",
    metadata,
    Column("who", Text, primary_key=True),
    Column("spent_until", DateTime(timezone=True), nullable=False),
    comment="Until when each organisation and agent has spent its searches, and stories it may not read: a row each.",
)

accesses = Table(
    "accesses",
    metadata,
    Column("number", BigInteger, Identity(always=True), primary_key=True),
    Column("case_id", Uuid),
    Column("erased", LargeBinary),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("org", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("referral_id", Uuid),
    Index("accesses_case", "case_id", "org", "at"),
    Index("accesses_erased", "erased", postgresql_where=text("erased IS NOT NULL")),
    Index("accesses_at", "at", postgresql_using="brin"),
    comment="Who looked or acted, when, and what for: append-only, kept 36 months (CRPA, R. 114-9-1 and following)."
    " erased: the digest of an erased case's id, in its place.",
)
