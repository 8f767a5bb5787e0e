"""Forgetting a case: what was proposed is in the ledger, and nowhere else."""

from services.chassis import forgetting
from services.chassis.app import Work
from services.contracts.envelope import CloudEvent
from services.contracts.intake import CaseErased


def forget(event: CloudEvent[CaseErased], work: Work) -> None:
    """Have the ledger coarsened."""
    told = event.data
    forgetting.begin(work, told.case, told.secret, told.opened_at, lambda *_: ())
