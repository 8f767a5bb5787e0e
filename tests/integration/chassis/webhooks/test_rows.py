"""Where a subscription begins and ends, and what of the ledger is kept for it."""

from datetime import timedelta

from sqlalchemy import text

from services.chassis import outbox, pruning, webhook_rows
from services.chassis.app import App
from services.chassis.database import Database
from services.chassis.pruning import Pruner
from services.chassis.relay import INSIDE, OUTSIDE
from tests.support.house import eventually
from tests.support.receiver import Answer, Receiver
from tests.support.webhooks import DAY, Moved, failed, lane, reason, subscribe, write


def test_a_subscription_begins_where_the_other_way_ended(app: App, partner: Receiver) -> None:
    """What went to its queue does not come again by webhook; what is due to one that leaves is given up."""
    write(app, "one", None)
    with app.read() as connection:
        outbox.move(connection, OUTSIDE, 1)
    (unrelayed,) = write(app, "one")
    with lane(app, one=partner.url):
        eventually(lambda: partner.ids == [unrelayed])
        partner.stop()
        (lost,) = write(app, "one")
        eventually(lambda: reason(app))
    subscribe(app)
    assert failed(app) == [(lost, "no webhook any more")]
    with app.read() as connection:
        assert webhook_rows.due(connection, "one", app.clock.now(), 9) == []


def test_the_ledger_keeps_what_is_still_to_be_delivered(app: App, clock: Moved) -> None:
    """However old; what failed for good goes when parked events go."""
    old = app.clock.now() - timedelta(days=500)
    subscribe(app, "one", "two")
    write(app, "one", "two", "one", None, at=old)
    with app.read() as connection:
        outbox.move(connection, INSIDE, 4)
        (first,) = webhook_rows.due(connection, "one", clock.now(), 1)
        (other,) = webhook_rows.due(connection, "two", clock.now(), 1)
        webhook_rows.delivered(connection, first)
        webhook_rows.failed(connection, other, "HTTP 500", clock.now(), clock.now() + DAY)
    pruner = Pruner(app, relayed_outside=False, webhooks=True)
    assert pruner.prune()["outbox"] == 1
    with app.read() as connection:
        webhook_rows.failed(connection, other._replace(first_at=clock.now()), "HTTP 500", clock.now(), None)
        assert pruning.prune_ledger(connection, clock.now() - DAY, relayed_outside=False, webhooks=True) == 1
        (last,) = webhook_rows.due(connection, "one", clock.now(), 9)
        webhook_rows.delivered(connection, last)
    assert pruner.prune()["outbox"] == 2
    clock.by = timedelta(days=91)
    assert pruner.prune()["webhook_deliveries"] == 1


def test_an_event_that_the_ledger_has_lost_is_given_up(app: App, partner: Receiver, database: Database) -> None:
    """Replayed too late: it says why, and holds nobody up."""
    partner.answer = lambda _: Answer(status=410)
    with lane(app, one=partner.url):
        (id_,) = write(app, "one")
        eventually(lambda: failed(app))
        with database.begin() as connection:
            connection.execute(text("DELETE FROM outbox"))
            webhook_rows.replay(connection, "one", None, app.clock.now())
        eventually(lambda: failed(app) == [(id_, "not in the ledger any more")])
