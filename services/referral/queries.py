"""What may be read of referrals, by whom."""

import base64
import binascii
import json
from collections.abc import Iterator
from typing import Any
from uuid import UUID

from prometheus_client.metrics_core import Metric
from sqlalchemy import Row, func, select, union_all

from services.chassis import outbox, pruning
from services.chassis.app import App
from services.chassis.errors import Rejected
from services.chassis.metrics import gauge
from services.chassis.settings import Settings
from services.chassis.tokens import Caller
from services.contracts.codes import ReferralState
from services.contracts.referral import Links
from services.referral import domain
from services.referral.forms import EventsPage, EventsQuery, ReferralsPage, ReferralsQuery, ReferralView, SiteLinks
from services.referral.tables import referrals

_LAST_POSITION = 2**63 - 1
_ORIGIN = referrals.alias("origin")
# `visited`: the site of the visit that began it all, where the referral is about another.
_ROWS = select(
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
        addressed = [referrals.c.partner == caller.org, referrals.c.state.in_(domain.VISIBLE_TO_PARTNER)]
        sides = [[*wanted, *addressed], [*wanted, referrals.c.sender == caller.org]]
    else:
        sides = [[*wanted, referrals.c.site == caller.org]]
    # Each side by its own index: an OR would sort all that a partner has for every page. One statement all the same,
    # so that both sides are of one moment: `next` must not pass over a change that the other side did not see yet.
    pages = [select(_ROWS.where(*side).order_by(referrals.c.change).limit(query.limit).subquery()) for side in sides]
    with app.read() as connection:
        rows = connection.execute(union_all(*pages).order_by("change").limit(query.limit)).all()
    views = [_view(row, caller, app.settings) for row in rows]
    return ReferralsPage(referrals=views, next=_cursor(rows[-1].change) if rows else query.after)


def list_events(query: EventsQuery, caller: Caller, app: App) -> EventsPage:
    """A partner's ledger. Raises Rejected: 422 on a foreign `after`, 410 when events after it have been deleted."""
    position = _position(query.after)
    with app.read() as connection:
        rows = outbox.after(connection, position, recipient=caller.org, limit=query.limit)
        # After reading: what is deleted from now on is in `rows`.
        if query.after is not None and pruning.has_lost(connection, caller.org, position):
            days = app.settings.ledger_days
            raise Rejected("events-expired", _EXPIRED.format(days=days), status=410)
    events = [json.loads(row.body) for row in rows]
    return EventsPage(events=events, next=_cursor(rows[-1].position) if rows else query.after)


def readings(app: App) -> Iterator[Metric]:
    """How many referrals stand where, and how many are overdue, for the ops team."""
    states = select(referrals.c.state, referrals.c.category, func.count()).group_by("state", "category")
    late = (
        select(referrals.c.partner, func.count())
        .where(referrals.c.state == ReferralState.SENT, referrals.c.due_at < app.clock.now())
        .group_by("partner")
    )
    with app.read() as connection:
        standing = [((row[0], row[1]), row[2]) for row in connection.execute(states)]
        overdue = [((row[0],), row[1]) for row in connection.execute(late)]
    yield gauge("relais_referrals", "Referrals by state.", ("status", "category"), standing)
    yield gauge("relais_referrals_overdue", "Sent and not received in time.", ("partner",), overdue)


def links_of(referral_id: UUID, settings: Settings) -> Links:
    """Where a partner goes from a referral."""
    path = f"/v1/referrals/{referral_id}"
    return Links(
        story=f"{settings.url('intake')}{path}/story",
        case=f"{settings.url('reporting')}{path}/case",
        answers=f"{settings.url('referral')}{path}/answers",
    )


def _view(row: Row[Any], caller: Caller, settings: Settings) -> ReferralView:
    """Partners never see a case; a site sees the one that its own visit opened, and never another site's."""
    links: Links | SiteLinks | None = links_of(row.id, settings) if row.partner == caller.org else None
    if links and caller.role != "partner":
        links = SiteLinks(answers=links.answers)
    own_visit = caller.role != "partner" and (row.sender is None or row.visited == caller.org)
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
        changed_at=row.changed_at,
        sender=row.sender,
        case=row.case_id if own_visit else None,
        visit_id=row.visit_id if own_visit else None,
        links=links,
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
