"""Referrals of which no case is known go two years after their last step; those of a case go with it."""

import time
from collections import Counter
from datetime import date

from sqlalchemy import ColumnElement, func, select

from services.chassis.app import App
from services.contracts import keeping
from services.contracts.paris import paris_day
from services.referral.forgetting import delete_referrals
from services.referral.tables import referrals

EVERY_SECONDS = 3600.0
_ROWS = 200
_PAUSE = 0.01

Counts = dict[str, dict[str, int]]


def run(app: App) -> Counts:
    """Let go what is over; how much, by month. Raises Unavailable."""
    today, done = paris_day(app.clock.now()), Counter[str]()
    while True:
        with app.work() as work:
            wanted = select(referrals).where(_over(today)).order_by(referrals.c.id).limit(_ROWS)
            rows = work.execute(wanted.with_for_update(skip_locked=True)).all()
            if not rows:
                return {"referrals_without_case": dict(sorted(done.items()))}
            delete_referrals(work, rows)
        done += Counter(f"{paris_day(row.changed_at):%Y-%m}" for row in rows)
        time.sleep(_PAUSE)


def due(app: App) -> Counts:
    """What `run` would let go now, by month of its last step. Raises Unavailable."""
    month = func.to_char(func.timezone("Europe/Paris", referrals.c.changed_at), "YYYY-MM").label("month")
    over = _over(paris_day(app.clock.now()))
    with app.read() as connection:
        rows = connection.execute(select(month, func.count()).where(over).group_by(month).order_by(month))
        return {"referrals_without_case": {row[0]: row[1] for row in rows}}


def _over(today: date) -> ColumnElement[bool]:
    before = keeping.end_of(keeping.over(today, keeping.CASE_YEARS))
    return referrals.c.case_id.is_(None) & (referrals.c.changed_at < before)
