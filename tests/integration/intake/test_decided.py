"""What people have decided, read for many cases at once while others decide."""

import threading

from sqlalchemy import select, text, update

from services.intake.decided import standings_of
from services.intake.tables import cases
from tests.support.counter import Counter, somebody
from tests.support.house import eventually

_WAITING = text("SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype IN ('tuple', 'transactionid')")


def test_cases_are_held_in_one_order(counter: Counter) -> None:
    """By id, as by whoever decides: a batch that waits for the first holds none of those after it. No deadlock."""
    first, *others = sorted(counter.opened(somebody(given_name=name)) for name in ("Paula", "Paulb", "Paulc"))
    with counter.app.work() as work:  # the table has it last now
        work.execute(update(cases).where(cases.c.id == first).values(site=cases.c.site))

    def hold() -> None:
        with counter.app.work() as work:
            held.extend(standings_of(work.connection, [*others, first], hold=True))

    held: list[object] = []
    batch = threading.Thread(target=hold)
    with counter.app.work() as work:
        work.execute(select(cases.c.id).where(cases.c.id == first).with_for_update())
        batch.start()
        eventually(lambda: work.execute(_WAITING).scalar_one() == 1)
        free = select(cases.c.id).where(cases.c.id.in_(others)).with_for_update(nowait=True)
        assert len(work.execute(free).all()) == len(others)
    batch.join()
    assert set(held) == {first, *others}
