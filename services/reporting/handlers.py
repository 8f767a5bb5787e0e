"""One function per event. Each only adds rows, so that events may arrive in any order; duplicates never get here."""

from datetime import datetime
from typing import Any
from uuid import UUID

from services.chassis.app import Event, Work
from services.contracts.codes import ReferralState, visit_class
from services.contracts.intake import VisitRecorded
from services.contracts.orientation import OrientationProposed
from services.contracts.referral import (
    ReferralAccepted,
    ReferralCompleted,
    ReferralDeclined,
    ReferralReceived,
    ReferralSent,
)
from services.reporting import tables
from services.reporting.domain import paris_day

ReferralMoved = ReferralReceived | ReferralAccepted | ReferralDeclined | ReferralCompleted


def count_visit(event: Event[VisitRecorded], work: Work) -> None:
    """Count a visit and its needs; an identified person's site now knows the case."""
    visit = event.data
    work.insert(
        tables.visits,
        site=visit.site,
        visit_id=visit.visit_id,
        occurred_at=visit.occurred_at,
        day=paris_day(visit.occurred_at),
        mode=visit.mode.value,
        channel=visit.channel.value,
        visit_class=visit_class(need.code for need in visit.needs).value,
        spie=visit.spie,
        charter=visit.charter,
        commune=visit.commune,
        department=visit.department,
        quarter=visit.quarter,
        age_band=visit.age_band.value,
        sex=visit.sex.value if visit.sex else None,
        publics=[public.value for public in visit.publics],
    )
    for position, need in enumerate(visit.needs):
        work.insert(
            tables.needs,
            site=visit.site,
            visit_id=visit.visit_id,
            position=position,
            code=need.code.value,
            outcome=need.outcome.value,
            operator=need.operator,
            label=need.label,
        )
    if visit.case is None:
        return
    work.insert(tables.case_sites, case=visit.case, site=visit.site, visit_id=visit.visit_id)
    codes = {
        "visit_id": str(visit.visit_id),
        "mode": visit.mode.value,
        "channel": visit.channel.value,
        "spie": visit.spie,
        "needs": [{"code": need.code.value, "outcome": need.outcome.value} for need in visit.needs],
    }
    _tell(event, work, case=visit.case, at=visit.occurred_at, kind="visit", site=visit.site, codes=codes)


def count_proposals(event: Event[OrientationProposed], work: Work) -> None:
    """Count what was proposed, by the first recipient of each proposal."""
    orientation = event.data
    told: list[dict[str, Any]] = []
    for position, proposal in enumerate(orientation.proposals):
        first = proposal.recipients[0] if proposal.recipients else None
        facts = {
            "need": proposal.need.value,
            "rule": proposal.rule,
            "partner": first.partner if first else None,
            "category": first.category.value if first else None,
            "desk_first": proposal.desk_first,
            "unmet": proposal.unmet,
            "chosen": proposal.chosen,
        }
        work.insert(
            tables.proposals,
            orientation_id=orientation.orientation_id,
            position=position,
            site=orientation.site,
            visit_id=orientation.visit_id,
            day=paris_day(orientation.occurred_at),
            **facts,
        )
        told.append(facts)
    if orientation.case is not None and told:
        codes = {"visit_id": str(orientation.visit_id), "proposals": told}
        _tell(event, work, case=orientation.case, at=event.time, kind="orientation", site=orientation.site, codes=codes)


def count_referral(event: Event[ReferralSent], work: Work) -> None:
    """A referral left: the one event that says what it is about and for whom."""
    sent = event.data
    facts = {
        "need": sent.need.value,
        "partner": sent.partner,
        "category": sent.category.value,
        "department": sent.department,
    }
    work.insert(
        tables.referral_steps,
        referral_id=sent.referral_id,
        step=sent.step,
        state=ReferralState.SENT.value,
        at=event.time,
        case=sent.case,
        reason=None,
        sent_day=paris_day(event.time),
        site=sent.site,
        visit_id=sent.visit_id,
        **facts,
    )
    codes = {"referral_id": str(sent.referral_id), "visit_id": str(sent.visit_id), **facts}
    _tell(event, work, case=sent.case, at=event.time, kind="referral-sent", site=sent.site, codes=codes)


def move_referral(event: Event[Any], work: Work) -> None:
    """A referral changed state. `event.data` is a `ReferralMoved`; it may be here before its `ReferralSent`."""
    moved: ReferralMoved = event.data
    work.insert(
        tables.referral_steps,
        referral_id=moved.referral_id,
        step=moved.step,
        state=moved.to_state.value,
        at=event.time,
        case=moved.case,
        reason=moved.reason,
        sent_day=None,
        site=None,
        visit_id=None,
        need=None,
        partner=None,
        category=None,
        department=None,
    )
    codes = {
        "referral_id": str(moved.referral_id),
        "from_state": moved.from_state.value,
        "to_state": moved.to_state.value,
        "reason": moved.reason,
        "appointment_day": moved.appointment_day.isoformat() if moved.appointment_day else None,
    }
    _tell(event, work, case=moved.case, at=event.time, kind=f"referral-{moved.to_state}", site=None, codes=codes)


def _tell(  # noqa: PLR0913 - a row's columns
    event: Event[Any], work: Work, *, case: UUID, at: datetime, kind: str, site: str | None, codes: dict[str, Any]
) -> None:
    work.insert(tables.timeline, case=case, at=at, event_id=event.id, kind=kind, site=site, codes=codes)
