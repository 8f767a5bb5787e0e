"""The log of who looked at a case or acted on it: written in the transaction of what it tells of."""

from uuid import UUID

from services.chassis.app import Work
from services.chassis.tokens import Caller
from services.intake.tables import accesses


def log(work: Work, case: UUID, caller: Caller, action: str, referral_id: UUID | None = None) -> None:
    """Write down that the caller did `action` to a case; `referral_id`: as whom that referral is addressed to."""
    work.insert(
        accesses,
        case_id=case,
        at=work.now,
        org=caller.org,
        role=caller.role,
        subject=caller.sub,
        action=action,
        referral_id=referral_id,
    )
