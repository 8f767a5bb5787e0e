"""Reads: the activity report, the public page's counts, a case's timeline, and who may see what."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from itertools import groupby
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Select, String, case, cast, func, null, select, true

from services.chassis.errors import forbidden, not_found
from services.network import Network
from services.reporting.domain import By, bucket_label, timeline_sentence
from services.reporting.forms import (
    ActivityReport,
    CaseTimeline,
    Filters,
    Overrides,
    Period,
    Proposals,
    Referrals,
    Row,
    TimelineEntry,
    Totals,
    Visits,
)
from services.reporting.tables import needs, proposals, referral_steps, visits

# When, what kind of event, at which site, and its codes.
Fact = tuple[datetime, str, str | None, dict[str, Any]]


@dataclass(frozen=True)
class Scope:
    """Whose figures of which days; `sites` None means every site."""

    first: date
    last: date
    sites: frozenset[str] | None = None

    def holds(self, day: ColumnElement[Any], site: ColumnElement[Any]) -> ColumnElement[bool]:
        """The condition on a table's day and site columns."""
        within = day.between(self.first, self.last)
        return within if self.sites is None else within & site.in_(sorted(self.sites))


def sites_of(network: Network, org: str, asked: str | None = None) -> frozenset[str]:
    """The sites whose figures a steering `org` (a charter or a site) may see, or the one it asked for.

    Raises Rejected (403) for an unknown organisation and for another's site.
    """
    charters = {charter.id: frozenset(charter.sites) for charter in network.charters}
    own = charters.get(org) or frozenset({site.id for site in network.sites if site.id == org})
    if not own:
        raise forbidden("Votre organisation n’est ni une charte ni un site de ce réseau.")
    if asked is not None and asked not in own:
        raise forbidden("Ce site ne relève pas de votre organisation.")
    return own if asked is None else frozenset({asked})


def names_of(network: Network) -> dict[str, str]:
    """Sites and partners by id, as people call them; they share one space of ids."""
    return {partner.id: partner.name for partner in network.partners} | {site.id: site.name for site in network.sites}


def activity(
    connection: Connection, scope: Scope, names: Mapping[str, str], *, site: str | None, by: By | None
) -> ActivityReport:
    """The exact report of a scope, broken down by `by` if wanted."""
    found = connection.execute(_visit_counts(scope, null())).mappings().first()
    outcomes = select(needs.c.outcome, func.count()).select_from(_VISITS_WITH_NEEDS)
    outcomes = outcomes.where(scope.holds(visits.c.day, visits.c.site), needs.c.outcome.is_not(None))
    return ActivityReport(
        period=Period(first=scope.first, last=scope.last),
        filters=Filters(site=site, by=by, sites=sorted(scope.sites or ())),
        totals=Totals(
            **(_visit_figures(found) if found else {}),
            by_outcome=_counts(connection, outcomes.group_by(needs.c.outcome)),
            proposals=_proposals(connection, scope),
            referrals=_referrals(connection, scope),
        ),
        overrides=_overrides(connection, scope),
        rows=breakdown(connection, scope, by, names) if by else None,
    )


def breakdown(connection: Connection, scope: Scope, by: By, names: Mapping[str, str]) -> list[Row]:
    """One row per value of a dimension: days in order, everything else the most visited first."""
    found = connection.execute(_visit_counts(scope, _DIMENSIONS[by])).mappings()
    rows = [Row(key=each["key"], label=bucket_label(by, each["key"], names), **_visit_figures(each)) for each in found]
    if by in {By.DAY, By.WEEK, By.MONTH}:
        return sorted(rows, key=lambda row: row.key or "")
    return sorted(rows, key=lambda row: (-row.visits, row.key or ""))


def case_timeline(connection: Connection, case_id: UUID, site: str, names: Mapping[str, str]) -> CaseTimeline:
    """A case's timeline for a site that knows it. Raises Rejected (404), the same for an unknown case."""
    visited = list(_visits_of(connection, case_id))
    sites = sorted({site_ for _, _, site_, _ in visited if site_})
    if site not in sites:
        raise not_found("Aucun dossier de ce numéro n’est connu de votre site.")
    # Clocks of several services may agree to the microsecond: then the order of life decides, which sorting keeps.
    facts = [*visited, *_orientations_of(connection, case_id), *_steps_of(connection, case_id)]
    return CaseTimeline(
        case=case_id,
        sites=sites,
        timeline=[
            TimelineEntry(at=at, kind=kind, site=where, label=timeline_sentence(kind, where, codes, names), codes=codes)
            for at, kind, where, codes in sorted(facts, key=lambda fact: fact[0])
        ],
    )


def _visits_of(connection: Connection, case_id: UUID) -> Iterator[Fact]:
    wanted = select(visits, needs.c.code, needs.c.outcome).select_from(_VISITS_WITH_NEEDS)
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


def _steps_of(connection: Connection, case_id: UUID) -> Iterator[Fact]:
    order = referral_steps.c.referral_id, referral_steps.c.step
    found = connection.execute(select(referral_steps).where(referral_steps.c.case == case_id).order_by(*order)).all()
    senders = {row.referral_id: row.sender for row in found if row.sender}
    for row in found:
        codes: dict[str, Any] = {"referral_id": str(row.referral_id), "sender": senders.get(row.referral_id)}
        if row.sent_day:
            codes |= {"visit_id": str(row.visit_id), "need": row.need, "partner": row.partner}
            codes |= {"category": row.category, "department": row.department}
        else:
            day = row.appointment_day.isoformat() if row.appointment_day else None
            codes |= {"from_state": row.from_state, "to_state": row.state, "reason": row.reason, "appointment_day": day}
        yield row.at, f"referral-{row.state}", row.site, codes


@dataclass(frozen=True)
class Overview:
    """The exact counts behind the public page: nothing of it may be shown before it is rounded."""

    scope: Scope
    sites: list[Row]
    needs: list[Row]
    proposals: Proposals
    referrals: dict[tuple[str, str], int]


def overview(connection: Connection, scope: Scope, names: Mapping[str, str]) -> Overview:
    """Visits per site and need, proposals, and referrals by (category, state)."""
    return Overview(
        scope=scope,
        sites=breakdown(connection, scope, By.SITE, names),
        needs=breakdown(connection, scope, By.NEED, names),
        proposals=_proposals(connection, scope),
        referrals=_referral_counts(connection, scope),
    )


# Needs are joined from the outside, so that no visit is lost should it have none.
_VISITS_WITH_NEEDS = visits.outerjoin(needs, (needs.c.site == visits.c.site) & (needs.c.visit_id == visits.c.visit_id))
_PUBLIC = func.unnest(visits.c.publics).table_valued("public").render_derived("declared")
_DIMENSIONS: dict[By, ColumnElement[Any]] = {
    By.DAY: func.to_char(visits.c.day, "YYYY-MM-DD"),
    By.WEEK: func.to_char(visits.c.day, 'IYYY-"W"IW'),
    By.MONTH: func.to_char(visits.c.day, "YYYY-MM"),
    By.SITE: visits.c.site,
    By.NEED: needs.c.code,
    By.OUTCOME: needs.c.outcome,
    By.PUBLIC: _PUBLIC.c.public,
    By.CHANNEL: visits.c.channel,
    By.MODE: visits.c.mode,
    By.AGE_BAND: visits.c.age_band,
    By.SEX: visits.c.sex,
    By.CLASS: visits.c.visit_class,
    By.COMMUNE: visits.c.commune,
    By.DEPARTMENT: visits.c.department,
    By.QUARTER: visits.c.quarter,
}


def _visit_counts(scope: Scope, key: ColumnElement[Any]) -> Select[Any]:
    """Visits per key: first one row per (visit, key), so that a visit with two such needs is still one visit."""
    rows = _VISITS_WITH_NEEDS
    if key is _DIMENSIONS[By.PUBLIC]:
        rows = rows.outerjoin(_PUBLIC, true())
    each = (
        select(
            cast(key, String).label("key"),
            visits.c.visit_class,
            visits.c.spie,
            func.count(needs.c.code).label("needs"),
        )
        .select_from(rows)
        .where(scope.holds(visits.c.day, visits.c.site))
        .group_by(visits.c.site, visits.c.visit_id, "key")
        .subquery()
    )
    return select(
        each.c.key,
        func.count().label("visits"),
        func.count().filter(each.c.visit_class == "emploi").label("emploi"),
        func.count().filter(each.c.visit_class == "complementaire").label("complementaire"),
        func.count().filter(each.c.spie).label("spie"),
        cast(func.coalesce(func.sum(each.c.needs), 0), needs.c.position.type).label("needs"),
    ).group_by(each.c.key)


def _visit_figures(found: Mapping[Any, Any]) -> dict[str, int]:
    return {name: int(found[name]) for name in Visits.model_fields}


def _counts(connection: Connection, statement: Select[Any]) -> dict[str, int]:
    return dict(sorted((str(key), int(count)) for key, count in connection.execute(statement)))


def _proposals(connection: Connection, scope: Scope) -> Proposals:
    """Each proposal in exactly one of: unmet, answered at the desk, proposed to a category."""
    reached = func.coalesce(proposals.c.category, "desk")
    kind = case((proposals.c.unmet, "unmet"), (proposals.c.desk_first, "desk"), else_=reached).label("kind")
    here = scope.holds(proposals.c.day, proposals.c.site)
    counts = _counts(connection, select(kind, func.count()).where(here).group_by(kind))
    unmet = select(proposals.c.need, func.count()).where(here, proposals.c.unmet).group_by(proposals.c.need)
    return Proposals(
        total=sum(counts.values()),
        unmet=counts.pop("unmet", 0),
        desk_first=counts.pop("desk", 0),
        by_category=counts,
        unmet_by_need=_counts(connection, unmet),
    )


def _overrides(connection: Connection, scope: Scope) -> list[Overrides]:
    """Each rule that proposed something, the most often overridden first."""
    overridden = func.count(proposals.c.chosen)
    counts = select(proposals.c.rule, func.count().label("proposals"), overridden.label("overridden"))
    found = counts.where(scope.holds(proposals.c.day, proposals.c.site)).group_by(proposals.c.rule)
    rows = [Overrides(**row) for row in connection.execute(found).mappings()]
    return sorted(rows, key=lambda row: (-row.overridden, row.proposals, row.rule))


def _referral_counts(connection: Connection, scope: Scope) -> dict[tuple[str, str], int]:
    """Referrals sent in the scope by (category, present state): the state of the highest step, however it arrived."""
    step = referral_steps.alias("step")
    now = (
        select(step.c.state)
        .where(step.c.referral_id == referral_steps.c.referral_id)
        .order_by(step.c.step.desc())
        .limit(1)
        .lateral("now")
    )
    statement = (
        select(referral_steps.c.category, now.c.state, func.count())
        .select_from(referral_steps.join(now, true()))
        .where(scope.holds(referral_steps.c.sent_day, referral_steps.c.site))
        .group_by(referral_steps.c.category, now.c.state)
    )
    return {(category, state): count for category, state, count in connection.execute(statement)}


def _referrals(connection: Connection, scope: Scope) -> Referrals:
    counts = _referral_counts(connection, scope)
    by_category: dict[str, int] = {}
    by_state: dict[str, int] = {}
    for (category, state), count in sorted(counts.items()):
        by_category[category] = by_category.get(category, 0) + count
        by_state[state] = by_state.get(state, 0) + count
    return Referrals(sent=sum(counts.values()), by_category=by_category, by_state=by_state)
