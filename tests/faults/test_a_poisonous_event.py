"""An event that nobody can read, or that always fails: set aside with its reason, it takes no other along."""

import gzip
import json
import pickle
import time
import zlib
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import pika
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


def publish(house: House, queue: str, body: bytes, **properties: Any) -> None:  # noqa: ANN401 - any property
    """Put a message straight into a queue, as nobody should."""
    with pika.BlockingConnection(pika.URLParameters(house.environment["RELAIS_AMQP_URL"])) as connection:
        chosen = pika.BasicProperties(**{"content_type": CONTENT_TYPE, "delivery_mode": 2} | properties)
        connection.channel().basic_publish("", queue, body, chosen)


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


GOLDEN = (Path(__file__).parents[1] / "golden" / "VisitRecorded.v1.json").read_bytes()
NO_EVENT = json.dumps({"story": TOLD}).encode()
BOMB_MEGABYTES = 200
_NO_JSON, _NO_UTF_8 = "not JSON: JSONDecodeError", "not JSON: UnicodeDecodeError"


def bomb() -> bytes:
    """A body of 200 kB that grows to a thousand times that when decompressed."""
    packer = zlib.compressobj()
    return b"".join(packer.compress(b" " * 1_000_000) for _ in range(BOMB_MEGABYTES)) + packer.flush()


# Body, properties, reason.
UNREADABLE: dict[str, tuple[bytes, dict[str, Any], str]] = {
    "no JSON": (TOLD.encode(), {}, _NO_JSON),
    "no UTF-8": (f'{{"story": "{TOLD}"}}'.encode("latin-1"), {}, _NO_UTF_8),
    "nested": (f'{{"{TOLD}":'.encode() * 100_000, {}, "not JSON: nested too deeply"),
    "a number without end": (b"7" * 10_000, {}, "not JSON: ValueError"),
    "no event": (NO_EVENT, {}, "not a valid event: type (missing)"),
    "no batch": (NO_EVENT, {"content_type": BATCH_CONTENT_TYPE}, "a batch must be a JSON array"),
    "another version": (
        GOLDEN.replace(b".VisitRecorded.v1", b".VisitRecorded.v2").replace(b"80570", TOLD.encode()),
        {},
        "expected type fr.relais.VisitRecorded.v1",
    ),
    "300 kB": (json.dumps({"story": TOLD * 15_000}).encode(), {}, "not a valid event: type (missing)"),
    "4 MB, as much as the broker takes": (
        f'["{TOLD}"]'.encode() + b" " * 4_000_000,
        {},
        "not a valid event: document (model_type)",
    ),
    "compressed": (gzip.compress(GOLDEN + TOLD.encode()), {"content_encoding": "gzip"}, _NO_UTF_8),
    "compressed as kombu would": (zlib.compress(GOLDEN), {"headers": {"compression": "application/x-gzip"}}, _NO_UTF_8),
    "a bomb": (bomb(), {"headers": {"compression": "application/x-gzip"}}, _NO_UTF_8),
    "compressed as nobody knows": (TOLD.encode(), {"headers": {"compression": TOLD}}, _NO_JSON),
    "a codec that takes its time": (b"b" * 300_000, {"content_encoding": "punycode"}, _NO_JSON),
    "strange type": (TOLD.encode(), {"content_type": b"te\0xt/\xed\xa0\x80\n"}, _NO_JSON),
    "type that is no UTF-8": (TOLD.encode(), {"content_type": b"\xff\xfe"}, _NO_JSON),
}


def test_what_cannot_be_read_is_parked_at_once_and_the_queue_goes_on(
    own_house: House, books: Books, tell: Callable[[str], None]
) -> None:
    """Each with its reason, none tried again, none in any log; the next visit goes through within a second."""
    peak = own_house.memory("orientation", peak=True)
    for body, properties, _ in UNREADABLE.values():
        publish(own_house, "orientation.from-intake", body, **properties)
    seconds = goes_on(own_house)
    eventually(lambda: len(books.rows("orientation", "SELECT * FROM failures")) == len(UNREADABLE))
    grown = own_house.memory("orientation", peak=True) - peak
    rows = parked(own_house)
    assert {row["service"] for row in rows} == {"orientation"}
    for row, (body, _, reason) in zip(rows, UNREADABLE.values(), strict=True):
        assert row["reason"].startswith(reason)
        assert (row["queue"], row["tries"], row["bytes"]) == ("orientation.from-intake", 1, len(body))
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
    tell(
        f"{len(rows)} unreadable messages parked, at the cost of {grown:.0f} MB for a moment;"
        f" the visit behind them was referred within {seconds:.2f} s"
    )
    assert grown < BOMB_MEGABYTES / 2


class Trap:
    """What a pickle may hold: something to do for whoever unpickles it."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
        return Path.touch, (self.file,)


def test_a_pickle_is_never_unpickled(own_house: House, books: Books, tmp_path: Path) -> None:
    """Whatever its content type says: it is bytes that are no JSON."""
    proof, trap = tmp_path / "unpickled", tmp_path / "trap"
    pickle.loads(pickle.dumps(Trap(proof)))  # noqa: S301 - our own, to see that the trap works
    assert proof.exists()
    encodings: tuple[dict[str, str], ...] = ({"content_encoding": "binary"}, {"content_encoding": "utf-8"}, {})
    for properties in encodings:
        body = pickle.dumps(Trap(trap), protocol=2)
        publish(own_house, "reporting.from-intake", body, content_type="application/x-python-serialize", **properties)
    goes_on(own_house)
    eventually(lambda: len(books.rows("reporting", "SELECT * FROM failures")) == len(encodings))
    rows = parked(own_house, "--service", "reporting")
    assert all(row["reason"].startswith("not JSON") for row in rows)
    assert not trap.exists()
    numbers = [str(row["number"]) for row in rows]
    assert own_house.relais("dead-letters", "drop", "reporting", *numbers).returncode == 0


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
    """Its neighbours are handled, and it alone is parked."""
    guests = visitors(8)
    own_house.post_lines("fs-moreuil", [one.body for one in guests])
    books.settle(guests)
    documents = [json.loads(event_of(books, one.visit_id)) for one in guests]
    for document in documents:
        document["id"] += "-anew"
        document["data"]["site"] = "fs-roye"
    documents[3]["data"]["age_band"] = TOLD
    publish(own_house, "reporting.from-intake", json.dumps(documents).encode(), content_type=BATCH_CONTENT_TYPE)
    ids = [one.visit_id for one in guests]
    query = "SELECT visit_id::text FROM visits WHERE site = 'fs-roye' AND visit_id::text = ANY(%s)"
    eventually(lambda: len(books.rows("reporting", query, ids)) == 7)
    eventually(lambda: books.rows("reporting", "SELECT * FROM failures"))
    (row,) = parked(own_house, "--service", "reporting")
    assert row["reason"] == "not a valid event: data.age_band (enum)"
    assert sorted(found for (found,) in books.rows("reporting", query, ids)) == sorted(ids[:3] + ids[4:])
    assert own_house.relais("dead-letters", "drop", "reporting", str(row["number"])).returncode == 0


def test_an_event_that_always_fails_is_tried_ever_later_and_parked(
    own_house: House, books: Books, tell: Callable[[str], None]
) -> None:
    """Alone: the visits of the same batch are counted at once. When the cause is gone a replay counts it, once."""
    guests = visitors(1000)
    poison = guests[500].visit_id
    before = own_house.activity("spie-somme-santerre")["visits"]
    forbid(books, poison)
    started = time.monotonic()
    own_house.post_lines("fs-moreuil", [one.body for one in guests])
    eventually(lambda: own_house.activity("spie-somme-santerre")["visits"] == before + 999, within=15.0)
    others = time.monotonic() - started
    eventually(lambda: books.rows("reporting", "SELECT * FROM failures WHERE due_at IS NULL"), within=20.0)
    (row,) = parked(own_house)
    assert (row["service"], row["queue"], row["tries"]) == ("reporting", "reporting.from-intake", 4)
    assert row["reason"].startswith("IntegrityError at services.")
    told = [json.loads(line) for line in own_house.log("reporting").splitlines() if row["id"] in line]
    assert [(line["event"], line["tries"]) for line in told] == [
        ("event failed", 1),
        ("event failed", 2),
        ("event failed", 3),
        ("event parked", 4),
    ]
    waits = [seconds(line["again_at"]) - seconds(line["timestamp"]) for line in told[:3]]
    # A line is written some time after the transaction that set the time.
    assert all(delay - 3 < wait <= delay + 0.01 for wait, delay in zip(waits, DELAYS, strict=True)), waits

    mend(books)
    number = str(row["number"])
    assert own_house.relais("dead-letters", "replay", "reporting", number).returncode == 0
    again = own_house.relais("dead-letters", "replay", "reporting", number)
    assert again.returncode == 1
    assert again.stdout == "0 of 1 to be tried again\n"
    books.settle(guests)
    assert books.rows("reporting", "SELECT * FROM failures") == []
    publish(own_house, "reporting.from-intake", event_of(books, poison).encode())
    goes_on(own_house)
    eventually(lambda: own_house.activity("spie-somme-santerre")["visits"] == before + 1001, within=30.0)
    assert books.balance(guests).even
    delays = ", ".join(f"{wait:.2f}" for wait in waits)
    tell(f"poison event due again after {delays} s, then parked; its 999 neighbours counted within {others:.2f} s")
