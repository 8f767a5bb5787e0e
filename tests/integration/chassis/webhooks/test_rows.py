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
from tests.support.webhooks import DAY, Moved, failed, lane, pending, reason, subscribe, write

_LEFT = "no webhook any more"


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
    assert failed(app) == [(lost, _LEFT)]
    with app.read() as connection:
        assert webhook_rows.due(connection, "one", app.clock.now(), 9) == []


def test_what_nobody_tried_is_failed_when_a_partner_leaves(app: App) -> None:
    """Listed, the same after another start; what the relay has not come to yet goes to its queue instead."""
    subscribe(app, "one", "two", "stays")
    first, other, _, second = write(app, "one", "two", "stays", "one")
    with app.read() as connection:
        outbox.move(connection, OUTSIDE, 3)
        webhook_rows.subscribe(connection, ["stays"], OUTSIDE, app.clock.now(), ["one"])
    assert failed(app) == [(first, _LEFT), (other, _LEFT)]
    with app.read() as connection:
        assert [row.body for row in outbox.waiting(connection, OUTSIDE, outside=True, limit=9) if second in row.body]
    assert pending(app) == 1
    subscribe(app, "stays")
    assert len(failed(app)) == 2


def test_whoever_comes_back_is_told_what_failed_only_once(app: App, partner: Receiver) -> None:
    """What lies beyond its new beginning is new again, and what lies before is there to be replayed."""
    subscribe(app, "one")
    first, second = write(app, "one", "one")
    subscribe(app)
    assert failed(app) == [(first, _LEFT), (second, _LEFT)]
    with app.read() as connection:
        outbox.move(connection, OUTSIDE, 1)
    with lane(app, one=partner.url):
        eventually(lambda: partner.ids == [second])
        assert failed(app) == [(first, _LEFT)]
        with app.read() as connection:
            assert webhook_rows.replay(connection, "one", [first], app.clock.now()) == 1
        eventually(lambda: partner.ids == [second, first])
        eventually(lambda: pending(app) == 0)


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
