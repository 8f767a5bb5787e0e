"""Which cases are one person's, and who knows a case."""

from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Connection, Row, exists, or_, select, text

from services.chassis.app import Work
from services.chassis.errors import Rejected, not_found
from services.intake.tables import accesses, cases, visits

# How long an agent may go on with what a search showed: to record the visit that follows it.
FOUND_FOR = timedelta(hours=24)
# A search showed it; an agent then said that it is this person.
FOUND, CONFIRMED = "found", "confirmed"
_NAMEABLE = text(
    """
    SELECT wanted.site, wanted.id, head.id AS head, named.reference_sealed, EXISTS (
        SELECT FROM (SELECT head.id UNION ALL SELECT id FROM cases WHERE merged_into = head.id) AS member (id)
        JOIN visits ON visits.case_id = member.id AND visits.story
    ) AS told
    FROM unnest(CAST(:sites AS text[]), CAST(:ids AS uuid[])) AS wanted (site, id)
    JOIN cases AS named ON named.id = wanted.id
    JOIN cases AS head ON head.id = coalesce(named.merged_into, named.id)
    WHERE EXISTS (
        SELECT FROM (SELECT head.id UNION ALL SELECT id FROM cases WHERE merged_into = head.id) AS member (id)
        WHERE EXISTS (SELECT FROM visits WHERE visits.case_id = member.id AND visits.site = wanted.site)
            OR EXISTS (
                SELECT FROM accesses
                WHERE case_id = member.id AND org = wanted.site AND action = ANY(:actions) AND at > :since
            )
    )
    """
)


class Group(NamedTuple):
    """Cases that agents found to be one person's: the one that the others are read with, and all of them."""

    case: UUID
    members: tuple[UUID, ...]


def unknown_case() -> Rejected:
    """The same for a case that is not there and for another's (404)."""
    return not_found("Aucun dossier de ce numéro n’est connu de votre site.")


def group_of(connection: Connection, case: UUID) -> Group | None:
    """The group that a case belongs to, alone in it mostly; None when there is no such case."""
    row = connection.execute(select(cases.c.id, cases.c.merged_into).where(cases.c.id == case)).first()
    if row is None:
        return None
    head = row.merged_into or row.id
    others = connection.execute(select(cases.c.id).where(cases.c.merged_into == head).order_by(cases.c.id)).scalars()
    return Group(head, (head, *others))


def known_to(connection: Connection, case: UUID, org: str, now: datetime) -> Group:
    """The group of a case that a site may read: it saw the person, or has just said that it is this one.

    Raises Rejected (404).
    """
    return _known(connection, case, org, (CONFIRMED,), now)


def nameable_by(connection: Connection, case: UUID, org: str, now: datetime) -> Group:
    """The group of a case that a site may name in a visit, or confirm: it knows it, or its search has just shown it.

    Raises Rejected (404).
    """
    return _known(connection, case, org, (FOUND, CONFIRMED), now)


def nameable(connection: Connection, wanted: Collection[tuple[str, UUID]], now: datetime) -> Sequence[Row[Any]]:
    """Of pairs of a site and a case, those that the site may name: one query for a whole batch of visits.

    Rows of `site`, `id` as wanted, its `reference_sealed`, `head` (the case that it is read with), and whether a story
    was `told` of any that are read with it.
    """
    sites, ids = [site for site, _ in wanted], [case for _, case in wanted]
    values = {"sites": sites, "ids": ids, "actions": [FOUND, CONFIRMED], "since": now - FOUND_FOR}
    return connection.execute(_NAMEABLE, values).all()


def hold(work: Work, find: Callable[[], Group | None], *, to_change: bool = False) -> Group | None:
    """The group that `find` finds, which nobody joins, parts, decides for or erases until the commit; None without one.

    Its cases' keys are there all the while: one that is missing would be made anew. Several may read at once; with
    `to_change` nobody else does.
    """
    while (group := find()) is not None:
        wanted = select(cases.c.id).where(cases.c.id.in_(group.members)).order_by(cases.c.id)
        work.execute(wanted.with_for_update(read=not to_change))
        if find() == group:  # not one that has changed while it was waited for
            break
    return group


def known_and_held(work: Work, case: UUID, org: str, *, to_change: bool = False) -> Group:
    """The group of a case that a site may read, as it is until the commit. Raises Rejected (404)."""
    group = hold(work, lambda: known_to(work.connection, case, org, work.now), to_change=to_change)
    assert group is not None
    return group


def _known(connection: Connection, case: UUID, org: str, actions: tuple[str, ...], now: datetime) -> Group:
    group = group_of(connection, case)
    if group is None:
        raise unknown_case()
    seen = exists().where(visits.c.case_id.in_(group.members), visits.c.site == org)
    lately = exists().where(
        accesses.c.case_id.in_(group.members),
        accesses.c.org == org,
        accesses.c.action.in_(actions),
        accesses.c.at > now - FOUND_FOR,
    )
    if not connection.scalar(select(or_(seen, lately))):
        raise unknown_case()
    return group
