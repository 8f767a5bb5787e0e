"""What reporting publishes."""

from typing import ClassVar
from uuid import UUID

from services.contracts.envelope import EventData


class CaseRead(EventData):
    """Somebody of `org` read a case's timeline; `referral_id`: as whom that referral is addressed to."""

    TYPE: ClassVar[str] = "fr.relais.CaseRead.v1"
    SERVICE: ClassVar[str] = "reporting"

    case: UUID
    referral_id: UUID | None
    org: str
    role: str
    subject: str

    def subjects(self) -> tuple[UUID, ...]:
        """Whom it is about."""
        return (self.case,)
