"""Reads: a case's timeline, for a site that knows it."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, select

from services.chassis.errors import not_found
from services.contracts.codes import ReferralState
from services.reporting.domain.figures import BOUNCED
from services.reporting.domain.timeline import InPlace, timeline_sentence
from services.reporting.forms import CaseTimeline, TimelineEntry
from services.reporting.tables import needs, proposals, referral_steps, visits, visits_with_needs

# When, what kind of event, at which site, and its codes.
Fact = tuple[datetime, str, str | None, dict[str, Any]]


def case_timeline(connection: Connection, case_id: UUID, site: str, names: Mapping[str, str]) -> CaseTimeline:
    """A case's timeline for a site that knows it. Raises Rejected (404), the same for an unknown case."""
    visited = list(_visits_of(connection, case_id))
    sites = sorted({site_ for _, _, site_, _ in visited if site_})
    if site not in sites:
        raise not_found("Aucun dossier de ce numéro n’est connu de votre site.")
    steps = _steps_of(connection, case_id)
    # Clocks of several services may agree to the microsecond: then the order of life decides, which sorting keeps.
    facts = [*visited, *_orientations_of(connection, case_id), *_told(steps)]
    return CaseTimeline(
        case=case_id,
        sites=sites,
        bounces=_bounces(steps),
        timeline=[
            TimelineEntry(at=at, kind=kind, site=where, label=timeline_sentence(kind, where, codes, names), codes=codes)
            for at, kind, where, codes in sorted(facts, key=lambda fact: fact[0])
        ],
    )


def _visits_of(connection: Connection, case_id: UUID) -> Iterator[Fact]:
    wanted = select(visits, needs.c.code, needs.c.outcome).select_from(visits_with_needs)
    order = visits.c.occurred_at, visits.c.site, visits.c.visit_id, needs.c.position
    found = connection.execute(wanted.where(visits.c.case == case_id).order_by(*order))
    for (site, visit_id), rows in groupby(found, key=lambda row: (row.site, row.visit_id)):
        first, *others = rows
        codes = {"visit_id": str(visit_id), "mode": first.mode, "channel": first.channel, "spie": first.spie}
        told = [{"code": row.code, "outcome": row.outcome} for row in (first, *others) if row.code]
        yield first.occurred_at, "visit", site, codes | {"needs": told}


def _orientations_of(connection: Connection, case_id: UUID) -> Iterator[Fact]:
    order = proposals.c.at, proposals.c.orientation_id, proposals.c.position
    found = connection.execute(select(proposals).where(proposals.c.case == case_id).order_by(*order)).mappings()
    names = ("need", "rule", "partner", "category", "desk_first", "unmet", "chosen")
    for _, rows in groupby(found, key=lambda row: row["orientation_id"]):
        first, *others = rows
        told = [{name: row[name] for name in names} for row in (first, *others)]
        yield first["at"], "orientation", first["site"], {"visit_id": str(first["visit_id"]), "proposals": told}


def _steps_of(connection: Connection, case_id: UUID) -> Sequence[Row[Any]]:
    order = referral_steps.c.referral_id, referral_steps.c.step
    return connection.execute(select(referral_steps).where(referral_steps.c.case == case_id).order_by(*order)).all()


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
        if row.sent_day:
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
