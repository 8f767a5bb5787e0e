"""Recording many visits at once while others record."""

import threading
from uuid import uuid4

import pytest
from sqlalchemy import text

from services.intake.tables import visits
from tests.support.counter import Counter
from tests.support.house import eventually

_WAITING = text("SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'")


class _Undone(Exception):
    """The other request fails, and leaves nothing."""


@pytest.mark.parametrize("number", [2, 30], ids=["one statement", "COPY"])
def test_two_batches_with_the_same_visits_in_another_order_wait_for_each_other(counter: Counter, number: int) -> None:
    """Visits are written by id: a batch that waits for another's first has written none of the others. No deadlock."""
    ids = sorted(uuid4() for _ in range(number))
    counter.record()
    like = counter.rows(visits)[0]._asdict()
    bodies = [counter.body(visit_id=str(one)) for one in reversed(ids)]
    batch = threading.Thread(target=counter.record_together, args=bodies)

    def others() -> None:
        with counter.app.work() as work:
            for one in ids:
                work.insert(visits, **{**like, "visit_id": one})
                work.flush()
                if batch.ident is None:
                    batch.start()
                    eventually(lambda: work.execute(_WAITING).scalar_one() == 1)
            raise _Undone

    with pytest.raises(_Undone):
        others()
    batch.join()
    assert {row.visit_id for row in counter.rows(visits)} >= set(ids)
