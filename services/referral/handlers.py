"""Opening referrals, and taking partners' answers."""

import json
from datetime import date, datetime, time
from functools import lru_cache
from typing import Any
from uuid import UUID

import holidays
from pydantic_core import to_json
from sqlalchemy import Row, select, update

from services.chassis.app import App, Work
from services.chassis.errors import Rejected, not_found
from services.chassis.tokens import Caller
from services.contracts.codes import ReferralState
from services.contracts.envelope import CloudEvent
from services.contracts.orientation import OrientationProposed, Proposal
from services.contracts.referral import (
    PartnerReferralSent,
    ReferralAccepted,
    ReferralCompleted,
    ReferralDeclined,
    ReferralReceived,
    ReferralSent,
)
from services.referral import domain, queries
from services.referral.forms import AnswerForm, AnswerTaken
from services.referral.tables import answers, changes, history, referrals

_HOLIDAYS = holidays.country_holidays("FR")
_SYSTEM = "relais"
_MOVED = {
    ReferralState.RECEIVED: ReferralReceived,
    ReferralState.ACCEPTED: ReferralAccepted,
    ReferralState.DECLINED: ReferralDeclined,
    ReferralState.COMPLETED: ReferralCompleted,
}


def is_holiday(day: date) -> bool:
    """A public holiday of metropolitan France."""
    return day in _HOLIDAYS


@lru_cache
def _due(day: date) -> datetime:
    """When a referral sent on that day in Paris is overdue."""
    return domain.due_after(datetime.combine(day, time(12), domain.PARIS), domain.RECEPTION_DAYS, is_holiday)


def open_referrals(event: CloudEvent[OrientationProposed], work: Work) -> None:
    """One referral for each proposal of an identified person: sent if agreed to, else waiting for the agreement."""
    case = event.data.case
    if case is None:
        return
    work.commit_in_order()
    for place, proposal in enumerate(event.data.proposals):
        if proposal.recipients and not proposal.desk_first:
            _open(event.data, case, place, proposal, work)


def _open(orientation: OrientationProposed, case: UUID, place: int, proposal: Proposal, work: Work) -> None:
    now, referral_id, recipient = work.now, work.ids.new(), proposal.recipients[0]
    state = domain.first_state(
        recipient.partner,
        recipient.category,
        orientation.agreed,
        reveals_health=proposal.sensitive,
        sensitive_agreed=orientation.sensitive,
    )
    sent = state is ReferralState.SENT
    due_at = _due(now.astimezone(domain.PARIS).date()) if sent else None
    work.insert(
        referrals,
        id=referral_id,
        orientation_id=orientation.orientation_id,
        proposal=place,
        visit_id=orientation.visit_id,
        case_id=case,
        site=orientation.site,
        need=proposal.need,
        partner=recipient.partner,
        category=recipient.category,
        department=recipient.department,
        fallbacks=to_json(proposal.recipients[1:]).decode(),
        reason=proposal.reason,
        state=state,
        step=1,
        due_at=due_at,
        opened_at=now,
        changed_at=now,
    )
    work.insert(history, referral_id=referral_id, step=1, state=state, by=_SYSTEM, reason=None, at=now)
    if due_at is None:
        return
    shared: dict[str, Any] = {
        "referral_id": referral_id,
        "need": proposal.need,
        "site": orientation.site,
        "department": recipient.department,
        "reason": proposal.reason,
        "due_at": due_at,
    }
    work.emit(
        ReferralSent(
            **shared,
            visit_id=orientation.visit_id,
            case=case,
            partner=recipient.partner,
            category=recipient.category,
            step=1,
        )
    )
    links = queries.links_of(referral_id, work.settings)
    work.emit(PartnerReferralSent(**shared, links=links), recipient=recipient.partner)


def answer(referral_id: UUID, form: AnswerForm, caller: Caller, app: App, traceparent: str) -> tuple[AnswerTaken, bool]:
    """Take a partner's answer; and whether it was there already.

    Raises Rejected: 404 when the referral is not this partner's, 409 when its state does not allow this answer or
    when the same answer_id came with other content, 422 when it says too little.
    """
    if problem := domain.answer_problem(form.state, form.reason, form.note, has_outcome=form.outcome is not None):
        field, detail = problem
        raise Rejected("invalid", detail, errors=[{"pointer": f"/{field}", "detail": detail}])
    with app.work(traceparent) as work:
        referral = _addressed(referral_id, caller, work)
        fingerprint = app.vault.index("answer", form.model_dump_json(exclude_defaults=True))
        known = work.execute(
            select(answers).where(answers.c.referral_id == referral_id, answers.c.answer_id == form.answer_id)
        ).first()
        if known:
            if known.fingerprint != fingerprint:
                raise Rejected("conflict", "Une autre réponse porte déjà cet answer_id.", status=409)
            state = ReferralState(known.state)
            return AnswerTaken(referral_id=referral_id, answer_id=form.answer_id, state=state, step=known.step), True
        _guard(ReferralState(referral.state), form.state)
        _move(referral, form, caller, work, fingerprint)
    if form.story_sufficient is not None:
        app.metrics.count(
            "relais_story_sufficient",
            "Answers to: was the story enough?",
            category=referral.category,
            answer="yes" if form.story_sufficient else "no",
        )
    step = referral.step + 1
    return AnswerTaken(referral_id=referral_id, answer_id=form.answer_id, state=form.state, step=step), False


def _addressed(referral_id: UUID, caller: Caller, work: Work) -> Row[Any]:
    """The referral, locked; 404 unless it was sent to this very partner."""
    statement = select(referrals).where(referrals.c.id == referral_id, referrals.c.partner == caller.org)
    row = work.execute(statement.with_for_update()).first()
    if row is None or row.state not in domain.VISIBLE_TO_PARTNER:
        raise not_found("Aucune orientation de ce numéro ne vous est adressée.")
    return row


def _guard(state: ReferralState, wanted: ReferralState) -> None:
    if not domain.may_answer(state, wanted):
        allowed = ", ".join(sorted(domain.ANSWERS[state])) or "aucune"
        detail = f"L’orientation est à l’état « {state} » : « {wanted} » n’est pas possible (possibles : {allowed})."
        raise Rejected("forbidden-transition", detail, status=409)


def _move(referral: Row[Any], form: AnswerForm, caller: Caller, work: Work, fingerprint: bytes) -> None:
    now, step = work.now, referral.step + 1
    reason = form.reason or form.outcome
    day = form.appointment.at.date() if form.appointment else None
    work.commit_in_order(at_once=True)
    work.execute(
        update(referrals)
        .where(referrals.c.id == referral.id)
        .values(state=form.state, step=step, due_at=None, changed_at=now, change=changes.next_value())
    )
    work.insert(history, referral_id=referral.id, step=step, state=form.state, by=caller.org, reason=reason, at=now)
    work.insert(
        answers,
        referral_id=referral.id,
        answer_id=form.answer_id,
        fingerprint=fingerprint,
        state=form.state,
        step=step,
        appointment_day=day,
        story_sufficient=form.story_sufficient,
        sealed=_sealed(form, referral, work),
        at=now,
    )
    work.emit(
        _MOVED[form.state](
            referral_id=referral.id,
            case=referral.case_id,
            from_state=ReferralState(referral.state),
            to_state=form.state,
            reason=reason,
            appointment_day=day,
            step=step,
        )
    )


def _sealed(form: AnswerForm, referral: Row[Any], work: Work) -> bytes | None:
    """What the partner wrote freely, under the case's key."""
    free = form.model_dump(mode="json", include={"note", "appointment"}, exclude_none=True)
    if not free:
        return None
    text = json.dumps(free, ensure_ascii=False)
    return work.key(referral.case_id).seal(f"answer/{referral.id}/{form.answer_id}", text)
