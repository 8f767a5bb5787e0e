"""Reads: the activity report, the public page's counts, and who may see what."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import ColumnElement, Connection, Select, String, case, cast, func, null, select, true

from services.chassis.errors import forbidden
from services.network import Network
from services.reporting.delays import delays
from services.reporting.domain.figures import BOUNCED, By, bucket_label
from services.reporting.domain.timeline import InPlace
from services.reporting.forms import (
    ActivityReport,
    Delays,
    Filters,
    Overrides,
    Period,
    Proposals,
    Referrals,
    Row,
    ToldOnce,
    Totals,
    Visits,
)
from services.reporting.scope import Scope
from services.reporting.tables import needs, proposals, referral_steps, visits, visits_with_needs
from services.reporting.told_once import told_once

K = TypeVar("K", str, tuple[str, str], tuple[str, bool])


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
    outcomes = select(needs.c.outcome, func.count()).select_from(visits_with_needs)
    outcomes = outcomes.where(scope.holds(visits.c.day, visits.c.site), needs.c.outcome.is_not(None))
    return ActivityReport(
        period=Period(first=scope.first, last=scope.last),
        filters=Filters(site=site, by=by, sites=sorted(scope.sites or ())),
        totals=Totals(
            **(_visit_figures(found) if found else {}),
            by_outcome=_counts(connection, outcomes.group_by(needs.c.outcome)),
            proposals=_proposals(connection, scope),
            referrals=_referrals(_referral_counts(connection, scope)),
        ),
        delays=delays(connection, scope),
        overrides=_overrides(connection, scope),
        told_once=told_once(connection, scope, names),
        rows=breakdown(connection, scope, by, names) if by else None,
    )


def breakdown(connection: Connection, scope: Scope, by: By, names: Mapping[str, str]) -> list[Row]:
    """One row per value of a dimension: days in order, everything else the most visited first."""
    found = connection.execute(_visit_counts(scope, _DIMENSIONS[by])).mappings()
    rows = [Row(key=each["key"], label=bucket_label(by, each["key"], names), **_visit_figures(each)) for each in found]
    if by in {By.DAY, By.WEEK, By.MONTH}:
        return sorted(rows, key=lambda row: row.key or "")
    return sorted(rows, key=lambda row: (-row.visits, row.key or ""))


@dataclass(frozen=True)
class Overview:
    """The exact counts behind the public page: nothing of it may be shown before it is rounded."""

    scope: Scope
    sites: list[Row]
    needs: list[Row]
    proposals: Proposals
    referrals: dict[tuple[str, str], int]
    bounces: dict[tuple[str, bool], int]
    delays: Delays
    told_once: ToldOnce


def overview(connection: Connection, scope: Scope, names: Mapping[str, str]) -> Overview:
    """Visits per site and need, proposals, referrals by (category, state), bounces by (need, rerouted), the rest."""
    counts = _referral_counts(connection, scope)
    bounced = ((standing, count) for standing, count in counts.items() if standing.state in BOUNCED)
    return Overview(
        scope=scope,
        sites=breakdown(connection, scope, By.SITE, names),
        needs=breakdown(connection, scope, By.NEED, names),
        proposals=_proposals(connection, scope),
        referrals=_summed(((standing.category, standing.state), count) for standing, count in counts.items()),
        bounces=_summed(((standing.need, standing.rerouted), count) for standing, count in bounced),
        delays=delays(connection, scope),
        told_once=told_once(connection, scope, names),
    )


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
    rows = visits_with_needs
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
        .group_by(visits.c.written_on, visits.c.site, visits.c.visit_id, "key")
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


class _Standing(NamedTuple):
    """What is counted of referrals: category, need, present state, and whether another has taken its place."""

    category: str
    need: str
    state: str
    rerouted: bool


def _referral_counts(connection: Connection, scope: Scope) -> dict[_Standing, int]:
    """Referrals sent in the scope, by where they stand: what the highest step says, in whatever order they arrived.

    A rerouting is the last step of the referral that it ends, unless that is taken back as entered in error.
    """
    step = referral_steps.alias("step")
    now = (
        select(step.c.state, (func.coalesce(step.c.event, "") == InPlace.REROUTED).label("rerouted"))
        .where(step.c.referral_id == referral_steps.c.referral_id)
        .order_by(step.c.step.desc())
        .limit(1)
        .lateral("now")
    )
    key = referral_steps.c.category, referral_steps.c.need, now.c.state, now.c.rerouted
    statement = (
        select(*key, func.count())
        .select_from(referral_steps.join(now, true()))
        .where(scope.holds(referral_steps.c.sent_day, referral_steps.c.site))
        .group_by(*key)
    )
    return {_Standing(*row[:-1]): row[-1] for row in connection.execute(statement)}


def _referrals(counts: dict[_Standing, int]) -> Referrals:
    bounced = {standing: count for standing, count in counts.items() if standing.state in BOUNCED}
    return Referrals(
        sent=sum(counts.values()),
        by_category=_summed((standing.category, count) for standing, count in counts.items()),
        by_state=_summed((standing.state, count) for standing, count in counts.items()),
        bounces=sum(bounced.values()),
        rerouted=sum(count for standing, count in bounced.items() if standing.rerouted),
        bounces_by_category=_summed((standing.category, count) for standing, count in bounced.items()),
        bounces_by_need=_summed((standing.need, count) for standing, count in bounced.items()),
    )


def _summed(counts: Iterable[tuple[K, int]]) -> dict[K, int]:
    """The sums by key, in the order of keys."""
    found: Counter[K] = Counter()
    for key, count in counts:
        found[key] += count
    return dict(sorted(found.items()))
