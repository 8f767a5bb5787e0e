"""What has served its time goes: cases, texts of anonymous visits, the exchange trace. Small transactions."""

import time
from collections import Counter
from collections.abc import Callable
from datetime import date, datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Date,
    Select,
    and_,
    cast,
    delete,
    exists,
    func,
    or_,
    select,
    tuple_,
    update,
)

from services.chassis.app import App, Work
from services.chassis.tables import vault_keys
from services.contracts import keeping
from services.contracts.codes import BY_RECIPIENT
from services.contracts.paris import paris_day
from services.intake import erasing
from services.intake.domain.days import visit_owner
from services.intake.tables import accesses, cases, sent_referrals, visits

EVERY_SECONDS = 3600.0
_ROWS = 500
_PAUSE = 0.01
_LOOK_AGAIN = Counter(again=0)
_member = cases.alias("member")

Counts = dict[str, dict[str, int]]


def run(app: App) -> Counts:
    """Let go what is over; how much of what, by month. Raises Unavailable."""
    today = paris_day(app.clock.now())
    with app.work() as work:
        _hear(work, today)
    return {
        "cases": _again(app, lambda work: _erase_one(work, today)),
        "anonymous_texts": _again(app, lambda work: _forget_texts(work, today)),
        "accesses": _again(app, lambda work: _drop_accesses(work, today)),
    }


def due(app: App) -> Counts:
    """What `run` would let go now, by month of its last day. Raises Unavailable."""
    today = paris_day(app.clock.now())
    with app.read() as connection:
        return {
            "cases": _by_month(connection, _over_cases(today), cases.c.last_contact_on),
            "anonymous_texts": _by_month(connection, _over_texts(today), _paris(visits.c.occurred_at)),
            "accesses": _by_month(connection, _over_accesses(today), _paris(accesses.c.at)),
        }


def _again(app: App, step: Callable[[Work], Counter[str]]) -> dict[str, int]:
    done: Counter[str] = Counter()
    while True:
        with app.work() as work:
            some = step(work)
        if not some:
            return dict(sorted(done.items()))
        done += some
        time.sleep(_PAUSE)


def _hear(work: Work, today: date) -> None:
    """What was answered since the last visit is the last contact: looked at only where it matters."""
    last = keeping.over(today, keeping.CASE_YEARS)
    its = sent_referrals.c.case_id == cases.c.id
    heard = (
        select(cases.c.id, cast(func.max(_paris(sent_referrals.c.at)), Date).label("day"))
        .join_from(cases, sent_referrals, its)
        .where(cases.c.last_contact_on <= last, sent_referrals.c.state.in_(BY_RECIPIENT))
        .where(sent_referrals.c.at >= keeping.end_of(last))
        .group_by(cases.c.id)
        .subquery()
    )
    work.execute(update(cases).where(cases.c.id == heard.c.id).values(last_contact_on=heard.c.day))


def _over_cases(today: date) -> ColumnElement[bool]:
    """Cases of a group of which every member's last contact, answers of partners included, is over."""
    last = keeping.over(today, keeping.CASE_YEARS)
    head = func.coalesce(cases.c.merged_into, cases.c.id)
    together = or_(_member.c.id == head, _member.c.merged_into == head)
    kept = exists().where(together, _member.c.last_contact_on > last).correlate(cases)
    answered = sent_referrals.c.state.in_(BY_RECIPIENT) & (sent_referrals.c.at >= keeping.end_of(last))
    heard = exists().where(sent_referrals.c.case_id == _member.c.id, together, answered).correlate(cases)
    return and_(cases.c.last_contact_on <= last, ~kept, ~heard)


def _over_texts(today: date) -> ColumnElement[bool]:
    before = keeping.end_of(keeping.over(today, keeping.CASE_YEARS))
    return and_(visits.c.case_id.is_(None), visits.c.free_text_sealed.is_not(None), visits.c.occurred_at < before)


def _over_accesses(today: date) -> ColumnElement[bool]:
    return accesses.c.at < keeping.end_of(keeping.over(today, keeping.TRACE_YEARS))


def _erase_one(work: Work, today: date) -> Counter[str]:
    """One group, by the case that it is read with."""
    over = _over_cases(today)
    first = select(func.coalesce(cases.c.merged_into, cases.c.id)).where(over).order_by(cases.c.last_contact_on)
    case = work.execute(first.limit(1)).scalar()
    if case is None:
        return Counter()
    group = erasing.lock(work, case)
    if group is None:
        return _LOOK_AGAIN
    rows = work.execute(select(cases.c.id, cases.c.last_contact_on).where(cases.c.id.in_(group.members), over)).all()
    if len(rows) < len(group.members):  # somebody came just now
        return _LOOK_AGAIN
    erasing.forget_cases(work, group.members, erasing.CLOCK)
    return Counter(_month(row.last_contact_on) for row in rows)


def _forget_texts(work: Work, today: date) -> Counter[str]:
    wanted = select(visits.c.site, visits.c.visit_id, visits.c.occurred_at).where(_over_texts(today))
    rows = work.execute(wanted.limit(_ROWS).with_for_update(skip_locked=True)).all()
    if rows:
        keys = [(row.site, row.visit_id) for row in rows]
        these = tuple_(visits.c.site, visits.c.visit_id).in_(keys)
        work.execute(update(visits).where(these).values(free_text_sealed=None))
        work.execute(delete(vault_keys).where(vault_keys.c.owner.in_([visit_owner(*each) for each in keys])))
    return Counter(_month(paris_day(row.occurred_at)) for row in rows)


def _drop_accesses(work: Work, today: date) -> Counter[str]:
    work.execute(select(func.set_config("relais.forgetting", "on", True)))  # noqa: FBT003 - SQL's own
    some = select(accesses.c.number).where(_over_accesses(today)).limit(_ROWS)
    gone = work.execute(delete(accesses).where(accesses.c.number.in_(some)).returning(accesses.c.at)).scalars()
    return Counter(_month(paris_day(at)) for at in gone)


def _by_month(connection: Connection, over: ColumnElement[bool], day: ColumnElement[Any]) -> dict[str, int]:
    month = func.to_char(day, "YYYY-MM").label("month")
    statement: Select[Any] = select(month, func.count()).where(over).group_by(month).order_by(month)
    return {row[0]: row[1] for row in connection.execute(statement)}


def _paris(at: ColumnElement[datetime]) -> ColumnElement[Any]:
    return func.timezone("Europe/Paris", at)


def _month(day: date) -> str:
    return f"{day:%Y-%m}"
