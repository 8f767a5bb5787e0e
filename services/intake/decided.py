"""What people have decided, as it stands now: for one case, or at once for all that a batch of visits names."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, and_, func, or_, select

from services.contracts.consent import Decision
from services.intake.tables import agreements, cases

_MEMBER = cases.alias("member")
_HEAD = func.coalesce(cases.c.merged_into, cases.c.id)
_ROWS = (
    select(
        cases.c.id.label("named"),
        _MEMBER.c.id.label("member"),
        _MEMBER.c.objected_at,
        _MEMBER.c.restricted_at,
        *(column for column in agreements.c if column.name != "case_id"),
    )
    .join(_MEMBER, or_(_MEMBER.c.id == _HEAD, _MEMBER.c.merged_into == _HEAD))
    .outerjoin(agreements, agreements.c.case_id == _MEMBER.c.id)
)


@dataclass(frozen=True, slots=True)
class Standing:
    """What a person decided, over all cases that are read as one; `rows`: each member's row for each recipient."""

    members: frozenset[UUID] = frozenset()
    objected: bool = False
    restricted: bool = False
    rows: Mapping[tuple[UUID, str], Row[Any]] = field(default_factory=dict)

    @property
    def stopped(self) -> bool:
        """Whether nothing goes anywhere, whatever was agreed to."""
        return self.objected or self.restricted

    @property
    def last(self) -> Mapping[str, Row[Any]]:
        """For each recipient the row that counts."""
        found: dict[str, Row[Any]] = {}
        for (_, recipient), row in self.rows.items():
            if recipient not in found or _order(row) > _order(found[recipient]):
                found[recipient] = row
        return found

    @property
    def decisions(self) -> dict[str, Decision]:
        """For each recipient what counts; an objection or a restriction is not among them."""
        return {recipient: decision_of(row) for recipient, row in self.last.items()}


NOTHING = Standing()


def decision_of(row: Row[Any]) -> Decision:
    """What a row says, and since when."""
    return Decision(row.withdrawn_at is None, row.sensitive, row.withdrawn_at or row.given_at)


def standing_of(connection: Connection, case: UUID) -> Standing:
    """What the person of a case decided; NOTHING where there is no such case."""
    return standings_of(connection, [case]).get(case, NOTHING)


def standings_of(connection: Connection, wanted: Collection[UUID], *, hold: bool = False) -> dict[UUID, Standing]:
    """The same for many, in one statement; none without cases. With `hold`, nobody else decides until the commit.

    Rows are locked in one order, here and by whoever decides: what is written of agreements then may have any order.
    """
    if not wanted:
        return {}
    statement = _ROWS.where(cases.c.id.in_(set(wanted)))
    if hold:
        statement = statement.order_by(_MEMBER.c.id).with_for_update(key_share=True, of=_MEMBER)
    found: dict[UUID, list[Row[Any]]] = {}
    for row in connection.execute(statement):
        found.setdefault(row.named, []).append(row)
    return {case: _standing(rows) for case, rows in found.items()}


def _standing(rows: list[Row[Any]]) -> Standing:
    return Standing(
        members=frozenset(row.member for row in rows),
        objected=any(row.objected_at for row in rows),
        restricted=any(row.restricted_at for row in rows),
        rows={(row.member, row.recipient): row for row in rows if row.recipient is not None},
    )


def _order(row: Row[Any]) -> tuple[datetime, bool]:
    return row.withdrawn_at or row.given_at, row.withdrawn_at is not None


def is_older_than(at: datetime) -> Any:  # noqa: ANN401 - a condition
    """Whether a row says what was decided before `at`; of two decisions at one moment that which withdraws counts."""
    given = and_(agreements.c.withdrawn_at.is_(None), agreements.c.given_at <= at)
    return or_(given, agreements.c.withdrawn_at < at)
