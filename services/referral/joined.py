"""Cases that agents found to be one person's: nothing is rewritten, readers are shown the one that counts."""

from collections.abc import Sequence

from sqlalchemy.dialects import postgresql

from services.chassis.app import Work
from services.contracts.envelope import CloudEvent
from services.contracts.intake import CasesMerged, CasesUnmerged
from services.network import Network
from services.referral import agreements, decided
from services.referral.tables import joined_cases


def join(events: Sequence[CloudEvent[CasesMerged]], work: Work, network: Network) -> None:
    """From now on one is shown as the other; and what the person decided in either counts for both."""
    decided.hold(work, alone=True)
    for event in events:
        _write(event, work, joined=True)
    agreements.settle({event.data.merged: event.traceparent for event in events}, work, network)


def part(event: CloudEvent[CasesUnmerged], work: Work) -> None:
    """No more."""
    _write(event, work, joined=False)


def _write(event: CloudEvent[CasesMerged] | CloudEvent[CasesUnmerged], work: Work, *, joined: bool) -> None:
    """The newest counts, in whatever order they arrive: an event's time is that of its transaction."""
    told = {"into_case": event.data.case, "at": event.time, "joined": joined}
    statement = postgresql.insert(joined_cases).values(case_id=event.data.merged, **told)
    newer = statement.excluded.at > joined_cases.c.at
    work.execute(statement.on_conflict_do_update(index_elements=["case_id"], set_=told, where=newer))
