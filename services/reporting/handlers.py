"""One function per event. Each only adds rows, so that events may arrive in any order; duplicates never get here."""

from services.chassis.app import Work
from services.contracts.codes import ReferralState, visit_class
from services.contracts.envelope import CloudEvent
from services.contracts.intake import VisitRecorded
from services.contracts.orientation import OrientationProposed
from services.contracts.referral import (
    ReferralEscalated,
    ReferralMoved,
    ReferralReminded,
    ReferralRerouted,
    ReferralSent,
)
from services.reporting import tables
from services.reporting.domain.figures import paris_day
from services.reporting.domain.timeline import InPlace

# The steps that leave a referral in its state.
_IN_PLACE: dict[type[ReferralMoved], InPlace] = {
    ReferralReminded: InPlace.REMINDED,
    ReferralEscalated: InPlace.ESCALATED,
    ReferralRerouted: InPlace.REROUTED,
}


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


def count_referral(event: CloudEvent[ReferralSent], work: Work) -> None:
    """A referral left: the one event that says what it is about and for whom."""
    sent = event.data
    work.insert(
        tables.referral_steps,
        referral_id=sent.referral_id,
        step=sent.step,
        state=ReferralState.SENT,
        at=event.time,
        case=sent.case,
        reason=None,
        sent_day=paris_day(event.time),
        site=sent.site,
        visit_id=sent.visit_id,
        need=sent.need,
        partner=sent.partner,
        category=sent.category,
        department=sent.department,
        from_state=None,
        appointment_day=None,
        sender=sent.sender,
        event=None,
        previous=sent.previous,
        next_referral_id=None,
        bounces=sent.bounces,
    )


def move_referral(event: CloudEvent[ReferralMoved], work: Work) -> None:
    """A referral took a step, into another state or in its own; it may be here before its `ReferralSent`."""
    moved = event.data
    rerouted = moved if isinstance(moved, ReferralRerouted) else None
    work.insert(
        tables.referral_steps,
        referral_id=moved.referral_id,
        step=moved.step,
        state=moved.to_state,
        at=event.time,
        case=moved.case,
        reason=moved.reason,
        sent_day=None,
        site=None,
        visit_id=None,
        need=None,
        partner=rerouted.partner if rerouted else None,
        category=rerouted.category if rerouted else None,
        department=None,
        from_state=moved.from_state,
        appointment_day=moved.appointment_day,
        sender=None,
        event=_IN_PLACE.get(type(moved)),
        previous=None,
        next_referral_id=rerouted.next_referral_id if rerouted else None,
        bounces=rerouted.bounces if rerouted else None,
    )
