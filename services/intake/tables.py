"""Intake's tables. Whatever identifies or was told freely is sealed with the case's key."""

from sqlalchemy import (
    Boolean,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    Uuid,
)

metadata = MetaData()

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
    Index("cases_identity", "identity_index"),
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
    PrimaryKeyConstraint("site", "visit_id"),
    comment="facts: the coded visit as published; free_text_sealed: story, notes, override reasons.",
)

agreements = Table(
    "agreements",
    metadata,
    Column("case_id", Uuid, ForeignKey("cases.id"), nullable=False),
    Column("recipient", Text, nullable=False),
    Column("sensitive", Boolean, nullable=False),
    Column("given_at", DateTime(timezone=True), nullable=False),
    Column("form", Text, nullable=False),
    PrimaryKeyConstraint("case_id", "recipient"),
    comment="recipient: a category or a partner id.",
)
