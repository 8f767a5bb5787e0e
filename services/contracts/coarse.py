"""What is left of an event when the case that it is about is erased: facts to count, and nothing that leads back.

Ids become other ids, the same wherever the same secret is known, so that counts of different services still fit
together. The secret travels in `CaseErased` only and is dropped when all is done: then nobody can do it again.
"""

from collections.abc import Callable
from datetime import datetime, time
from hashlib import sha256
from uuid import UUID

from services.contracts.paris import PARIS, paris_day

NOON = time(12)
Pseudonym = Callable[[UUID], UUID]


def pseudonyms(secret: UUID) -> Pseudonym:
    """Another id for each id; without the secret nobody finds the way from one to the other."""

    def pseudonym(given: UUID) -> UUID:
        return UUID(bytes=sha256(secret.bytes + given.bytes).digest()[:16])

    return pseudonym


def noon(instant: datetime) -> datetime:
    """Noon of that instant's day in Paris."""
    return datetime.combine(paris_day(instant), NOON, PARIS)


def digest(subject: UUID) -> bytes:
    """What is kept of an erased case: enough to know it again, not to find it."""
    return sha256(subject.bytes).digest()
