"""An event that nobody can read, or that always fails: set aside with its reason, it takes no other along."""

import json
import time
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any

import pika
import pytest
from psycopg import sql

from services.contracts.envelope import BATCH_CONTENT_TYPE, CONTENT_TYPE
from services.contracts.topology import SERVICES
from tests.faults.conftest import RETRY_DELAYS
from tests.support.books import Books
from tests.support.crowd import visitors
from tests.support.house import House, eventually, visit

# Stands for what a person told; found nowhere else.
TOLD = "elle-a-tout-raconté"
DELAYS = [float(delay) for delay in RETRY_DELAYS.split(",")]


def publish(house: House, queue: str, body: bytes, content_type: str | bytes = CONTENT_TYPE) -> None:
    """Put a message straight into a queue, as nobody should."""
    with pika.BlockingConnection(pika.URLParameters(house.environment["RELAIS_AMQP_URL"])) as connection:
        properties = pika.BasicProperties(content_type=content_type, delivery_mode=2)
        connection.channel().basic_publish("", queue, body, properties)


def parked(house: House, *arguments: str) -> list[dict[str, Any]]:
    """Ask the `relais` command."""
    answer = house.relais("dead-letters", "list", "--json", *arguments)
    assert answer.returncode == 0, answer.stderr
    assert TOLD not in answer.stdout
    found: list[dict[str, Any]] = json.loads(answer.stdout)
    return found


def event_of(books: Books, visit_id: str) -> str:
    """The very document in which intake published a visit."""
    query = "SELECT body FROM outbox WHERE body::json -> 'data' ->> 'visit_id' = %s"
    ((body,),) = books.rows("intake", query, visit_id)
    return str(body)


def seconds(instant: str) -> float:
    """An ISO 8601 instant as a number."""
    return datetime.fromisoformat(instant).timestamp()


def goes_on(house: House) -> float:
    """Post a visit; how many seconds until its referral is there, which must be less than one."""
    started = time.monotonic()
    body = visit()
    assert house.post_visit(body).status_code == 201
    eventually(lambda: house.sent(body), within=1.0, every=0.01)
    return time.monotonic() - started


def forbid(books: Books, visit_id: str) -> None:
    """Make the counting of one visit fail, as a bug would: by a constraint on reporting's table."""
    statement = sql.SQL("ALTER TABLE visits ADD CONSTRAINT poison CHECK (visit_id <> {}::uuid)")
    books.change("reporting", statement.format(sql.Literal(visit_id)))


def mend(books: Books) -> None:
    """Remove the cause."""
    books.change("reporting", sql.SQL("ALTER TABLE visits DROP CONSTRAINT poison"))


UNREADABLE: dict[str, tuple[bytes, str | bytes, str]] = {
    "no JSON": (TOLD.encode(), CONTENT_TYPE, "not JSON: JSONDecodeError"),
    "no UTF-8": (f'{{"story": "{TOLD}"}}'.encode("latin-1"), CONTENT_TYPE, "not JSON: UnicodeDecodeError"),
    "nested": (f'{{"{TOLD}":'.encode() * 100_000, CONTENT_TYPE, "not JSON: nested too deeply"),
    "a number without end": (b"7" * 10_000, CONTENT_TYPE, "not JSON: ValueError"),
    "no event": (json.dumps({"story": TOLD}).encode(), CONTENT_TYPE, "not a valid event: id (missing)"),
    "no batch": (json.dumps({"story": TOLD}).encode(), BATCH_CONTENT_TYPE, "a batch must be a JSON array"),
    "large": (f'["{TOLD}"]'.encode() + b" " * 10_000_000, CONTENT_TYPE, "not a valid event: document (model_type)"),
    "strange type": (TOLD.encode(), b"te\0xt/\xed\xa0\x80\n", "not JSON: JSONDecodeError"),
    "type that is no UTF-8": (TOLD.encode(), b"\xff\xfe", "not JSON: JSONDecodeError"),
}


def test_what_cannot_be_read_is_parked_at_once_and_the_queue_goes_on(
    own_house: House, books: Books, tell: Callable[[str], None]
) -> None:
    """Each with its reason, none tried again, none in any log; the next visit goes through within a second."""
    for body, content_type, _ in UNREADABLE.values():
        publish(own_house, "orientation.VisitRecorded", body, content_type)
    seconds = goes_on(own_house)
    eventually(lambda: len(books.rows("orientation", "SELECT * FROM failures")) == len(UNREADABLE))
    rows = parked(own_house)
    assert {row["service"] for row in rows} == {"orientation"}
    for row, (body, _, reason) in zip(rows, UNREADABLE.values(), strict=True):
        assert row["reason"].startswith(reason)
        assert (row["queue"], row["tries"], row["bytes"]) == ("orientation.VisitRecorded", 1, len(body))
    table = own_house.relais("dead-letters", "list").stdout
    assert "not JSON" in table
    assert TOLD not in table
    shown = own_house.relais("dead-letters", "show", "orientation", str(rows[0]["number"]))
    assert shown.stdout == TOLD + "\n"
    assert not any(TOLD in own_house.log(name) for name in SERVICES)
    numbers = [str(row["number"]) for row in rows]
    assert own_house.relais("dead-letters", "drop", "orientation", *numbers).returncode == 0
    assert own_house.relais("dead-letters", "drop", "orientation", numbers[0]).returncode == 1
    assert books.rows("orientation", "SELECT * FROM failures") == []
    tell(f"{len(rows)} unreadable messages parked; the visit behind them was referred within {seconds:.2f} s")


def test_what_is_addressed_strangely_is_read_like_any_other(own_house: House, books: Books) -> None:
    """A routing key that is no UTF-8 matches its binding all the same: parked by both consumers, which live on."""
    with pika.BlockingConnection(pika.URLParameters(own_house.environment["RELAIS_AMQP_URL"])) as connection:
        connection.channel().basic_publish("intake.events", b"VisitRecorded.\xff", TOLD.encode())
    goes_on(own_house)
    for service in ("orientation", "reporting"):
        eventually(partial(books.rows, service, "SELECT * FROM failures"))
        assert own_house.alive(service)
        books.change(service, sql.SQL("DELETE FROM failures"))


def test_an_unreadable_event_of_a_batch_takes_no_other_with_it(own_house: House, books: Books) -> None:
    """Its ninety-nine neighbours are handled, and it alone is parked."""
    guests = visitors(8)
    own_house.post_lines("fs-moreuil", [one.body for one in guests])
    books.settle(guests)
    documents = [json.loads(event_of(books, one.visit_id)) for one in guests]
    for document in documents:
        document["id"] += "-anew"
        document["data"]["site"] = "fs-roye"
    documents[3]["data"]["age_band"] = TOLD
    publish(own_house, "reporting.VisitRecorded", json.dumps(documents).encode(), BATCH_CONTENT_TYPE)
    eventually(lambda: books.rows("reporting", "SELECT * FROM failures"))
    (row,) = parked(own_house, "--service", "reporting")
    assert row["reason"] == "not a valid event: age_band (enum)"
    ids = [one.visit_id for one in guests]
    query = "SELECT visit_id::text FROM visits WHERE site = 'fs-roye' AND visit_id::text = ANY(%s)"
    assert sorted(found for (found,) in books.rows("reporting", query, ids)) == sorted(ids[:3] + ids[4:])
    assert own_house.relais("dead-letters", "drop", "reporting", str(row["number"])).returncode == 0


def test_an_event_that_always_fails_is_tried_ever_later_and_parked(
    own_house: House, books: Books, tell: Callable[[str], None]
) -> None:
    """Alone: the visits of the same batch are counted at once. When the cause is gone a replay counts it, once."""
    guests = visitors(60)
    poison = guests[30].visit_id
    before = own_house.activity("spie-somme-santerre")["visits"]
    forbid(books, poison)
    started = time.monotonic()
    own_house.post_lines("fs-moreuil", [one.body for one in guests])
    eventually(lambda: own_house.activity("spie-somme-santerre")["visits"] == before + 59, within=5.0)
    others = time.monotonic() - started
    eventually(lambda: books.rows("reporting", "SELECT * FROM failures WHERE due_at IS NULL"), within=20.0)
    (row,) = parked(own_house)
    assert (row["service"], row["queue"], row["tries"]) == ("reporting", "reporting.VisitRecorded", 4)
    assert row["reason"].startswith("IntegrityError at services.")
    told = [json.loads(line) for line in own_house.log("reporting").splitlines() if row["id"] in line]
    assert [(line["event"], line["tries"]) for line in told] == [
        ("event failed", 1),
        ("event failed", 2),
        ("event failed", 3),
        ("event parked", 4),
    ]
    waits = [seconds(line["again_at"]) - seconds(line["timestamp"]) for line in told[:3]]
    assert waits == pytest.approx(DELAYS, abs=0.3)

    mend(books)
    number = str(row["number"])
    assert own_house.relais("dead-letters", "replay", "reporting", number).returncode == 0
    again = own_house.relais("dead-letters", "replay", "reporting", number)
    assert again.returncode == 1
    assert again.stdout == "0 of 1 to be tried again\n"
    books.settle(guests)
    assert books.rows("reporting", "SELECT * FROM failures") == []
    publish(own_house, "reporting.VisitRecorded", event_of(books, poison).encode())
    goes_on(own_house)
    assert books.balance(guests).even
    assert own_house.activity("spie-somme-santerre")["visits"] == before + 61
    delays = ", ".join(f"{wait:.2f}" for wait in waits)
    tell(f"poison event due again after {delays} s, then parked; its 59 neighbours counted within {others:.2f} s")
