"""What people decided after their visits, read for many cases at once; cases that are one person's count together."""

from collections.abc import Collection, Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, select, text

from services.chassis.app import Work
from services.contracts.consent import Decision, latest
from services.referral.tables import joined_cases

Decisions = Mapping[str, Decision]
_KEY = 0x41475245
_SHARED = text("SELECT pg_advisory_xact_lock_shared(:key)")
_ALONE = text("SELECT pg_advisory_xact_lock(:key)")
# Of the cases themselves; and which of them are joined, which is few.
_OWN = text(
    """
    SELECT case_id AS wanted, recipient, given, sensitive, at FROM agreements
    WHERE case_id = ANY(CAST(:cases AS uuid[]))
    UNION ALL SELECT case_id, NULL, NULL, NULL, NULL FROM joined_cases
    WHERE joined AND case_id = ANY(CAST(:cases AS uuid[]))
    UNION ALL SELECT into_case, NULL, NULL, NULL, NULL FROM joined_cases
    WHERE joined AND into_case = ANY(CAST(:cases AS uuid[]))
    """
)
# From each case to whatever it is joined to, however that came about.
_ONE = """
    WITH RECURSIVE one AS (
        SELECT id AS wanted, id AS case_id FROM unnest(CAST(:cases AS uuid[])) AS wanted (id)
        UNION
        SELECT one.wanted, CASE WHEN joined.case_id = one.case_id THEN joined.into_case ELSE joined.case_id END
        FROM one JOIN joined_cases AS joined ON joined.joined AND one.case_id IN (joined.case_id, joined.into_case)
    )
    """
_READ = text(_ONE + "SELECT one.wanted, recipient, given, sensitive, at FROM one JOIN agreements USING (case_id)")  # noqa: S608 - ours
_JOINED = text(_ONE + "SELECT DISTINCT case_id FROM one")  # noqa: S608 - ours


def hold(work: Work, *, alone: bool = False) -> None:
    """Until the commit no decision comes in between; call it before anything else is locked, and before reading.

    Whoever opens or hands on holds it with others like it, whoever notes decisions (`alone`) by itself. Without it a
    referral could be opened by what was decided before a withdrawal, which could not see that referral yet.
    """
    work.execute(_ALONE if alone else _SHARED, {"key": _KEY})


def joined_to(work: Work, cases: Collection[UUID]) -> set[UUID]:
    """These cases, and all that are read as one with any of them."""
    return set(work.execute(_JOINED, {"cases": _array(cases)}).scalars())


def of(work: Work, cases: Collection[UUID]) -> Mapping[UUID, Decisions]:
    """The latest decision for each recipient, of those cases where there is any.

    One statement, another where some are joined, none without cases: it is asked for each batch that is opened.
    """
    if not cases:
        return {}
    rows = work.execute(_OWN, {"cases": _array(cases)}).all()
    if joined := {row.wanted for row in rows if row.recipient is None}:
        others = work.execute(_READ, {"cases": _array(joined)}).all()
        rows = [*(row for row in rows if row.wanted not in joined), *others]
    found: dict[UUID, dict[str, Decision]] = {}
    for row in rows:
        decisions: dict[str, Any] = found.setdefault(row.wanted, {})
        decisions[row.recipient] = latest([decisions.get(row.recipient), Decision(row.given, row.sensitive, row.at)])
    return found


def heads(connection: Connection, cases: Collection[UUID]) -> Mapping[UUID, UUID]:
    """Of those cases that are read as another, that other."""
    if not cases:
        return {}
    found = select(joined_cases.c.case_id, joined_cases.c.into_case)
    rows = connection.execute(found.where(joined_cases.c.case_id.in_(cases), joined_cases.c.joined))
    return {row.case_id: row.into_case for row in rows}


def _array(cases: Collection[UUID]) -> str:
    """As PostgreSQL writes an array: the driver takes longer for a list than the server for the whole question."""
    return "{" + ",".join(map(str, cases)) + "}"
