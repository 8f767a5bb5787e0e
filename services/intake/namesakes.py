"""How many cases persons of one spelling and birth date have already: what a visit's answer tells its site.

Over the whole network this tells who is known there, and leaves no trace: so a site is told it so often, and beyond
that of the cases which it opened itself.
"""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta
from weakref import WeakKeyDictionary

from sqlalchemy import bindparam, func, select, tuple_

from services.chassis.app import App, Work
from services.intake.tables import cases

# A site's, in each process: as many visits of new persons at once, then one each so long.
AT_ONCE, EACH = 60, timedelta(seconds=2)
_spent_until: WeakKeyDictionary[App, dict[str, datetime]] = WeakKeyDictionary()
# Built once: putting a statement together costs as much as sending it. Of joined cases one counts.
_CASES = func.count(func.coalesce(cases.c.merged_into, cases.c.id).distinct())
_COUNTED = (
    select(cases.c.identity_index, cases.c.site, _CASES.label("number"))
    .where(cases.c.identity_index.in_(bindparam("wanted", expanding=True)))
    .group_by(func.grouping_sets(tuple_(cases.c.identity_index), tuple_(cases.c.identity_index, cases.c.site)))
)


class Namesakes:
    """What is known of these identities at the beginning of a transaction, and opened in it since."""

    def __init__(self, app: App, work: Work, identities: Iterable[bytes]) -> None:
        self._app = app
        wanted = list(identities)
        rows = work.execute(_COUNTED, {"wanted": wanted}).all() if wanted else ()
        # Of each site, and of all of them under None.
        self._counts = Counter({(row.identity_index, row.site): row.number for row in rows})

    def meet(self, identity: bytes, site: str) -> int:
        """How many the site is told of; a case of its own is opened then."""
        told = self._counts[identity, None if _may_count_all(self._app, site) else site]
        self._counts.update([(identity, None), (identity, site)])
        return told


def _may_count_all(app: App, site: str) -> bool:
    """Whether the site's ration holds for one more, which is then spent (the generic cell rate algorithm)."""
    spent, now = _spent_until.setdefault(app, {}), app.clock.now()
    until = max(spent.get(site, now), now)
    if until > now + (AT_ONCE - 1) * EACH:
        return False
    spent[site] = until + EACH
    return True
