"""What signs a recipient's webhooks: made here, shown once, kept sealed; after a rotation two sign for a day."""

import base64
import secrets
from datetime import timedelta
from uuid import UUID, uuid3

from sqlalchemy import func, select, update

from services.chassis.app import Work
from services.chassis.tables import webhook_secrets as table

PREFIX = "whsec_"
ROTATION = timedelta(hours=24)
# A key's owner is named by UUID version 3: no other is, whatever it is drawn from (a case's is version 7, that of words
# without a case version 5, of a namespace that whoever wrote them chose).
_OWNERS = UUID("5b1d9a0e-6c1f-5c0b-9a55-0c5d3f1f7a11")
_FIELD = "webhook-secret"
_BYTES = 32


def make(work: Work, recipient: str, *, rotate: bool) -> str | None:
    """A secret that signs from now on; None when there is one already. Raises VaultError.

    With `rotate` a new one in any case: those before go on signing for 24 hours.
    """
    work.execute(select(func.pg_advisory_xact_lock(func.hashtext(f"{_FIELD}/{recipient}"))))
    current = (table.c.recipient == recipient) & table.c.ends_at.is_(None)
    if not rotate and work.execute(select(table.c.number).where(current)).first():
        return None
    work.execute(update(table).where(current).values(ends_at=work.now + ROTATION))
    secret = PREFIX + base64.b64encode(secrets.token_bytes(_BYTES)).decode()
    sealed = work.key(_owner(recipient)).seal(_FIELD, secret)
    work.insert(table, recipient=recipient, sealed=sealed, made_at=work.now, ends_at=None)
    return secret


def signing(work: Work, recipient: str) -> list[bytes]:
    """The keys that sign now, the newest first; none before the first was made. Raises VaultError."""
    still = table.c.ends_at.is_(None) | (table.c.ends_at > work.now)
    found = select(table.c.sealed).where(table.c.recipient == recipient, still).order_by(table.c.number.desc())
    sealed = work.execute(found).scalars().all()
    if not sealed:
        return []
    key = work.key(_owner(recipient))
    return [base64.b64decode(key.open(_FIELD, each).removeprefix(PREFIX)) for each in sealed]


def _owner(recipient: str) -> UUID:
    return uuid3(_OWNERS, recipient)
