"""Reads: a case as the sites that know it may see it, over all cases that were joined to it."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Connection, Row, or_, select

from services.chassis.errors import not_found
from services.contracts.codes import WITH_PARTNER, ReferralState
from services.reporting.case_forms import CaseTimeline, Ended, TimelineEntry, Waiting
from services.reporting.domain.figures import BOUNCED
from services.reporting.domain.groups import Group, Link, group_of
from services.reporting.domain.timeline import InPlace, ended_sentence, timeline_sentence, waiting_sentence
from services.reporting.tables import case_steps, needs, proposals, referral_steps, visits, visits_with_needs

# When, what kind of event, at which site, and its codes.
Fact = tuple[datetime, str, str | None, dict[str, Any]]
Names = Mapping[str, str]
_JOINED, _PARTED = "merged", "unmerged"


class Standing(NamedTuple):
    """A referral now: its sending, or that it waits for it; its steps in order; the last that led into its state."""

    sent: Row[Any]
    steps: Sequence[Row[Any]]
    into: Row[Any]

    @property
    def state(self) -> ReferralState:
        """Where it stands."""
        return ReferralState(self.into.state)

    @property
    def appointment_day(self) -> Any:  # noqa: ANN401 - a row's column
        """The last one told."""
        return next((row.appointment_day for row in reversed(self.steps) if row.appointment_day), None)


def case_timeline(
    connection: Connection, case_id: UUID, site: str, names: Names, *, vouched: bool = False
) -> CaseTimeline:
    """A case for a site that knows it by its own visits, or that intake has just `vouched` for.

    Raises Rejected (404), the same for an unknown case.
    """
    group = read_group(connection, case_id)
    visited = list(_visits_of(connection, group.members))
    sites = sorted({site_ for _, _, site_, _ in visited if site_})
    if site not in sites and not vouched:
        raise not_found("Aucun dossier de ce numéro n’est connu de votre site.")
    steps = steps_of(connection, group.members)
    # Clocks of several services may agree to the microsecond: then the order of life decides, which sorting keeps.
    facts = [
        *visited,
        *_decisions_of(connection, group.members),
        *_orientations_of(connection, group.members),
        *_told(steps),
    ]
    now = standings(steps)
    return CaseTimeline(
        case=group.head,
        cases=sorted(group.members),
        sites=sites,
        bounces=_bounces(steps),
        waiting=[
            waiting(each, names) for each in now if each.state in {*WITH_PARTNER, ReferralState.AWAITING_AGREEMENT}
        ],
        tried=[_ended(each, names) for each in now if has_ended(each)],
        timeline=told(facts, names),
    )


def told(facts: Sequence[Fact], names: Names) -> list[TimelineEntry]:
    """Each with its sentence, oldest first."""
    return [
        TimelineEntry(at=at, kind=kind, site=where, label=timeline_sentence(kind, where, codes, names), codes=codes)
        for at, kind, where, codes in sorted(facts, key=lambda fact: fact[0])
    ]


def read_group(connection: Connection, case_id: UUID) -> Group:
    """All cases that are this one's person's."""
    links: set[Link] = set()
    asked: set[UUID] = set()
    reached = {case_id}
    while near := reached - asked:
        joins = case_steps.c.kind.in_((_JOINED, _PARTED))
        ends = or_(case_steps.c.case.in_(near), case_steps.c.other.in_(near))
        columns = case_steps.c.case, case_steps.c.other, case_steps.c.at, case_steps.c.kind
        found = connection.execute(select(*columns).where(joins, ends))
        links |= {Link(row.case, row.other, row.at, row.kind == _JOINED) for row in found}
        asked |= near
        reached |= {each for link in links for each in (link.head, link.other)}
    return group_of(case_id, links)


def _visits_of(connection: Connection, members: Collection[UUID]) -> Iterator[Fact]:
    wanted = select(visits, needs.c.code, needs.c.outcome).select_from(visits_with_needs)
    order = visits.c.occurred_at, visits.c.site, visits.c.visit_id, needs.c.position
    found = connection.execute(wanted.where(visits.c.case.in_(members)).order_by(*order))
    for (site, visit_id), rows in groupby(found, key=lambda row: (row.site, row.visit_id)):
        first, *others = rows
        codes = {"visit_id": str(visit_id), "mode": first.mode, "channel": first.channel, "spie": first.spie}
        told_needs = [{"code": row.code, "outcome": row.outcome} for row in (first, *others) if row.code]
        yield first.occurred_at, "visit", site, codes | {"needs": told_needs}


def _decisions_of(connection: Connection, members: Collection[UUID]) -> Iterator[Fact]:
    """What the person decided, and what agents joined; of a case that is another's, nothing but that it was parted."""
    mine = or_(case_steps.c.case.in_(members), case_steps.c.other.in_(members))
    for row in connection.execute(select(case_steps).where(mine).order_by(case_steps.c.number)):
        if row.kind in (_JOINED, _PARTED):
            pair = [str(each) for each in (row.case, row.other) if each in members]
            yield row.at, f"case-{row.kind}", None, {"cases": pair, "retold": row.retold}
        else:
            codes = {"recipient": row.recipient, "sensitive": row.sensitive, "reason": row.reason}
            yield row.at, row.kind, None, codes


def _orientations_of(connection: Connection, members: Collection[UUID]) -> Iterator[Fact]:
    order = proposals.c.at, proposals.c.orientation_id, proposals.c.position
    found = connection.execute(select(proposals).where(proposals.c.case.in_(members)).order_by(*order)).mappings()
    names = ("need", "rule", "partner", "category", "desk_first", "unmet", "chosen")
    for _, rows in groupby(found, key=lambda row: row["orientation_id"]):
        first, *others = rows
        proposed = [{name: row[name] for name in names} for row in (first, *others)]
        yield first["at"], "orientation", first["site"], {"visit_id": str(first["visit_id"]), "proposals": proposed}


def steps_of(connection: Connection, members: Collection[UUID]) -> Sequence[Row[Any]]:
    """Every step of every referral of these cases, those of one in order."""
    order = referral_steps.c.referral_id, referral_steps.c.step
    return connection.execute(select(referral_steps).where(referral_steps.c.case.in_(members)).order_by(*order)).all()


def standings(steps: Sequence[Row[Any]]) -> list[Standing]:
    """Where each referral stands that has been told of, but by its later steps alone; the oldest first."""
    found = []
    for _, rows in groupby(steps, key=lambda row: row.referral_id):
        own = list(rows)
        first = next((row for row in own if row.sent_day), own[0])
        if first.need is not None:
            into = [row for row in own if row.event is None or row is first]
            found.append(Standing(first, own, into[-1]))
    return sorted(found, key=lambda each: each.sent.at)


def has_ended(referral: Standing) -> bool:
    """Whether it was tried and is over; what never left or was a mistake was not tried."""
    tried = referral.sent.sent_day is not None and referral.state != ReferralState.ENTERED_IN_ERROR
    return tried and referral.state not in WITH_PARTNER


def waiting(referral: Standing, names: Names) -> Waiting:
    """What an open referral waits for."""
    sent, due_at = referral.sent, referral.sent.due_at if referral.state == ReferralState.SENT else None
    day = referral.appointment_day
    return Waiting(
        referral_id=sent.referral_id,
        need=sent.need,
        partner=sent.partner,
        state=referral.state,
        since=referral.into.at,
        due_at=due_at,
        appointment_day=day,
        label=waiting_sentence(referral.state, names.get(sent.partner, sent.partner), due_at, day),
    )


def _ended(referral: Standing, names: Names) -> Ended:
    sent, into = referral.sent, referral.into
    return Ended(
        referral_id=sent.referral_id,
        need=sent.need,
        partner=sent.partner,
        category=sent.category,
        state=into.state,
        reason=into.reason,
        at=into.at,
        label=ended_sentence(sent.need, names.get(sent.partner, sent.partner), into.state, into.reason),
    )


def _told(steps: Sequence[Row[Any]]) -> Iterator[Fact]:
    """Each referral's steps in order, and those of a referral behind those of the one whose place it took."""
    sendings = {row.referral_id: row for row in steps if row.sent_day}
    # An earlier release beside this one does not write what a sending says of the referral before it.
    reroutings = {row.next_referral_id: row for row in steps if row.next_referral_id}

    def left_behind(row: Row[Any]) -> int:
        sent, handed_on = sendings.get(row.referral_id), reroutings.get(row.referral_id)
        return (sent and sent.bounces) or (handed_on and handed_on.bounces) or 0

    for row in sorted(steps, key=left_behind):
        sent = sendings.get(row.referral_id)
        codes: dict[str, Any] = {"referral_id": str(row.referral_id), "sender": sent and sent.sender}
        if row.state == ReferralState.AWAITING_AGREEMENT:
            codes |= {name: getattr(row, name) for name in ("need", "partner", "category", "department")}
            codes |= {"visit_id": str(row.visit_id)}
        elif row.sent_day:
            handed_on = reroutings.get(row.referral_id)
            previous = row.previous or (handed_on and handed_on.referral_id)
            before = sendings.get(previous)
            codes |= {"visit_id": str(row.visit_id), "need": row.need, "partner": row.partner}
            codes |= {"category": row.category, "department": row.department, "bounces": left_behind(row)}
            codes |= {"previous": previous and str(previous), "previous_partner": before and before.partner}
        else:
            day = row.appointment_day.isoformat() if row.appointment_day else None
            codes |= {"partner": sent and sent.partner, "from_state": row.from_state, "to_state": row.state}
            codes |= {"reason": row.reason, "appointment_day": day}
        if row.event == InPlace.REROUTED:
            codes |= {"next_referral_id": str(row.next_referral_id), "next_partner": row.partner}
            codes |= {"next_category": row.category, "bounces": row.bounces}
        yield row.at, f"referral-{row.event or row.state}", row.site, codes


def _bounces(steps: Sequence[Row[Any]]) -> int:
    """How many of the referrals that were sent have ended declined or expired."""
    last = {row.referral_id: row for row in steps}
    unsent = {row.referral_id for row in steps if row.from_state == ReferralState.AWAITING_AGREEMENT}
    return sum(row.state in BOUNCED for referral_id, row in last.items() if referral_id not in unsent)
