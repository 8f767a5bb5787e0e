"""Orientation's tables."""

from sqlalchemy import Column, DateTime, MetaData, Table, Text, UniqueConstraint, Uuid

metadata = MetaData()

orientations = Table(
    "orientations",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("site", Text, nullable=False),
    Column("visit_id", Uuid, nullable=False),
    Column("case_id", Uuid),
    Column("rules_version", Text, nullable=False),
    Column("proposals", Text, nullable=False),
    Column("proposed_at", DateTime(timezone=True), nullable=False),
    UniqueConstraint("site", "visit_id", name="orientation_of_visit"),
    comment="proposals: JSON as in OrientationProposed, without contact sheets.",
)
