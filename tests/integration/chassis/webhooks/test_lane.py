"""Delivery by webhook, from a real ledger to real receivers: one after another, and again when they fail."""

import json
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from uuid import uuid4

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from services.chassis import webhook_post, webhook_rows
from services.chassis.app import App
from services.chassis.database import Database
from services.chassis.settings import Settings
from services.chassis.webhooks import Webhooks, next_try
from tests.support.house import eventually
from tests.support.receiver import Answer, Receiver, receiver
from tests.support.webhooks import DAY, Moved, failed, idle, lane, pending, reason, running, subscribe, write


def test_to_each_its_own_and_what_goes_inside_goes_to_nobody(app: App, partner: Receiver) -> None:
    """In the order of the ledger, without a request for anything else."""
    with receiver() as other, lane(app, one=partner.url, two=other.url):
        ids = write(app, "one", None, "two", "one", "three", "one")
        eventually(lambda: len(partner.ids) + len(other.ids) == 4)
        eventually(lambda: pending(app) == 0)
    assert partner.ids == [ids[0], ids[3], ids[5]]
    assert other.ids == [ids[2]]


def test_a_receiver_that_was_away_gets_everything_in_order(
    app: App, partner: Receiver, clock: Moved, tell: Callable[[str], None]
) -> None:
    """What was written while it was away too; each once, in the order of the ledger."""
    partner.stop()
    with lane(app, one=partner.url) as webhooks:
        ids = write(app, *["one"] * 40)
        eventually(lambda: "cannot be reached: connection refused" in reason(app))
        ids += write(app, *["one"] * 20)
        eventually(lambda: idle(webhooks))
        partner.start()
        clock.by += timedelta(minutes=1)
        eventually(lambda: len(partner.ids) >= 60)
        eventually(lambda: pending(app) == 0)
    tell(f"60 events, receiver away for a while: {len(partner.ids)} arrived")
    assert partner.ids == ids


def test_a_receiver_that_fails_is_not_hammered(app: App, partner: Receiver, tell: Callable[[str], None]) -> None:
    """A thousand events wait: three are tried, then it is left alone for longer and longer."""
    partner.answer = lambda _: Answer(status=500)
    with lane(app, one=partner.url):
        write(app, *["one"] * 1000)
        time.sleep(2)
        number = len(partner.arrivals)
        assert pending(app) == 1000
    tell(f"1000 events, 500 to each: {number} requests in 2 s")
    assert 3 <= number <= 15
    assert reason(app) == "HTTP 500"


def test_one_event_that_is_refused_does_not_hold_up_the_others(app: App, partner: Receiver) -> None:
    """It is tried again and again; the others arrive meanwhile, in their order."""
    ids: list[str] = []
    partner.answer = lambda arrival: Answer(status=400 if arrival.id in ids[:2] else 200)
    subscribe(app, "one")
    ids += write(app, *["one"] * 6)
    with lane(app, one=partner.url):
        eventually(lambda: partner.ids[:6] == ids)
        eventually(lambda: pending(app) == 2)
        eventually(lambda: partner.ids.count(ids[0]) > 1)
        assert set(partner.ids[6:]) <= set(ids[:2])


def test_who_never_answers_holds_nobody_up(
    app: App, partner: Receiver, monkeypatch: pytest.MonkeyPatch, tell: Callable[[str], None]
) -> None:
    """Four receivers hang on every request: another gets its hundred events as if they were not there."""
    monkeypatch.setattr(webhook_post, "SECONDS", 1.5)
    with ExitStack() as stack:
        hanging = {f"hangs-{number}": stack.enter_context(receiver()) for number in range(4)}
        for each in hanging.values():
            each.answer = lambda _: Answer(seconds=30)
        urls = {name: each.url for name, each in hanging.items()}
        stack.enter_context(lane(app, one=partner.url, **urls))
        write(app, *[*urls] * 5)
        eventually(lambda: all(each.arrivals for each in hanging.values()))
        started = time.monotonic()
        ids = write(app, *["one"] * 100)
        eventually(lambda: len(partner.ids) == 100, within=30.0)
        took = time.monotonic() - started
        tell(f"100 events beside 4 receivers that hang: {took:.2f} s")
        assert partner.ids == ids
        # One after the other, three tries of 1.5 s each, the four would take 18 s.
        assert took < 15
        eventually(lambda: "no answer within" in reason(app))
        assert pending(app) >= 20


def test_a_receiver_that_asks_for_time_gets_it(app: App, partner: Receiver, clock: Moved) -> None:
    """No event is tried before: neither that one nor another."""
    partner.answer = lambda _: Answer(status=503, headers=(("Retry-After", "120"),))
    with lane(app, one=partner.url) as webhooks:
        write(app, "one", "one")
        eventually(lambda: reason(app) == "HTTP 503")
        eventually(lambda: idle(webhooks))
        write(app, "one")
        clock.by = timedelta(seconds=110)
        time.sleep(1.2)
        assert len(partner.arrivals) == 1
        partner.answer = lambda _: Answer()
        clock.by = timedelta(seconds=121)
        eventually(lambda: pending(app) == 0)
        assert len(set(partner.ids)) == 3


def test_a_clock_that_was_ahead_makes_nobody_wait(app: App, partner: Receiver, clock: Moved) -> None:
    """By an hour, while the receiver failed; then somebody puts it right, and a minute later all has arrived."""
    clock.wrong = timedelta(hours=1)
    partner.answer = lambda _: Answer(status=500)
    with lane(app, one=partner.url) as webhooks:
        ids = write(app, *["one"] * 4)
        eventually(lambda: len(partner.arrivals) >= 6)
        eventually(lambda: idle(webhooks))
        clock.wrong = timedelta(0)
        partner.answer = lambda _: Answer()
        ids += write(app, "one")
        clock.by = timedelta(seconds=61)
        eventually(lambda: set(ids) <= set(partner.ids))
        eventually(lambda: pending(app) == 0)


def test_nothing_is_due_later_than_the_longest_pause(app: App, partner: Receiver, clock: Moved) -> None:
    """As a clock far ahead would have it; what is due within it waits for its time."""
    subscribe(app, "one")
    soon, late = write(app, "one", "one")
    now = clock.now()
    with app.read() as connection:
        for delivery, due in zip(webhook_rows.due(connection, "one", now, 9), (DAY, 3 * DAY), strict=True):
            webhook_rows.failed(connection, delivery, "HTTP 500", now, now + due)
    with lane(app, one=partner.url):
        eventually(lambda: partner.ids == [late])
        assert soon not in partner.ids
        assert pending(app) == 1


def test_who_answers_gone_does_not_get_that_event_again(app: App, partner: Receiver) -> None:
    """Given up at the first answer, and to be replayed like any other."""
    partner.answer = lambda _: Answer(status=410)
    with lane(app, one=partner.url):
        (id_,) = write(app, "one")
        eventually(lambda: failed(app) == [(id_, "HTTP 410")])
        time.sleep(0.6)
        assert partner.ids == [id_]


def test_after_24_hours_it_is_given_up_listed_and_replayed(app: App, partner: Receiver, clock: Moved) -> None:
    """Those that were tried and those that only waited; what is replayed arrives, under the same ids."""
    partner.answer = lambda _: Answer(status=500)
    with lane(app, one=partner.url) as webhooks:
        ids = write(app, *["one"] * 10)
        eventually(lambda: "HTTP 500" in reason(app))
        eventually(lambda: len(partner.arrivals) >= 6)
        clock.by = DAY - timedelta(minutes=2)
        time.sleep(0.5)
        assert failed(app) == []
        clock.by = DAY + timedelta(minutes=2)
        eventually(lambda: len(failed(app)) == 10)
        assert failed(app) == [(id_, "HTTP 500") for id_ in ids]
        (numbers,) = [metric.samples for metric in webhooks.readings() if metric.name == "relais_webhook_failed"]
        assert [(sample.labels, sample.value) for sample in numbers] == [({"partner": "one"}, 10)]
        partner.answer = lambda _: Answer()
        seen = len(partner.arrivals)
        clock.by += timedelta(minutes=2)
        with app.read() as connection:
            assert webhook_rows.replay(connection, "other", None, clock.now()) == 0
            assert webhook_rows.replay(connection, "one", [ids[3], str(uuid4())], clock.now()) == 1
        eventually(lambda: partner.ids[seen:] == [ids[3]])
        with app.read() as connection:
            assert webhook_rows.replay(connection, "one", None, clock.now()) == 9
        eventually(lambda: pending(app) == 0)
        assert partner.ids[seen + 1 :] == [*ids[:3], *ids[4:]]
        assert failed(app) == []


def test_two_replicas_deliver_each_event_once(app: App, partner: Receiver) -> None:
    """One leads; when it ends, the other takes over."""
    second = Webhooks(app, {"one": partner.url})
    with lane(app, one=partner.url) as first, running(second):
        ids = write(app, *["one"] * 50)
        eventually(lambda: len(partner.ids) >= 50)
        leader = first if first._leading.is_set() else second  # noqa: SLF001 - which one, chance decides
        leader.finish()
        assert leader.stopped.wait(10)
        ids += write(app, *["one"] * 50)
        eventually(lambda: len(partner.ids) >= 100)
        eventually(lambda: pending(app) == 0)
    assert partner.ids == ids


def test_a_leader_that_loses_its_lock_makes_room(
    app: App, database: Database, partner: Receiver, tell: Callable[[str], None]
) -> None:
    """As when its connection breaks, or is ended for having been frozen: the other goes on, and little comes twice."""
    partner.answer = lambda _: Answer(seconds=0.02)
    held = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objid = :key AND granted"
    second = Webhooks(app, {"one": partner.url})
    with lane(app, one=partner.url), running(second):
        ids = write(app, *["one"] * 60)
        eventually(lambda: len(partner.ids) >= 10)
        with database.begin() as connection:
            assert connection.execute(text(held), {"key": 0x57454248}).all() == [(True,)]
        eventually(lambda: set(partner.ids) == set(ids))
        eventually(lambda: pending(app) == 0)
    tell(f"60 events, lock lost at 10: {len(partner.ids) - 60} came twice")
    assert list(dict.fromkeys(partner.ids)) == ids
    assert len(partner.ids) <= 63


def test_logs_and_reasons_hold_neither_address_nor_body(app: App, partner: Receiver, clock: Moved) -> None:
    """The path may be a secret, and an event is about somebody."""
    partner.answer = lambda _: Answer(status=500, body=b"s3cret " * 1000)
    with capture_logs() as logged, lane(app, one=partner.url, two="http://127.0.0.1:1/s3cret"):
        write(app, "one", "two")
        eventually(lambda: pending(app) == 2 and len(logged) >= 2)
        clock.by = DAY + timedelta(minutes=1)
        eventually(lambda: len(failed(app)) == 2)
        told = json.dumps([logged, failed(app)], default=str)
    assert {line["event"] for line in logged} == {"webhook receiver fails", "webhook given up"}
    for word in ("s3cret", "http", "été"):
        assert word not in told.replace("HTTP 500", "")


def test_the_schedule_is_kept_whenever_a_try_came_late() -> None:
    """The times of the default schedule count from the first try; the last is 24 hours after it, and then no more."""
    first, delays, seen = datetime(2026, 11, 20, 8, tzinfo=UTC), Settings().webhook_tries, []
    at: datetime | None = first
    while at:
        seen.append(at)
        at = next_try(first, at, delays, 1.0)
    assert len(seen) == 13
    assert seen[-1] == first + DAY
    assert all(later > sooner for sooner, later in pairwise(seen))
    assert next_try(first, first + timedelta(hours=5), delays, 0.0) == first + timedelta(hours=8)
