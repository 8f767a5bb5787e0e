"""One function per event. Each only adds rows, so that events may arrive in any order; duplicates never get here."""

from datetime import datetime
from typing import Any
from uuid import UUID

from services.chassis.app import Work
from services.contracts.codes import ReferralState, visit_class
from services.contracts.envelope import CloudEvent
from services.contracts.intake import AgreementGiven, AgreementWithdrawn, CasesMerged, CasesUnmerged, VisitRecorded
from services.contracts.orientation import OrientationProposed
from services.contracts.paris import paris_day
from services.contracts.referral import (
    ReferralEscalated,
    ReferralHeld,
    ReferralMoved,
    ReferralReminded,
    ReferralRerouted,
    ReferralSent,
)
from services.reporting import tables
from services.reporting.domain.timeline import InPlace

# The steps that leave a referral in its state.
_IN_PLACE: dict[type[ReferralMoved], InPlace] = {
    ReferralReminded: InPlace.REMINDED,
    ReferralEscalated: InPlace.ESCALATED,
    ReferralRerouted: InPlace.REROUTED,
}
_UNSAID: dict[str, Any] = dict.fromkeys(tables.referral_steps.c.keys())


def count_visit(event: CloudEvent[VisitRecorded], work: Work) -> None:
    """Count a visit and its needs; the site of an identified person's visit knows the case from now on."""
    visit = event.data
    work.insert(
        tables.visits,
        site=visit.site,
        visit_id=visit.visit_id,
        occurred_at=visit.occurred_at,
        day=paris_day(visit.occurred_at),
        mode=visit.mode,
        channel=visit.channel,
        visit_class=visit_class(need.code for need in visit.needs),
        spie=visit.spie,
        charter=visit.charter,
        commune=visit.commune,
        department=visit.department,
        quarter=visit.quarter,
        age_band=visit.age_band,
        sex=visit.sex,
        publics=list(visit.publics),
        case=visit.case,
        retold=visit.retold,
    )
    for position, need in enumerate(visit.needs):
        work.insert(
            tables.needs,
            site=visit.site,
            visit_id=visit.visit_id,
            position=position,
            code=need.code,
            outcome=need.outcome,
            operator=need.operator,
            label=need.label,
        )


def count_proposals(event: CloudEvent[OrientationProposed], work: Work) -> None:
    """Count what was proposed, by the first recipient of each proposal."""
    orientation = event.data
    day = paris_day(orientation.occurred_at)
    for position, proposal in enumerate(orientation.proposals):
        first = proposal.recipients[0] if proposal.recipients else None
        work.insert(
            tables.proposals,
            orientation_id=orientation.orientation_id,
            position=position,
            site=orientation.site,
            visit_id=orientation.visit_id,
            day=day,
            need=proposal.need,
            rule=proposal.rule,
            partner=first.partner if first else None,
            category=first.category if first else None,
            desk_first=proposal.desk_first,
            unmet=proposal.unmet,
            chosen=proposal.chosen,
            case=orientation.case,
            at=event.time,
        )


def hold_referral(event: CloudEvent[ReferralHeld], work: Work) -> None:
    """A referral waits for the person's agreement: in the case, and in no count."""
    _write_step(event, work, **_about(event.data), state=ReferralState.AWAITING_AGREEMENT)


def count_referral(event: CloudEvent[ReferralSent], work: Work) -> None:
    """A referral left: the one event that says what it is about and for whom."""
    sent = event.data
    _write_step(
        event,
        work,
        **_about(sent),
        state=ReferralState.SENT,
        sent_day=paris_day(event.time),
        sender=sent.sender,
        previous=sent.previous,
        bounces=sent.bounces,
        due_at=sent.due_at,
    )


def move_referral(event: CloudEvent[ReferralMoved], work: Work) -> None:
    """A referral took a step, into another state or in its own; it may be here before its `ReferralSent`."""
    moved = event.data
    following = {}
    if isinstance(moved, ReferralRerouted):
        following = {name: getattr(moved, name) for name in ("partner", "category", "next_referral_id", "bounces")}
    _write_step(
        event,
        work,
        **following,
        state=moved.to_state,
        reason=moved.reason,
        from_state=moved.from_state,
        appointment_day=moved.appointment_day,
        in_place=_IN_PLACE.get(type(moved)),
        story_sufficient=moved.story_sufficient,
    )


def _about(told: ReferralHeld | ReferralSent) -> dict[str, Any]:
    """What a referral is about, and for whom."""
    return {name: getattr(told, name) for name in ("site", "visit_id", "need", "partner", "category", "department")}


def _write_step(
    event: CloudEvent[ReferralHeld] | CloudEvent[ReferralSent] | CloudEvent[ReferralMoved],
    work: Work,
    *,
    in_place: InPlace | None = None,
    **said: Any,  # noqa: ANN401 - columns
) -> None:
    """One row for a step; what the event does not say is null, since all rows name the same columns."""
    told = event.data
    ids = {"referral_id": told.referral_id, "step": told.step, "case": told.case, "at": event.time, "event": in_place}
    work.insert(tables.referral_steps, **{**_UNSAID, **ids, **said})


def agree(event: CloudEvent[AgreementGiven], work: Work) -> None:
    """The person agreed to a recipient after a visit."""
    given = event.data
    _tell(work, given.case, "agreement-given", given.at, recipient=given.recipient, sensitive=given.sensitive)


def disagree(event: CloudEvent[AgreementWithdrawn], work: Work) -> None:
    """The person agrees no more."""
    ended = event.data
    _tell(work, ended.case, "agreement-withdrawn", ended.at, recipient=ended.recipient, reason=ended.reason)


def join(event: CloudEvent[CasesMerged], work: Work) -> None:
    """Two cases are one person's."""
    data = event.data
    _tell(work, data.case, "merged", event.time, other=data.merged, retold=data.retold, site=data.site)


def part(event: CloudEvent[CasesUnmerged], work: Work) -> None:
    """They are not."""
    _tell(work, event.data.case, "unmerged", event.time, other=event.data.merged, retold=event.data.retold)


def _tell(work: Work, case: UUID, kind: str, at: datetime, **more: Any) -> None:  # noqa: ANN401 - columns
    blank = dict.fromkeys(("recipient", "sensitive", "reason", "other", "retold", "site"))
    work.insert(tables.case_steps, case=case, kind=kind, at=at, **{**blank, **more})
