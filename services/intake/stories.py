"""Who may read which story: intake's own view of referrals and agreements, asked at the very read."""

from datetime import datetime, time
from functools import partial
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import select

from services.chassis.app import Work
from services.chassis.errors import Rejected
from services.contracts.codes import SENSITIVE_NEEDS, Category, Need, ReferralState
from services.contracts.envelope import CloudEvent
from services.contracts.paris import PARIS, paris_day
from services.contracts.referral import (
    ReferralEscalated,
    ReferralMoved,
    ReferralReminded,
    ReferralRerouted,
    ReferralSent,
)
from services.contracts.reporting import CaseRead
from services.intake import accesses as log
from services.intake import queries, slowing, told
from services.intake.call import Call
from services.intake.case_forms import StoryView, Told
from services.intake.decided import standing_of
from services.intake.domain.entitlement import entitling, facts_for_partner, tells_health
from services.intake.queries import Group
from services.intake.tables import accesses, sent_referrals

_FACTS = (
    "age_band", "sex", "publics", "commune", "department", "quarter", "france_travail_registered", "regime", "needs",
)  # fmt: skip
_OTHER_NEEDS = (
    "Les autres besoins de la personne et leurs notes, s’il y en a, ne vous sont pas transmis\u00a0: ils ne concernent"
    " pas cette orientation."
)
_HEALTH = (
    "Les faits de santé ou de handicap, s’il y en a, ne vous sont pas transmis\u00a0: la personne n’y a pas consenti"
    " expressément."
)


# What the clock does, and that somebody else has it now: the state stays, and so does what retention counts from.
_IN_PLACE = (ReferralReminded, ReferralEscalated, ReferralRerouted)


def remember_sent(event: CloudEvent[ReferralSent], work: Work) -> None:
    """A referral left. Of a person whom nobody here knows there is no story."""
    sent = event.data
    if sent.case is None:
        return
    work.insert(
        sent_referrals,
        referral_id=sent.referral_id,
        case_id=sent.case,
        visit_id=sent.visit_id,
        site=sent.site,
        need=sent.need,
        partner=sent.partner,
        category=sent.category,
        sender=sent.sender,
        state=ReferralState.SENT,
        step=sent.step,
        at=event.time,
    )


def remember_moved(event: CloudEvent[ReferralMoved], work: Work) -> None:
    """A referral took a step; it may be here before its sending. What leaves it in its state is no contact."""
    moved = event.data
    if moved.case is None or isinstance(moved, _IN_PLACE):
        return
    work.insert(
        sent_referrals,
        referral_id=moved.referral_id,
        case_id=moved.case,
        visit_id=None,
        site=None,
        need=None,
        partner=None,
        category=None,
        sender=None,
        state=moved.to_state,
        step=moved.step,
        at=event.time,
    )


def remember_read(event: CloudEvent[CaseRead], work: Work) -> None:
    """Somebody read a timeline: into the log."""
    read = event.data
    work.insert(
        accesses,
        case_id=read.case,
        at=event.time,
        org=read.org,
        role=read.role,
        subject=read.subject,
        action="case-read",
        referral_id=read.referral_id,
    )


def of_case(case: UUID, call: Call) -> StoryView:
    """For an agent of a site that knows the case. Raises Rejected (404)."""
    with call.app.work(call.traceparent) as work:
        group = queries.known_and_held(work, case, call.caller.org)
        view = for_agent(work, group)
        log.log(work, group.case, call.caller, "story-read")
    return view


def for_agent(work: Work, group: Group) -> StoryView:
    """All that was told of cases that are held. Raises Rejected (404)."""
    visited = told.visits_of(work, group.members)
    last = visited[-1].facts if visited else {}
    return StoryView(
        case=group.case,
        person=told.identity_of(work, group.case),
        stories=told.stories_of(visited),
        notes=told.notes_of(visited),
        facts={name: last[name] for name in _FACTS if name in last},
        sensitive=True,
        withheld=[],
    )


def of_referral(referral_id: UUID, call: Call) -> StoryView:
    """For the addressed partner. Raises Rejected: 404, 429."""
    return slowing.patiently(partial(entitled, referral_id, call), call)


class _Referral(NamedTuple):
    """A referral as far as intake has heard of it."""

    case: UUID
    visit_id: UUID | None
    site: str
    need: str
    partner: str
    category: str
    state: ReferralState


def entitled(referral_id: UUID, call: Call) -> StoryView | None:
    """What the partner may read; None when it may not, whatever the reason."""
    try:
        return _read(referral_id, call)
    except Rejected:  # erased just now
        return None


def _read(referral_id: UUID, call: Call) -> StoryView | None:
    """Decided and written down in one transaction. Raises Rejected (404)."""
    with call.app.work(call.traceparent) as work:
        referral = _addressed(work, referral_id, call.caller.org)
        if referral is None:
            return None
        group = queries.hold(work, lambda: queries.group_of(work.connection, referral.case))
        if group is None:
            return None
        standing = standing_of(work.connection, group.case)
        partner = call.network.partner(referral.partner)
        decision = entitling(
            referral.state,
            standing.decisions,
            (referral.partner, referral.category),
            stopped=standing.stopped,
            reveals_health=Need(referral.need) in SENSITIVE_NEEDS or (partner is not None and partner.reveals_health),
        )
        if decision is None:
            return None
        view = _for_partner(work, referral, group.members, sensitive=decision.sensitive)
        log.log(work, group.case, call.caller, "story-read", referral_id)
    return view.model_copy(update={"referral_id": referral_id})


def _addressed(work: Work, referral_id: UUID, org: str) -> _Referral | None:
    """The referral, if it is addressed to this partner: one look, whether there is another's or none."""
    steps = sent_referrals.alias()
    own = select(sent_referrals.c.referral_id).where(
        sent_referrals.c.referral_id == referral_id,
        sent_referrals.c.partner == org,
        sent_referrals.c.category != Category.SITE,
    )
    rows = work.execute(select(steps).where(steps.c.referral_id.in_(own)).order_by(steps.c.step)).all()
    if not rows:
        return None
    sent = next(row for row in rows if row.partner)
    facts = sent.case_id, sent.visit_id, sent.site, sent.need, sent.partner, sent.category
    return _Referral(*facts, ReferralState(rows[-1].state))


def _for_partner(work: Work, referral: _Referral, members: tuple[UUID, ...], *, sensitive: bool) -> StoryView:
    visited = told.visits_of(work, members)
    about = next((each for each in visited if (each.site, each.visit_id) == (referral.site, referral.visit_id)), None)
    return StoryView(
        person=told.identity_of(work, members[0]),
        stories=[_without_marks(one) for one in told.stories_of(visited)],
        notes=[_without_marks(one) for one in _notes(about, referral, sensitive=sensitive)] if about else [],
        facts=facts_for_partner(about.facts, referral.need, sensitive=sensitive) if about else {},
        sensitive=sensitive,
        # Said of everybody: said of those alone who have such a fact, it would tell it.
        withheld=[_OTHER_NEEDS] if sensitive else [_OTHER_NEEDS, _HEALTH],
    )


def _notes(about: told.Visited, referral: _Referral, *, sensitive: bool) -> list[Told]:
    """What was noted about the need that this referral is for; of several `autre`, not those sent elsewhere."""
    needs = [need for need in about.needs if need["code"] == referral.need]
    return [
        about.as_told(need["note"], need["code"])
        for need in needs
        if need["note"]
        and (len(needs) == 1 or need["recipient"] in {None, referral.partner})
        and (sensitive or not tells_health(need))
    ]


def _without_marks(one: Told) -> Told:
    """To the day: two partners read the same minute."""
    day = datetime.combine(paris_day(one.occurred_at), time.min, PARIS)
    return one.model_copy(update={"visit_id": None, "occurred_at": day})
