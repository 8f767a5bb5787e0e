"""The tables that every service has in its own database: outbox, marks, inbox, failures, erased, forgetting.

Vault keys: only where free text is kept. Sessions and used invitations: only where there are pages with a login.
Webhooks' secrets and deliveries: only where events leave by webhook.
"""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    Uuid,
    text,
)

metadata = MetaData()

outbox = Table(
    "outbox",
    metadata,
    Column("position", BigInteger, Identity(always=True), primary_key=True),
    Column("recipient", Text),
    Column("type", Text, nullable=False),
    Column("routing_key", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Index("outbox_to_recipients", "recipient", "position", postgresql_where=text("recipient IS NOT NULL")),
    Index("outbox_outside", "position", postgresql_where=text("recipient IS NOT NULL")),
    comment="The ledger of what this service published: append-only, in commit order; recipient NULL means inside.",
)

marks = Table(
    "marks",
    metadata,
    Column("name", Text, primary_key=True),
    Column("position", BigInteger, nullable=False),
    comment="How far each reader of the outbox got.",
)

inbox = Table(
    "inbox",
    metadata,
    Column("source", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("handled_at", DateTime(timezone=True), nullable=False, server_default=text("now()")),
    comment="Events handled, so that a second delivery has no second effect.",
)

failures = Table(
    "failures",
    metadata,
    Column("number", BigInteger, Identity(always=True), primary_key=True),
    Column("queue", Text, nullable=False),
    Column("source", Text),
    Column("id", Text),
    Column("content_type", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("reason", Text, nullable=False),
    Column("failed_at", DateTime(timezone=True), nullable=False),
    Column("due_at", DateTime(timezone=True)),
    Index("failures_event", "queue", "source", "id", unique=True, postgresql_where=text("id IS NOT NULL")),
    Index("failures_due", "due_at", postgresql_where=text("due_at IS NOT NULL")),
    comment="Events that failed: tried again when due; parked for good when due_at is NULL.",
)

erased = Table(
    "erased",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("at", DateTime(timezone=True), nullable=False),
    Index("erased_at", "at"),
    comment="Cases that were erased: SHA-256 of the id's 16 bytes, by which an event that comes late is known.",
)

forgetting = Table(
    "forgetting",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("subject", Uuid, nullable=False),
    Column("secret", Uuid, nullable=False),
    Column("opened_at", DateTime(timezone=True), nullable=False),
    Column("since", DateTime(timezone=True), nullable=False),
    Column("needles", ARRAY(Uuid), nullable=False),
    Column("horizon", BigInteger),
    Column("swept_at", DateTime(timezone=True)),
    comment="What is left to do for an erased case: its ledger rows, written from opened_at on, hold one of needles."
    " horizon: once no older transaction writes, its rows are rewritten (swept_at). After a time of grace what was"
    " written since is, too, and this row is dropped with its secret.",
)

vault_keys = Table(
    "vault_keys",
    metadata,
    Column("owner", Uuid, primary_key=True),
    Column("wrapped", LargeBinary, nullable=False),
    comment="One key per case, wrapped by the master key; destroyed on erasure.",
)

sessions = Table(
    "sessions",
    metadata,
    Column("id_hash", LargeBinary, primary_key=True),
    Column("role", Text, nullable=False),
    Column("org", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("opened_at", DateTime(timezone=True), nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    comment="Who is logged in to the pages. id_hash: SHA-256 of what the cookie holds, which is nowhere here.",
)

invitations_used = Table(
    "invitations_used",
    metadata,
    Column("jti", Text, primary_key=True),
    Column("used_at", DateTime(timezone=True), nullable=False),
    comment="Invitations that opened a session, so that none opens a second.",
)

webhook_secrets = Table(
    "webhook_secrets",
    metadata,
    Column("number", BigInteger, Identity(always=True), primary_key=True),
    Column("recipient", Text, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("made_at", DateTime(timezone=True), nullable=False),
    Column("ends_at", DateTime(timezone=True)),
    Index("webhook_secrets_of", "recipient"),
    comment="What signs a recipient's webhooks, sealed; all that have not ended sign.",
)

webhook_deliveries = Table(
    "webhook_deliveries",
    metadata,
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("recipient", Text, nullable=False),
    Column("event", Text, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("reason", Text),
    Column("first_at", DateTime(timezone=True), nullable=False),
    Column("due_at", DateTime(timezone=True)),
    Column("failed_at", DateTime(timezone=True)),
    Column("reached", Boolean, nullable=False, server_default=text("true")),
    CheckConstraint("num_nulls(due_at, failed_at) = 1", name="due_or_failed"),
    Index("webhook_deliveries_of", "recipient", "position"),
    Index("webhook_deliveries_due", "recipient", "due_at", postgresql_where=text("due_at IS NOT NULL")),
    comment="Events of the ledger, by position, that could not be delivered at once: due again, or failed for good."
    " reached: a try may have brought it there all the same.",
)
