"""Opening referrals, sending partners' referrals to sites, and taking answers."""

import json
from datetime import date, datetime, time
from functools import lru_cache
from typing import Any
from uuid import UUID

import holidays
from pydantic_core import to_json
from sqlalchemy import Row, select, update
from sqlalchemy.dialects import postgresql

from services.chassis.app import App, Work
from services.chassis.errors import FieldError, Rejected, forbidden, not_found
from services.chassis.tokens import Caller
from services.contracts.codes import Category, ReferralState
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
from services.network import Network, Partner, Site
from services.referral import domain, queries
from services.referral.forms import AnswerForm, AnswerTaken, ReferralForm, ReferralTaken, SenderLinks
from services.referral.tables import answers, changes, history, referrals

_HOLIDAYS = holidays.country_holidays("FR")
_SYSTEM = "relais"
_TOWARD_SITE = "Un partenaire adresse cette personne au site, pour l’aider dans ses démarches."
_URGENT = "Ce besoin n’attend pas, et une orientation vers un site attendrait."
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


def send(
    form: ReferralForm, caller: Caller, app: App, network: Network, traceparent: str
) -> tuple[ReferralTaken, bool]:
    """Send a person from a partner to a site; and whether it was sent already.

    Raises Rejected: 403 for who is no partner of this network, 409 when the id is taken by other content or another
    sender's, 422 for a need that an `urgent` line answers, a site without the label, an `about` that is not the
    caller's, or an agreement that is missing.
    """
    partner = network.partner(caller.org)
    if partner is None:
        raise forbidden("Votre organisation n’est pas un partenaire de ce réseau.")
    fingerprint = app.vault.index("referral", f"{caller.org}\x00{form.model_dump_json(exclude_defaults=True)}")
    with app.work(traceparent) as work:
        again = _known(form, fingerprint, work)
        if not again:
            about = _about(form, caller, work)
            site = _checked(form, partner, network, about)
            sent = _sent(form, partner.id, site, about, work.now)
            again = not _write(form, sent, fingerprint, work) and _known(form, fingerprint, work)
    links = SenderLinks(referrals=f"{app.settings.url('referral')}/v1/referrals")
    taken = ReferralTaken(
        referral_id=form.referral_id, site=form.site, need=form.need, state=ReferralState.SENT, links=links
    )
    return taken, again


def _known(form: ReferralForm, fingerprint: bytes, work: Work) -> bool:
    """Whether this very referral was sent before. Raises Rejected (409) when the id is another's."""
    row = work.execute(select(referrals.c.fingerprint).where(referrals.c.id == form.referral_id)).first()
    if row and row.fingerprint != fingerprint:
        raise Rejected("conflict", "Une autre orientation porte déjà ce referral_id.", status=409)
    return row is not None


def _about(form: ReferralForm, caller: Caller, work: Work) -> Row[Any] | None:
    """The referral that this one is about, if it was sent to this very partner."""
    if form.about is None:
        return None
    statement = select(referrals).where(referrals.c.id == form.about, referrals.c.partner == caller.org)
    return work.execute(statement.where(referrals.c.state.in_(domain.VISIBLE_TO_PARTNER))).first()


def _checked(form: ReferralForm, partner: Partner, network: Network, about: Row[Any] | None) -> Site:
    """The site, after what only the network and the database can tell. Raises Rejected (422)."""
    errors: list[FieldError] = []
    urgent = next((line for line in network.lines if line.urgent and form.need in line.all_needs), None)
    if urgent:
        errors.append({"pointer": "/need", "detail": f"{_URGENT} {urgent.reason}"})
    site = network.site(form.site)
    if site is None:
        errors.append({"pointer": "/site", "detail": "Site absent des fichiers de réseau."})
    elif site.label != "granted":
        errors.append({"pointer": "/site", "detail": "Ce site n’a pas le label France services."})
    if form.about and about is None:
        errors.append({"pointer": "/about", "detail": "Aucune orientation de ce numéro ne vous est adressée."})
    tells_health = domain.tells_health(form.need, sender_reveals=partner.reveals_health)
    if tells_health and form.about:
        detail = (
            "Cette orientation révèle un fait de santé ou de handicap : rattachée au dossier, elle le dirait à tous les"
            " sites qui le connaissent. Envoyez-la sans « about »."
        )
        errors.append({"pointer": "/about", "detail": detail})
    if tells_health and not form.sensitive:
        detail = "Cette orientation révèle un fait de santé ou de handicap : l’accord explicite est attendu (true)."
        errors.append({"pointer": "/sensitive", "detail": detail})
    if errors or site is None:
        raise Rejected("invalid", errors[0]["detail"], errors=errors)
    return site


def _sent(form: ReferralForm, sender: str, site: Site, about: Row[Any] | None, now: datetime) -> ReferralSent:
    """What is told inside: the site is whom the referral goes to, and no partner's queue gets a view of it."""
    return ReferralSent(
        referral_id=form.referral_id,
        visit_id=about.visit_id if about else None,
        case=about.case_id if about else None,
        need=form.need,
        partner=site.id,
        category=Category.SITE,
        site=site.id,
        department=site.department,
        reason=_TOWARD_SITE,
        due_at=_due(now.astimezone(domain.PARIS).date()),
        step=1,
        sender=sender,
    )


def _write(form: ReferralForm, sent: ReferralSent, fingerprint: bytes, work: Work) -> bool:
    """Write the referral and its event; False, and neither, when the same id was faster."""
    # Before the note's key, as answers do: each would wait for the other.
    work.commit_in_order(at_once=True)
    insert = postgresql.insert(referrals).values(
        **sent.model_dump(exclude={"referral_id", "case"}),
        id=form.referral_id,
        case_id=sent.case,
        fallbacks="[]",
        state=ReferralState.SENT,
        opened_at=work.now,
        changed_at=work.now,
        about=form.about,
        fingerprint=fingerprint,
        sealed=_sealed_note(form, sent, work),
    )
    if work.execute(insert.on_conflict_do_nothing().returning(referrals.c.id)).first() is None:
        return False
    first = {"step": 1, "state": ReferralState.SENT, "by": sent.sender, "reason": None, "at": work.now}
    work.insert(history, referral_id=form.referral_id, **first)
    work.emit(sent)
    return True


def _sealed_note(form: ReferralForm, sent: ReferralSent, work: Work) -> bytes | None:
    if not form.note:
        return None
    key = work.key(domain.owner_of_words(sent.case, form.referral_id, sent.sender))
    return key.seal(f"referral/{form.referral_id}/note", form.note)


def answer(referral_id: UUID, form: AnswerForm, caller: Caller, app: App, traceparent: str) -> tuple[AnswerTaken, bool]:
    """Take a partner's or a site's answer; and whether it was there already.

    Raises Rejected: 404 when the referral is not addressed to it, 409 when its state does not allow this answer or
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
    """The referral, locked; 404 unless it was sent to this very partner or site."""
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
    """What was written freely, under the same key as the sender's note."""
    free = form.model_dump(mode="json", include={"note", "appointment"}, exclude_none=True)
    if not free:
        return None
    text = json.dumps(free, ensure_ascii=False)
    key = work.key(domain.owner_of_words(referral.case_id, referral.id, referral.sender))
    return key.seal(f"answer/{referral.id}/{form.answer_id}", text)
