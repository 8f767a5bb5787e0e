"""What orientation keeps of the world outside: the official list of sites, and what changed in it.

What was proposed is in the ledger, and nowhere else.
"""

from sqlalchemy import Boolean, Column, Date, DateTime, Float, MetaData, PrimaryKeyConstraint, Table, Text
from sqlalchemy.dialects.postgresql import ARRAY

metadata = MetaData()

listed_sites = Table(
    "listed_sites",
    metadata,
    Column("id", Text, primary_key=True),
    Column("commune", Text, nullable=False),
    Column("labelled_on", Date, nullable=False),
    Column("listed_on", Date, nullable=False),
    Column("gone_on", Date),
    Column("document", Text, nullable=False),
    comment="id: id_fs; listed_on: date of the last list that has it; gone_on: of the first that has it no more.",
)

site_changes = Table(
    "site_changes",
    metadata,
    Column("site", Text, nullable=False),
    Column("listed_on", Date, nullable=False),
    Column("field", Text, nullable=False),
    Column("before", Text),
    Column("after", Text),
    PrimaryKeyConstraint("site", "listed_on", "field"),
    comment="The history of addresses, labels, hours…, as JSON values: what each list changed since the one before.",
)

rules_in_use = Table(
    "rules_in_use",
    metadata,
    Column("since", DateTime(timezone=True), primary_key=True),
    Column("version", Text, nullable=False),
    Column("network", Text, nullable=False),
    comment="network: what decides whom to meet, as JSON, without contact sheets. Never deleted: rules of their day.",
)

directory_snapshots = Table(
    "directory_snapshots",
    metadata,
    Column("kind", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("listed_on", Date, nullable=False),
    PrimaryKeyConstraint("kind", "source"),
    comment="kind: structures or services; listed_on: date of the last file with rows of that source.",
)

structures = Table(
    "structures",
    metadata,
    Column("id", Text, primary_key=True),
    Column("source", Text, nullable=False),
    Column("latitude", Float),
    Column("longitude", Float),
    Column("gone_on", Date),
    Column("document", Text, nullable=False),
    comment="document: a data·inclusion v1 structure; gone_on: date of the first snapshot that has it no more.",
)

services = Table(
    "services",
    metadata,
    Column("id", Text, primary_key=True),
    Column("source", Text, nullable=False),
    Column("structure_id", Text, nullable=False),
    Column("sort_name", Text, nullable=False),
    Column("thematiques", ARRAY(Text), nullable=False),
    Column("publics", ARRAY(Text), nullable=False),
    Column("zones", ARRAY(Text), nullable=False),
    Column("remote", Boolean, nullable=False),
    Column("latitude", Float),
    Column("longitude", Float),
    Column("gone_on", Date),
    Column("document", Text, nullable=False),
    comment="A data·inclusion v1 service, and what is searched in it. thematiques: with their categories; zones: INSEE"
    " codes of today; remote: at a distance only.",
)
