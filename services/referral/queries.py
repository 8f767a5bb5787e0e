"""What may be read of referrals, by whom."""

import base64
import binascii
import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from typing import Any
from uuid import UUID

from prometheus_client.metrics_core import Metric
from sqlalchemy import ColumnElement, Connection, Row, func, or_, select, union_all

from services.chassis import outbox, pruning, recalling
from services.chassis.app import App
from services.chassis.errors import Rejected
from services.chassis.metrics import gauge
from services.chassis.settings import Settings
from services.chassis.tables import vault_keys
from services.chassis.tokens import Caller
from services.chassis.vault import Key
from services.contracts.codes import ReferralState
from services.contracts.referral import Links
from services.referral import decided
from services.referral.domain import life
from services.referral.forms import (
    AnswerView,
    EventsPage,
    EventsQuery,
    NextStep,
    ReferralsPage,
    ReferralsQuery,
    ReferralView,
    SiteLinks,
)
from services.referral.tables import SHOWN_TO_RECIPIENT, answers, history, referrals

_LAST_POSITION = 2**63 - 1
_ORIGIN = referrals.alias("origin")
# What `read` takes. `visited`: the site of the visit that began it all, where the referral is about another.
ROWS = select(
    referrals, select(_ORIGIN.c.site).where(_ORIGIN.c.id == referrals.c.about).scalar_subquery().label("visited")
)
_EXPIRED = (
    "Des événements postérieurs à ce « after » ont été supprimés : ils sont conservés {days} jours. Reprenez sans"
    " « after » ; GET /v1/referrals donne l’état actuel de tout ce qui vous est adressé."
)


def list_referrals(query: ReferralsQuery, caller: Caller, app: App) -> ReferralsPage:
    """What is addressed to the caller, and what it sent. Raises Rejected (422) on a foreign `after`."""
    wanted = [referrals.c.change > _position(query.after)]
    if query.status:
        wanted.append(referrals.c.state == query.status)
    if caller.role == "partner":
        addressed = [referrals.c.partner == caller.org, SHOWN_TO_RECIPIENT]
        sides = [[*wanted, *addressed], [*wanted, referrals.c.sender == caller.org]]
    else:
        sides = [[*wanted, referrals.c.site == caller.org]]
    # Each side by its own index: an OR would sort all that a partner has for every page. One statement all the same,
    # so that both sides are of one moment: `next` must not pass over a change that the other side did not see yet.
    pages = [select(ROWS.where(*side).order_by(referrals.c.change).limit(query.limit).subquery()) for side in sides]
    with app.read() as connection, shown_to(caller, connection):
        rows = connection.execute(union_all(*pages).order_by("change").limit(query.limit)).all()
        views = read(rows, caller, connection, app)
    return ReferralsPage(referrals=views, next=_cursor(rows[-1].change) if rows else query.after)


def shown_to(caller: Caller, connection: Connection) -> AbstractContextManager[None]:
    """Around what a partner reads of its referrals: what it has seen is not called back behind its back."""
    return recalling.reading(connection, caller.org) if caller.role == "partner" else nullcontext()


def list_events(query: EventsQuery, caller: Caller, app: App) -> EventsPage:
    """A partner's ledger. Raises Rejected: 422 on a foreign `after`, 410 when events after it have been deleted."""
    position = _position(query.after)
    with app.read() as connection, shown_to(caller, connection):
        rows = outbox.after(connection, position, recipient=caller.org, limit=query.limit)
        # After reading: what is deleted from now on is in `rows`.
        if query.after is not None and pruning.has_lost(connection, caller.org, position):
            days = app.settings.ledger_days
            raise Rejected("events-expired", _EXPIRED.format(days=days), status=410)
    events = [json.loads(row.body) for row in rows]
    return EventsPage(events=events, next=_cursor(rows[-1].position) if rows else query.after)


def read(rows: Sequence[Row[Any]], caller: Caller, connection: Connection, app: App) -> list[ReferralView]:
    """Referrals with their answers, opened for a reader who sent them or to whom they are addressed."""
    given = select(answers, history.c.reason).join_from(
        answers, history, (history.c.referral_id == answers.c.referral_id) & (history.c.step == answers.c.step)
    )
    given = given.where(answers.c.referral_id.in_([row.id for row in rows])).order_by(answers.c.step)
    said: defaultdict[UUID, list[Row[Any]]] = defaultdict(list)
    for answer in connection.execute(given):
        said[answer.referral_id].append(answer)
    owners = {row.id: life.owner_of_words(row.case_id, row.id, row.sender) for row in rows}
    sealed = {owners[row.id] for row in rows if row.sealed or any(each.sealed for each in said[row.id])}
    wrapped = select(vault_keys.c.owner, vault_keys.c.wrapped).where(vault_keys.c.owner.in_(sealed))
    keys = {row.owner: app.vault.open_key(row.owner, row.wrapped) for row in connection.execute(wrapped)}
    heads = decided.heads(connection, {row.case_id for row in rows if row.case_id}) if caller.role != "partner" else {}
    views = []
    for row in rows:
        key = keys.get(owners[row.id])
        view = _view(row, caller, app, [_answer(each, key) for each in said[row.id]], key)
        views.append(view.model_copy(update={"case": heads[view.case]}) if view.case and view.case in heads else view)
    return views


def _answer(row: Row[Any], key: Key | None) -> AnswerView:
    free: dict[str, Any] = {}
    if row.sealed and key:
        free = json.loads(key.open(f"answer/{row.referral_id}/{row.answer_id}", row.sealed))
    return AnswerView(
        answer_id=row.answer_id,
        status=ReferralState(row.state),
        at=row.at,
        reason=row.reason,
        story_sufficient=row.story_sufficient,
        appointment=free.get("appointment"),
        note=free.get("note"),
    )


def side_of(row: Row[Any], caller: Caller) -> life.Side | None:
    """Where the caller stands toward a referral, as `SHOWN_TO_RECIPIENT` says; None where it does not concern it."""
    if row.partner == caller.org and row.state in life.VISIBLE_TO_PARTNER and not row.never_sent:
        return life.Side.RECIPIENT
    return life.Side.SENDER if caller.org == (row.sender or row.site) else None


def concerns(caller: Caller) -> ColumnElement[bool]:
    """The condition on a referral that the caller stands somewhere toward it, as `side_of` says."""
    sends = func.coalesce(referrals.c.sender, referrals.c.site) == caller.org
    return or_((referrals.c.partner == caller.org) & SHOWN_TO_RECIPIENT, sends)


def is_late(now: datetime) -> ColumnElement[bool]:
    """Whether an open referral has waited for too long: its day has passed, or the clock had to ask."""
    return or_(referrals.c.due_at < now, referrals.c.reminders > 0, referrals.c.escalations > 0)


def readings(app: App) -> Iterator[Metric]:
    """How many referrals stand where, and how many are overdue, for the ops team."""
    states = select(referrals.c.state, referrals.c.category, func.count()).group_by("state", "category")
    late = (
        select(referrals.c.partner, func.count())
        .where(referrals.c.state.in_(life.DUTIES), referrals.c.due_at < app.clock.now())
        .group_by("partner")
    )
    with app.read() as connection:
        standing = [((row[0], row[1]), row[2]) for row in connection.execute(states)]
        overdue = [((row[0],), row[1]) for row in connection.execute(late)]
    yield gauge("relais_referrals", "Referrals by state.", ("status", "category"), standing)
    yield gauge("relais_referrals_overdue", "Open, and the next action not taken in time.", ("partner",), overdue)


def links_of(referral_id: UUID, settings: Settings) -> Links:
    """Where a partner goes from a referral."""
    path = f"/v1/referrals/{referral_id}"
    return Links(
        story=f"{settings.url('intake')}{path}/story",
        case=f"{settings.url('reporting')}{path}/case",
        answers=f"{settings.url('referral')}{path}/answers",
    )


def _view(row: Row[Any], caller: Caller, app: App, said: list[AnswerView], key: Key | None) -> ReferralView:
    """Partners never see a case; a site sees the one that its own visit opened, and never another site's."""
    links: Links | SiteLinks | None = links_of(row.id, app.settings) if row.partner == caller.org else None
    if links and caller.role != "partner":
        links = SiteLinks(answers=links.answers)
    own_visit = caller.role != "partner" and (row.sender is None or row.visited == caller.org)
    followed = caller.role != "partner" and row.sender is None
    return ReferralView(
        referral_id=row.id,
        need=row.need,
        partner=row.partner,
        category=row.category,
        department=row.department,
        site=row.site,
        reason=row.reason,
        state=ReferralState(row.state),
        due_at=row.due_at,
        sent_at=_told(row.opened_at, caller),
        changed_at=_told(row.changed_at, caller),
        next=_next_step(row, caller, app),
        answers=said,
        reminders=row.reminders,
        sender=row.sender,
        note=key.open(f"referral/{row.id}/note", row.sealed) if row.sealed and key else None,
        case=row.case_id if own_visit else None,
        visit_id=row.visit_id if own_visit else None,
        previous=row.previous if followed else None,
        next_referral=row.next_id if followed else None,
        bounces=row.bounces if row.sender is None else None,
        links=links,
    )


def _told(instant: datetime, caller: Caller) -> datetime:
    """A time as a reader may know it: partners to the minute, as in their events."""
    return instant.replace(second=0, microsecond=0) if caller.role == "partner" else instant


def _next_step(row: Row[Any], caller: Caller, app: App) -> NextStep | None:
    """Whether somebody took over from a partner is told to its sender alone."""
    duty = life.duty(ReferralState(row.state), taken_over=row.next_id is not None)
    if duty is None or (duty is life.REORIENT and row.partner == caller.org):
        return None
    return NextStep(
        owner=row.partner if duty.side is life.Side.RECIPIENT else row.sender or row.site,
        action=duty.action,
        label=duty.label,
        before=row.due_at,
        overdue=row.due_at is not None and row.due_at < app.clock.now(),
    )


def _cursor(position: int) -> str:
    return base64.urlsafe_b64encode(str(position).encode()).decode().rstrip("=")


def _position(cursor: str | None) -> int:
    if cursor is None:
        return 0
    try:
        position = int(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, binascii.Error):
        position = -1
    if not 0 <= position <= _LAST_POSITION:
        detail = "Valeur attendue : le « next » d’une page précédente."
        raise Rejected("invalid", detail, errors=[{"pointer": "/after", "detail": detail}])
    return position
