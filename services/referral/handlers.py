"""Opening referrals, taking answers, and taking referrals back."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from sqlalchemy import Row, select

from services.chassis.app import App, Work
from services.chassis.errors import Rejected, forbidden, not_found
from services.chassis.tokens import Caller
from services.contracts import consent
from services.contracts.codes import ReferralState
from services.contracts.envelope import CloudEvent
from services.contracts.orientation import OrientationProposed, Proposal, Recipient
from services.contracts.paris import paris_day
from services.contracts.referral import ReferralHeld, ReferralSent
from services.network import Network
from services.referral import deadlines, decided, queries, steps
from services.referral.domain import clocks, life
from services.referral.domain.life import Side
from services.referral.forms import AnswerForm, AnswerTaken, WithdrawForm, WithdrawTaken
from services.referral.tables import answers, history, referrals


class Office(NamedTuple):
    """What every call needs."""

    app: App
    network: Network


def open_referrals(events: Sequence[CloudEvent[OrientationProposed]], work: Work, network: Network) -> None:
    """One referral for each proposal of an identified person: sent if agreed to, else waiting for the agreement.

    The visit's agreement counts, unless the person has decided otherwise since.
    """
    cases = {event.data.case for event in events if event.data.case and event.data.proposals}
    if not cases:
        return
    decided.hold(work)
    since = decided.of(work, cases)
    work.commit_in_order()
    for event in events:
        case, work.traceparent = event.data.case, event.traceparent
        if case is None:
            continue
        asked = _Asked(event.data, since.get(case), network)
        for place, proposal in enumerate(event.data.proposals):
            if proposal.recipients and not proposal.desk_first:
                _open(asked, case, place, work)


class _Asked(NamedTuple):
    """What is proposed to a person, and what the person decided about after the visit: mostly nothing."""

    orientation: OrientationProposed
    since: decided.Decisions | None
    network: Network

    def agreed_at(self, recipient: Recipient, proposal: Proposal) -> datetime | None:
        """When the person agreed to this recipient, and to what being sent there reveals; None: it did not."""
        names, visit = (recipient.partner, recipient.category), self.orientation
        at = visit.agreed_at or visit.occurred_at
        said = consent.of_visit(names, visit.agreed, sensitive=visit.sensitive, at=at)
        if self.since:
            said = consent.latest([said, consent.deciding(self.since, names)])
        partner = self.network.partner(recipient.partner)
        reveals_health = proposal.sensitive or (partner is not None and partner.reveals_health)
        return said.at if said and said.covers(reveals_health=reveals_health) else None


def _open(asked: _Asked, case: UUID, place: int, work: Work) -> None:
    orientation, network = asked.orientation, asked.network
    proposal = orientation.proposals[place]
    now, referral_id, recipient = work.now, work.ids.new_outside(), proposal.recipients[0]
    agreed_at = asked.agreed_at(recipient, proposal)
    state = ReferralState.SENT if agreed_at else ReferralState.AWAITING_AGREEMENT
    clock, day = steps.clocks_of(recipient.partner, network), paris_day(now)
    due_at, wake_at = steps.first_times(state, day, clock, recipient.department)
    about: dict[str, Any] = {
        "visit_id": orientation.visit_id,
        "need": proposal.need,
        "partner": recipient.partner,
        "category": recipient.category,
        "site": orientation.site,
        "department": recipient.department,
        "step": 1,
    }
    work.insert(
        referrals,
        **about,
        id=referral_id,
        orientation_id=orientation.orientation_id,
        proposal=place,
        case_id=case,
        fallbacks=_fallbacks(asked, proposal),
        reason=proposal.reason,
        state=state,
        due_at=due_at,
        wake_at=wake_at,
        opened_at=now,
        changed_at=now,
        since=now,
        agreed_at=agreed_at,
        reveals_health=proposal.sensitive,
    )
    work.insert(history, referral_id=referral_id, step=1, state=state, by=steps.SYSTEM, reason=None, at=now, event=None)
    if agreed_at and due_at:
        sent = ReferralSent(**about, referral_id=referral_id, case=case, reason=proposal.reason, due_at=due_at)
        steps.tell_sent(sent, work)
    else:
        work.emit(ReferralHeld(**about, referral_id=referral_id, case=case))


def _fallbacks(asked: _Asked, proposal: Proposal) -> str:
    """Whom else the rules name, each with when the person agreed; not who gets this need anyhow ("and")."""
    if len(proposal.recipients) == 1:
        return "[]"
    proposals = asked.orientation.proposals
    firsts = {each.recipients[0].partner for each in proposals if each.need == proposal.need and each.recipients}
    others = [
        {**vars(each), "agreed": (at := asked.agreed_at(each, proposal)) is not None, "agreed_at": at}
        for each in proposal.recipients[1:]
        if each.partner not in firsts
    ]
    return orjson.dumps(others, option=orjson.OPT_UTC_Z).decode()


def answer(
    referral_id: UUID, form: AnswerForm, caller: Caller, office: Office, traceparent: str
) -> tuple[AnswerTaken, bool]:
    """Take a partner's or a site's answer; and whether it was there already.

    Raises Rejected: 404 when the referral is not addressed to it, 403 when the caller has sent it, 409 when its state
    does not allow this answer or when the same answer_id came with other content, 422 when it says too little.
    """
    if problem := life.answer_problem(form.state, form.reason, form.note, has_outcome=form.outcome is not None):
        field, detail = problem
        raise Rejected("invalid", detail, errors=[{"pointer": f"/{field}", "detail": detail}])
    if form.appointment and not clocks.plausible(form.appointment.at, office.app.clock.now()):
        detail = "Un rendez-vous est attendu entre le mois passé et les deux ans à venir."
        raise Rejected("invalid", detail, errors=[{"pointer": "/appointment/at", "detail": detail}])
    with office.app.work(traceparent) as work:
        if form.state is ReferralState.DECLINED:
            decided.hold(work)
        referral, side = _seen_from(referral_id, caller, work)
        if side is Side.SENDER:
            raise _not_yours(referral, "y répondre", "a reçue")
        fingerprint = office.app.vault.index("answer", form.model_dump_json(exclude_defaults=True))
        known = work.execute(
            select(answers).where(answers.c.referral_id == referral_id, answers.c.answer_id == form.answer_id)
        ).first()
        if known:
            if known.fingerprint != fingerprint:
                raise Rejected("conflict", "Une autre réponse porte déjà cet answer_id.", status=409)
            state = ReferralState(known.state)
            return AnswerTaken(referral_id=referral_id, answer_id=form.answer_id, state=state, step=known.step), True
        moves = steps.Moves(work, office.network)
        _guard(referral, side, form.state, work, office.network)
        now = _answer(referral, form, caller, moves, fingerprint)
        if form.story_sufficient is not None:
            work.count(
                "relais_story_sufficient",
                "Answers to: was the story enough?",
                category=referral.category,
                answer="yes" if form.story_sufficient else "no",
            )
    return AnswerTaken(referral_id=referral_id, answer_id=form.answer_id, state=form.state, step=now.step), False


def withdraw(
    referral_id: UUID, form: WithdrawForm, caller: Caller, office: Office, traceparent: str
) -> tuple[WithdrawTaken, bool]:
    """Take a referral back, or say that it should never have been; and whether that was done already.

    Raises Rejected: 404 when the caller has not to do with it, 403 when it is addressed to the caller, 409 when it has
    ended already.
    """
    wanted = life.withdrawn_state(form.reason)
    with office.app.work(traceparent) as work:
        referral, side = _seen_from(referral_id, caller, work)
        if side is Side.RECIPIENT:
            raise _not_yours(referral, "la retirer", "a envoyée")
        if again := referral.state == wanted:
            now = referral
        else:
            _guard(referral, side, wanted, work, office.network)
            now = steps.Moves(work, office.network).take(referral, steps.Step(wanted, caller.org, form.reason))
    return WithdrawTaken(referral_id=referral_id, state=ReferralState(now.state), step=now.step), again


def _seen_from(referral_id: UUID, caller: Caller, work: Work) -> tuple[Row[Any], Side]:
    """The referral, locked, and where the caller stands toward it; 404 for whoever has not to do with it.

    Nobody waits for the lock of another's, nor has others wait: a guess that takes longer would be a right one.
    """
    its = select(referrals).where(referrals.c.id == referral_id, queries.concerns(caller))
    row = work.execute(its.with_for_update()).first()
    side = queries.side_of(row, caller) if row else None
    if row is not None and side:
        return row, side
    raise not_found("Aucune orientation de ce numéro ne vous concerne.")


def _not_yours(referral: Row[Any], action: str, who: str) -> Rejected:
    return forbidden(f"L’orientation est à l’état « {referral.state} » ; seul celui qui l’{who} peut {action}.")


def _guard(referral: Row[Any], side: Side, wanted: ReferralState, work: Work, network: Network) -> None:
    """Raises Rejected (409) naming the state where it does not allow this, or where its time is over."""
    state = ReferralState(referral.state)
    if deadlines.is_over(referral, work, network):
        state = ReferralState.EXPIRED
    if not life.may(side, state, wanted):
        allowed = ", ".join(life.possible(side, state)) or "aucune"
        detail = f"L’orientation est à l’état « {state} » : « {wanted} » n’est pas possible (possibles : {allowed})."
        raise Rejected("forbidden-transition", detail, status=409)


def _answer(referral: Row[Any], form: AnswerForm, caller: Caller, moves: steps.Moves, fingerprint: bytes) -> Row[Any]:
    reason = form.reason or form.outcome
    day = form.appointment.at.date() if form.appointment else None
    now = moves.take(referral, steps.Step(form.state, caller.org, reason, day, story_sufficient=form.story_sufficient))
    moves.work.insert(
        answers,
        referral_id=referral.id,
        answer_id=form.answer_id,
        fingerprint=fingerprint,
        state=form.state,
        step=now.step,
        appointment_day=day,
        story_sufficient=form.story_sufficient,
        sealed=_sealed(form, referral, moves.work),
        at=moves.work.now,
    )
    if form.state is ReferralState.DECLINED:
        moves.hand_on(now, reason)
    return now


def _sealed(form: AnswerForm, referral: Row[Any], work: Work) -> bytes | None:
    """What was written freely, under the same key as the sender's note."""
    free = form.model_dump(mode="json", include={"note", "appointment"}, exclude_none=True)
    if not free:
        return None
    text = json.dumps(free, ensure_ascii=False)
    key = work.key(life.owner_of_words(referral.case_id, referral.id, referral.sender))
    return key.seal(f"answer/{referral.id}/{form.answer_id}", text)
