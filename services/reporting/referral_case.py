"""Reads: a case as the partner may see it to whom one of its referrals is addressed: that referral, and no other's."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, select

from services.contracts.codes import CATEGORY_LABELS, SENSITIVE_NEEDS, WITH_PARTNER, Category, Need, ReferralState
from services.reporting.case_forms import ReferralCase, TriedBefore
from services.reporting.cases import Fact, Names, Standing, has_ended, read_group, standings, steps_of, told
from services.reporting.domain.timeline import ended_words, owed
from services.reporting.tables import case_steps, referral_steps


def referral_case(
    connection: Connection, referral_id: UUID, partner: str, names: Names, *, reveals_health: bool
) -> tuple[UUID, ReferralCase] | None:
    """The case's id, which the partner never learns, and what it may see; None for every reason not to.

    It sees a referral that was sent to it, while it is open, unless the person took the agreement back since.
    `reveals_health`: being sent to this partner tells a health or disability fact, whatever the need.
    """
    own = select(referral_steps).where(referral_steps.c.referral_id == referral_id).order_by(referral_steps.c.step)
    found = standings(connection.execute(own).all())
    if not found:
        return None
    referral, case_id = found[0], found[0].sent.case
    if (
        not referral.sent.sent_day
        or referral.sent.partner != partner
        or case_id is None
        or referral.state not in WITH_PARTNER
    ):
        return None
    members = read_group(connection, case_id).members
    tells_health = reveals_health or Need(referral.sent.need) in SENSITIVE_NEEDS
    if _taken_back(connection, members, referral.sent, tells_health=tells_health):
        return None
    others = standings(steps_of(connection, members))
    day = referral.appointment_day
    due_at = referral.sent.due_at if referral.state == ReferralState.SENT else None
    return case_id, ReferralCase(
        referral_id=referral_id,
        need=referral.sent.need,
        site=referral.sent.site,
        state=referral.state,
        waiting=owed(referral.state, due_at, day),
        tried=[_tried(each) for each in others if _came_before(each, referral)],
        timeline=told(list(_facts(referral)), names),
    )


def _taken_back(connection: Connection, members: frozenset[UUID], sent: Row[Any], *, tells_health: bool) -> bool:
    """Whether the last decision for this partner or its category since the sending no longer agrees to all it tells.

    What was decided before is in the sending: it left on an agreement, which a visit may have given.
    """
    decided = case_steps.c.kind.in_(("agreement-given", "agreement-withdrawn"))
    about = case_steps.c.recipient.in_((sent.partner, sent.category))
    since = case_steps.c.case.in_(members) & (case_steps.c.at >= sent.at)
    found = select(case_steps.c.kind, case_steps.c.sensitive).where(since, decided, about)
    last = connection.execute(found.order_by(case_steps.c.at.desc(), case_steps.c.number.desc()).limit(1)).first()
    return last is not None and (last.kind == "agreement-withdrawn" or (tells_health and not last.sensitive))


def _came_before(other: Standing, referral: Standing) -> bool:
    """Whether this was tried for the same need, at somebody else, before the referral left."""
    mine = other.sent.referral_id == referral.sent.referral_id
    same = other.sent.need == referral.sent.need and other.sent.sender is None
    return same and not mine and has_ended(other) and other.sent.at <= referral.sent.at


def _tried(other: Standing) -> TriedBefore:
    category, into = other.sent.category, other.into
    label = f"{CATEGORY_LABELS[Category(category)]}\u00a0: {ended_words(into.state, into.reason)}"
    return TriedBefore(category=category, state=into.state, reason=into.reason, label=label)


def _facts(referral: Standing) -> Iterator[Fact]:
    """Its own steps. Exact times are common to two partners' files, and would let them match these."""
    sent = referral.sent
    for row in referral.steps:
        if row.step < sent.step:
            continue
        codes: dict[str, Any] = {"need": sent.need, "partner": sent.partner, "category": sent.category}
        if row is not sent:
            day = row.appointment_day.isoformat() if row.appointment_day else None
            codes |= {"from_state": row.from_state, "to_state": row.state, "reason": row.reason, "appointment_day": day}
        yield _minute(row.at), f"referral-{row.event or row.state}", sent.site if row is sent else None, codes


def _minute(at: datetime) -> datetime:
    return at.replace(second=0, microsecond=0)
