"""How often one may do what gives something away: a budget that refills steadily, in a row that replicas share."""

import math
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Interval, bindparam, delete, func, select, update
from sqlalchemy.dialects import postgresql

from services.chassis.app import App, Work
from services.chassis.errors import Rejected
from services.intake.tables import allowances

_TABLE = allowances
_COST = bindparam("cost", type_=Interval)
# Each use costs so much time; at most a full budget of it may be spent ahead (the generic cell rate algorithm).
_INSERT = postgresql.insert(_TABLE).values(who=bindparam("whose"), spent_until=bindparam("first"))
_SPEND = _INSERT.on_conflict_do_update(
    index_elements=["who"],
    set_={"spent_until": func.greatest(_TABLE.c.spent_until, bindparam("now")) + _COST},
    where=_TABLE.c.spent_until <= bindparam("latest"),
).returning(_TABLE.c.spent_until)
_SPENT = select(_TABLE.c.spent_until).where(_TABLE.c.who == bindparam("whose"))
_GIVE_BACK = update(_TABLE).where(_TABLE.c.who == bindparam("whose")).values(spent_until=_TABLE.c.spent_until - _COST)
_FORGOTTEN = timedelta(days=1)


class Allowance(NamedTuple):
    """`most` uses at once, then one each `cost`, of what `kind` names; `detail` tells whoever is past it."""

    kind: str
    most: int
    cost: timedelta
    detail: str = "Trop de recherches\u00a0: réessayez dans {seconds} s."

    def spend(self, work: Work, who: str) -> None:
        """Use it once. Raises Rejected (429), with which the caller's transaction, and what it spent, is undone."""
        now = work.now
        latest = now + (self.most - 1) * self.cost
        values: dict[str, Any] = {"whose": self._row(who), "first": now + self.cost, "now": now, "cost": self.cost}
        if work.execute(_SPEND, values | {"latest": latest}).first() is None:
            spent_until: datetime = work.execute(_SPENT, {"whose": self._row(who)}).scalar_one()
            raise self.too_many(math.ceil((spent_until - latest).total_seconds()))

    def give_back(self, work: Work, who: str) -> None:
        """What was not used after all."""
        work.execute(_GIVE_BACK, {"whose": self._row(who), "cost": self.cost})

    def too_many(self, seconds: int) -> Rejected:
        """What to raise where one has to wait."""
        seconds = max(1, seconds)
        detail = self.detail.format(seconds=seconds)
        return Rejected("too-many", detail, status=429, headers={"Retry-After": str(seconds)})

    def _row(self, who: str) -> str:
        return f"{self.kind}/{who}"


def drop_unused(app: App) -> int:
    """Nobody's name stays who has spent nothing for a day; how many there were. Raises Unavailable."""
    with app.work() as work:
        return work.execute(delete(_TABLE).where(_TABLE.c.spent_until < work.now - _FORGOTTEN)).rowcount
