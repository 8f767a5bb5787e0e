"""`relais replay`: a consumer that lost its database gets everything again, and nobody else gets anything."""

import json
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from psycopg import sql

from services.contracts.topology import SERVICES
from tests.support import tables
from tests.support.afterwards import go_on
from tests.support.books import Books
from tests.support.broker import listener, vhost_of
from tests.support.crowd import Crowd, visitors
from tests.support.house import House, eventually
from tests.support.rabbit import Rabbit

PUBLISHERS = ("intake", "orientation", "referral")
PARTNER, CHARTER = "mission-locale-santerre", "spie-somme-santerre"
# What was remembered when, what failed, and who read which case, are no part of what was rebuilt.
PASSING = {"inbox", "failures", "alembic_version", "outbox", "marks"}


@pytest.fixture(scope="module")
def own_house(houses: Callable[..., House]) -> House:
    """Start a house where every event there is went through a ledger."""
    house = houses()
    house.start()
    return house


@pytest.fixture(scope="module")
def books(own_house: House, rabbit: Rabbit) -> Books:
    """Open its books."""
    return Books(own_house, rabbit, vhost_of(own_house.environment["RELAIS_AMQP_URL"]))


@pytest.fixture(scope="module")
def settled(own_house: House, books: Books) -> None:
    """Let 400 visits pass through, people decide anew, and a partner answer: every kind of event but an erasure."""
    crowd = Crowd(own_house, visitors(400), sizes=(1, 20))
    crowd.start()
    crowd.finish()
    books.settle(crowd.visitors)
    go_on(own_house, books, crowd.visitors)
    books.settle(crowd.visitors)
    answers: list[dict[str, str]] = [{"status": "received"}, {"status": "accepted"}]
    answers.append({"status": "completed", "outcome": "helped"})
    for number, referral in enumerate(own_house.referrals("partner", PARTNER, status="sent")[:30]):
        for answer in answers[: number % 3 + 1]:
            assert own_house.answer(PARTNER, referral["referral_id"], **answer).status_code == 201
    silent = own_house.referrals("partner", PARTNER, status="sent")[0]["referral_id"]
    assert own_house.answer(PARTNER, silent, status="declined", reason="no-capacity").status_code == 201
    books.settle(crowd.visitors)


def replay(house: House, publisher: str, consumer: str, *more: str, warned: bool = False) -> dict[str, Any]:
    """Type it; what it says it did. Whoever publishes of what it hears is warned of, and nobody else."""
    done = house.relais("replay", "--from", publisher, "--to", consumer, "--json", *more)
    assert done.returncode == 0, done.stderr
    assert ("publishes, anew" in done.stderr) == warned, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def state(house: House) -> tables.Said:
    """Every row that reporting keeps, whatever its order."""
    found = tables.read(house.databases["reporting"])
    return tables.said({name: found[name] for name in found.keys() - PASSING}, {}, {"case_steps.number"})


def report(house: House) -> dict[str, Any]:
    """The activity report by site, but for the time at which it was made."""
    headers = house.bearer("steering", CHARTER)
    found = house.client.get(f"{house.url('reporting')}/v1/reports/activity?by=site", headers=headers).json()
    return {"totals": found["totals"], "rows": found["rows"]}


def handled(house: House, service: str) -> dict[str, int]:
    """How many events a service has handled since its start, by outcome."""
    return {outcome: house.handled(service, outcome) for outcome in ("handled", "duplicate", "parked")}


def empty(house: House, books: Books) -> None:
    """Truncate all that reporting has, what it remembers included."""
    names = tables.read(house.databases["reporting"]).keys() - {"alembic_version"}
    books.change("reporting", sql.SQL("TRUNCATE {}").format(sql.SQL(", ").join(map(sql.Identifier, sorted(names)))))


@pytest.mark.usefixtures("settled")
def test_reporting_is_rebuilt_from_the_ledgers_of_the_others(
    own_house: House, books: Books, tell: Callable[[str], None]
) -> None:
    """Emptied while it was stopped: afterwards it holds the same rows; nothing is published, nobody else is told."""
    before, told = state(own_house), report(own_house)
    assert told["totals"]["visits"] > 0
    assert {"received", "accepted", "completed", "declined"} <= set(told["totals"]["referrals"]["by_state"])
    own_house.stop("reporting")
    empty(own_house, books)
    own_house.start("reporting")
    assert report(own_house)["totals"]["visits"] == 0
    others = {service: handled(own_house, service) for service in PUBLISHERS}
    published = {service: books.rows(service, "SELECT count(*) FROM outbox") for service in SERVICES}
    with (
        listener(own_house, "intake.events") as visits,
        listener(own_house, "orientation.events") as orientations,
        listener(own_house, "referral.events") as referrals,
        listener(own_house, "reporting.events") as reads,
    ):
        started = time.monotonic()
        sent = {publisher: replay(own_house, publisher, "reporting") for publisher in PUBLISHERS}
        eventually(lambda: state(own_house) == before, within=20.0)
        took = time.monotonic() - started
        assert [reader.take() for reader in (visits, orientations, referrals, reads)] == [[], [], [], []]
    assert report(own_house) == told
    assert {service: handled(own_house, service) for service in PUBLISHERS} == others
    assert {service: books.rows(service, "SELECT count(*) FROM outbox") for service in SERVICES} == published
    assert not any(books.rows(service, "SELECT * FROM failures") for service in SERVICES)
    total = sum(one["total"] for one in sent.values())
    all_of_it = {"handled": total, "duplicate": 0, "parked": 0}
    # It is counted once it is acknowledged, some time after its rows are there.
    eventually(lambda: handled(own_house, "reporting") == all_of_it)
    messages = sum(one["messages"] for one in sent.values())
    tell(f"reporting emptied and rebuilt from {total} events in {messages} messages, three commands: {took:.1f} s")
    assert messages < total / 5


@pytest.mark.usefixtures("settled")
def test_what_is_remembered_has_no_second_effect(own_house: House) -> None:
    """The same again changes no row: each event is found in the inbox."""
    before, duplicates = state(own_house), own_house.handled("reporting", "duplicate")
    sent = sum(replay(own_house, publisher, "reporting")["total"] for publisher in PUBLISHERS)
    sent_on = replay(own_house, "intake", "orientation", warned=True)["total"]
    eventually(lambda: own_house.handled("reporting", "duplicate") == duplicates + sent)
    eventually(lambda: own_house.handled("orientation", "duplicate") == sent_on)
    assert sent > sent_on > 0
    assert state(own_house) == before


@pytest.mark.usefixtures("settled")
def test_a_replay_may_be_of_some_events_only(own_house: House, books: Books) -> None:
    """Of one type; from a time on, which is Paris time unless it says otherwise."""
    ((count, last),) = books.rows("referral", "SELECT count(*), max(created_at) FROM outbox WHERE recipient IS NULL")
    ((later,),) = books.rows(
        "referral", "SELECT count(*) FROM outbox WHERE recipient IS NULL AND created_at >= %s", last
    )
    accepted = replay(own_house, "referral", "reporting", "--type", "ReferralAccepted")
    assert accepted["events"] == {"ReferralAccepted": 20}
    paris = last.astimezone(ZoneInfo("Europe/Paris")).replace(tzinfo=None)
    for since in (last.isoformat(), paris.isoformat()):
        told = replay(own_house, "referral", "reporting", "--since", since)
        assert told["total"] == later
        assert datetime.fromisoformat(told["since"]) == last
    assert 0 < later < count
    done = own_house.relais("replay", "--from", "referral", "--to", "reporting", "--type", "ReferralDeclined")
    assert (done.returncode, done.stderr) == (0, "")
    assert "1  ReferralDeclined" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "changes", "words"),
    [
        pytest.param(["referral", "orientation"], {}, ["orientation takes nothing", "reporting"], id="no subscriber"),
        pytest.param(["reporting", "referral"], {}, ["referral takes nothing", "intake"], id="not its subscriber"),
        pytest.param(["kitchen", "intake"], {}, ["kitchen"], id="no service"),
        pytest.param(["intake", "reporting", "--type", "ReferralSent"], {}, ["VisitRecorded"], id="no such event"),
        pytest.param(["intake", "reporting", "--since", "hier"], {}, ["2026-11-01"], id="no date"),
        pytest.param(["intake", "reporting", "--since", "2999-01-01"], {}, ["to come"], id="a date to come"),
        pytest.param(["intake", "reporting"], {"RELAIS_AMQP_URL": None}, ["RELAIS_AMQP_URL"], id="no broker"),
        pytest.param(
            ["intake", "reporting"],
            {"RELAIS_DATABASE_URL_INTAKE": None},
            ["RELAIS_DATABASE_URL_INTAKE"],
            id="no ledger",
        ),
    ],
)
def test_what_cannot_be_replayed_ends_with_2(
    own_house: House, arguments: list[str], changes: dict[str, str | None], words: list[str]
) -> None:
    """And says what would do; never a traceback."""
    publisher, consumer, *more = arguments
    done = own_house.relais("replay", "--from", publisher, "--to", consumer, *more, **changes)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr


def test_a_broker_that_is_away_ends_a_replay_with_1(own_house: House) -> None:
    """Nothing is half done: the same command again sends all of it."""
    done = own_house.relais(
        "replay", "--from", "intake", "--to", "reporting", RELAIS_AMQP_URL="amqp://x:y@127.0.0.1:1/"
    )
    assert done.returncode == 1
    assert "run this again when it does" in done.stderr
    assert "Traceback" not in done.stderr
