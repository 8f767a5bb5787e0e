"""A transaction that numbers its events first and commits last: no reader in between passes over them."""

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Connection, text

from services.chassis import outbox, tables
from services.chassis.database import Database, insert_all
from tests.support.books import Books
from tests.support.broker import listener
from tests.support.house import House, eventually, visit

_GOLDEN = Path(__file__).parents[1] / "golden" / "VisitRecorded.v1.json"
_WAITING = """SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"""
# Longer than a relay waits before it looks by itself.
_LOOKS = 2.5


@contextmanager
def transaction(house: House, service: str) -> Iterator[Connection]:
    """Open a transaction in a service's database, as its own role; committed at the end."""
    database = Database(house.databases[service], "test")
    with database.begin() as connection:
        yield connection
    database.close()


def another_visit() -> dict[str, Any]:
    """An event as intake records it, of a visit that nobody has heard of."""
    event: dict[str, Any] = json.loads(_GOLDEN.read_text())
    event["id"] = str(uuid4())
    event["data"] |= {"visit_id": str(uuid4()), "case": str(uuid4())}
    return event


def entry(event: dict[str, Any]) -> outbox.Entry:
    """The event as a service adds it to its outbox."""
    return outbox.Entry(None, event["type"], "VisitRecorded", json.dumps(event))


def beyond(connection: Connection, mark: str) -> list[str]:
    """The ids of the events that the relay would read next."""
    return [json.loads(row.body)["id"] for row in outbox.waiting(connection, mark, outside=False, limit=100)]


def test_without_the_lock_a_reader_would_pass_over_the_first(houses: Callable[..., House]) -> None:
    """The danger is real: what drew the lower number and committed later is behind the reader for ever."""
    house = houses()
    events = [another_visit(), another_visit()]
    rows = [
        {"type": event["type"], "routing_key": "", "body": json.dumps(event), "created_at": datetime.now(UTC)}
        for event in events
    ]
    with transaction(house, "intake") as connection:
        tables.metadata.create_all(connection)
    with transaction(house, "intake") as first:
        insert_all(first, {tables.outbox: rows[:1]})
        with transaction(house, "intake") as second:
            insert_all(second, {tables.outbox: rows[1:]})
        with transaction(house, "intake") as reader:
            assert beyond(reader, "relay") == [events[1]["id"]]
            outbox.move(reader, "relay", outbox.waiting(reader, "relay", outside=False, limit=1)[0].position)
    with transaction(house, "intake") as reader:
        assert reader.scalar(text("SELECT count(*) FROM outbox")) == 2
        assert beyond(reader, "relay") == []


def test_a_visit_waits_for_an_earlier_one_and_both_are_published_in_order(
    own_house: House, books: Books, tell: Callable[[str], None]
) -> None:
    """The first has its number and dawdles; the second is not answered, and the relay finds neither of them.

    Once the first has committed, both go out, the first one first, and both are oriented.
    """
    first, second = another_visit(), visit()
    with listener(own_house, "intake.events") as reader, ThreadPoolExecutor(1) as pool:
        with transaction(own_house, "intake") as dawdling:
            outbox.append(dawdling, [entry(first)], datetime.now(UTC))
            started = time.monotonic()
            answer = pool.submit(own_house.post_visit, second)
            eventually(lambda: books.rows("intake", _WAITING) == [(1,)])
            time.sleep(_LOOKS)
            assert not answer.done()
            with transaction(own_house, "intake") as looking:
                assert beyond(looking, "relay") == []
            assert reader.take() == []
        assert answer.result(10).status_code == 201
        waited = time.monotonic() - started
        reader.wait_for(lambda event: event["data"]["visit_id"] == second["visit_id"])
        seen = [event["data"]["visit_id"] for delivery in reader.take() for event in delivery.events]
    assert seen == [first["data"]["visit_id"], second["visit_id"]]
    oriented = "SELECT count(*) FROM outbox WHERE body::json -> 'data' ->> 'visit_id' = ANY(%s)"
    eventually(lambda: books.rows("orientation", oriented, seen) == [(2,)])
    tell(f"a visit waited {waited:.1f} s for an earlier commit; published in the order of their numbers, none skipped")


@pytest.fixture
def referrals(own_house: House) -> list[dict[str, Any]]:
    """Two referrals just sent."""
    bodies = [visit(), visit()]
    for body in bodies:
        assert own_house.post_visit(body).status_code == 201
    return [own_house.sent(body)[0] for body in bodies]


def test_an_answer_waits_for_an_earlier_one_and_a_pager_sees_both(
    own_house: House, books: Books, referrals: list[dict[str, Any]]
) -> None:
    """`GET /v1/referrals?after=` in between gives nothing, and afterwards both, in the order of their changes."""
    site, partner = referrals[0]["site"], referrals[0]["partner"]
    url, headers = f"{own_house.url('referral')}/v1/referrals", own_house.bearer("site", site)

    def page(after: str) -> Any:  # noqa: ANN401 - JSON
        return own_house.client.get(url, headers=headers, params={"after": after, "limit": 1000}).json()

    after = ""
    known = own_house.client.get(url, headers=headers, params={"limit": 1000}).json()
    while known["referrals"]:
        after = known["next"]
        known = page(after)
    first, second = (one["referral_id"] for one in referrals)
    with ThreadPoolExecutor(1) as pool:
        with transaction(own_house, "referral") as dawdling:
            outbox.commit_in_order(dawdling)
            change = text("UPDATE referrals SET change = nextval('referral_changes') WHERE id = :id")
            dawdling.execute(change, {"id": first})
            answer = pool.submit(own_house.answer, partner, second, status="received")
            eventually(lambda: books.rows("referral", _WAITING) == [(1,)])
            assert page(after)["referrals"] == []
        assert answer.result(10).status_code == 201
    assert [one["referral_id"] for one in page(after)["referrals"]] == [first, second]
