"""What orientation keeps of the world outside: the official list of sites, and what changed in it.

What was proposed is in the ledger, and nowhere else.
"""

from sqlalchemy import Column, Date, MetaData, PrimaryKeyConstraint, Table, Text

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
