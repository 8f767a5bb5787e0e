"""Whatever fails while sites write to the broker: every visit is recorded once, and every one is answered."""

import shutil
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from services.chassis import outside
from services.chassis.postgres import EmbeddedPostgres
from services.contracts.topology import SERVICES
from tests.support import deadly, mortal
from tests.support.books import Books
from tests.support.house import House, eventually, visit
from tests.support.letters import provide
from tests.support.rabbit import Rabbit
from tests.support.scribes import Scribe

SITE = "fs-moreuil"
_RECORDED = "SELECT visit_id::text FROM visits WHERE visit_id::text = ANY(%s)"
_TRANSACTIONS = "SELECT count(DISTINCT xmin::text) FROM visits WHERE visit_id::text = ANY(%s)"
_EVENTS = "SELECT body::json -> 'data' ->> 'visit_id' FROM outbox WHERE body::json -> 'data' ->> 'visit_id' = ANY(%s)"


@pytest.fixture(scope="module")
def intake(server: EmbeddedPostgres, rabbit: Rabbit, vhost: str) -> Iterator[House]:
    """Lend a house in which only intake lives."""
    folder = Path(tempfile.mkdtemp(prefix="relais-test-"))
    house = House(folder, rabbit.url(vhost), {service: server.url(service, service) for service in SERVICES})
    yield house
    house.close()
    shutil.rmtree(folder)


@pytest.fixture
def own_house(intake: House) -> House:
    """Start intake unless it lives."""
    if not intake.alive("intake"):
        intake.start("intake")
    return intake


@pytest.fixture
def books(own_house: House, rabbit: Rabbit, vhost: str) -> Books:
    """Open the books of the house."""
    return Books(own_house, rabbit, vhost)


@pytest.fixture
def site_url(rabbit: Rabbit, vhost: str) -> str:
    """Make the site's account, and its queue."""
    return provide(rabbit, vhost, f"site.{SITE}", outside.INGEST, outside.replies_queue(SITE))


@pytest.fixture
def outages(rabbit: Rabbit, server: EmbeddedPostgres) -> tuple[Callable[[], None], ...]:
    """What goes away and comes back: the broker, the database; asked for when every queue is declared."""
    rabbit.write_down()

    def broker() -> None:
        rabbit.kill()
        rabbit.start()

    def database() -> None:
        server.stop("immediate")
        time.sleep(0.5)
        server.start()

    return broker, database


def balance(books: Books, scribe: Scribe) -> str:
    """Fails unless each visit is there once, with one event, and every reply about it gave the same reference."""
    ids = [body["visit_id"] for body in scribe.bodies]
    recorded, events = (Counter(row[0] for row in books.rows("intake", query, ids)) for query in (_RECORDED, _EVENTS))
    assert recorded == Counter(ids)
    assert events == Counter(ids)
    replies: Counter[int] = sum(scribe.answers.values(), Counter())
    assert set(replies) <= {200, 201}
    assert all(len(references) == 1 for references in scribe.references.values())
    return f"{len(ids)} visits, none lost, none twice; replies {dict(replies)}"


def test_a_broker_killed_and_a_database_stopped(
    own_house: House,
    books: Books,
    site_url: str,
    outages: tuple[Callable[[], None], ...],
    tell: Callable[[str], None],
) -> None:
    """Each twice, in turn: intake lives on, every visit is recorded once, every reply about it says the same."""
    scribe = Scribe(site_url, SITE, [visit() for _ in range(1000)], pause=0.002)
    scribe.start()
    for number, outage in zip((100, 300, 500, 700), outages * 2, strict=True):
        scribe.wait_for(number)
        outage()
    scribe.finish()
    tell(f"written to a broker that was killed twice, with a database that was stopped twice: {balance(books, scribe)}")
    assert own_house.alive("intake")


def test_killed_between_commit_and_acknowledgement(
    own_house: House, books: Books, site_url: str, tell: Callable[[str], None]
) -> None:
    """The replies had been sent: the same come again, with 200 for 201."""
    own_house.stop("intake")
    own_house.start("intake", module=mortal.MODULE)
    armed = mortal.arm(own_house.folder, "intake", mortal.COMMITTED)
    scribe = Scribe(site_url, SITE, [visit() for _ in range(100)])
    scribe.start()
    assert own_house.ended("intake") == -signal.SIGKILL
    assert not armed.exists()
    own_house.start("intake")
    scribe.finish()
    eventually(lambda: any(200 in one for one in scribe.answers.values()))
    tell(f"intake killed before it acknowledged: {balance(books, scribe)}")


def test_a_bug_is_told_and_its_neighbours_are_recorded(own_house: House, books: Books, site_url: str) -> None:
    """500 for the one visit, at once, once, and no word of it in the log; sent again when the bug is mended: 201."""
    own_house.stop("intake")
    bodies = [visit(story="Kanarienvogel") for _ in range(30)]
    bug = deadly.arm(own_house.folder, bodies[7]["visit_id"], deadly.WRONG_TO_RECORD)
    own_house.start("intake", module=deadly.MODULE)
    scribe = written(site_url, bodies)
    statuses = {body["visit_id"]: [*scribe.answers[body["visit_id"]].elements()] for body in bodies}
    assert statuses == {body["visit_id"]: [500 if body is bodies[7] else 201] for body in bodies}
    log = own_house.log("intake")
    assert log.count("message failed") == 1
    assert "RuntimeError" in log
    assert "Kanarienvogel" not in log
    bug.unlink()
    assert written(site_url, [bodies[7]]).answers[bodies[7]["visit_id"]] == {201: 1}
    assert len(books.rows("intake", _RECORDED, [body["visit_id"] for body in bodies])) == 30
    own_house.stop("intake")


def test_a_message_that_ends_the_process_is_refused_in_the_end(
    own_house: House, books: Books, site_url: str, tell: Callable[[str], None]
) -> None:
    """A supervisor starts intake again each time; the others are recorded, that one is answered 500."""
    own_house.stop("intake")
    bodies = [visit() for _ in range(30)]
    bug = deadly.arm(own_house.folder, bodies[7]["visit_id"], deadly.TO_RECORD)
    scribe = Scribe(site_url, SITE, bodies)
    scribe.start()
    eventually(lambda: scribe.confirmed == 30)
    ends, started = 0, time.monotonic()
    while True:
        own_house.start("intake", module=deadly.MODULE, ready=False)
        if eventually(lambda: "ended" if not own_house.alive("intake") else len(scribe.answers) == 30, 30) != "ended":
            break
        assert own_house.ended("intake") == -signal.SIGKILL
        ends += 1
        assert ends <= 3 * deadly.DELIVERIES
    took = time.monotonic() - started
    scribe.finish()
    # Unread, so that it is not named.
    assert scribe.answers.pop(None) == {500: 1}  # type: ignore[call-overload]
    tell(f"a visit that ends its process: refused after {ends} ends in {took:.1f} s, 29 others recorded")
    bug.unlink()
    assert len(books.rows("intake", _RECORDED, [body["visit_id"] for body in bodies])) == 29
    assert written(site_url, [bodies[7]]).answers[bodies[7]["visit_id"]] == {201: 1}
    own_house.stop("intake")


def test_a_backlog_is_worked_off_in_batches(
    own_house: House, books: Books, site_url: str, tell: Callable[[str], None]
) -> None:
    """A thousand and more that wait when intake starts: dozens share a transaction, most of what one costs."""
    own_house.stop("intake")
    scribe = Scribe(site_url, SITE, [visit() for _ in range(1500)])
    scribe.start()
    eventually(lambda: scribe.confirmed == 1500, 60)
    own_house.start("intake")
    scribe.wait_for(1)
    already, started = len(scribe.answers), time.monotonic()
    scribe.finish()
    rate = (1500 - already) / (time.monotonic() - started)
    ((transactions,),) = books.rows("intake", _TRANSACTIONS, [body["visit_id"] for body in scribe.bodies])
    tell(
        f"written to the broker: {rate:.0f} visits/s recorded and answered, in {transactions} transactions;"
        f" {balance(books, scribe)}"
    )
    assert transactions < 150


def written(url: str, bodies: Sequence[dict[str, Any]]) -> Scribe:
    """Write these visits and wait for the replies."""
    scribe = Scribe(url, SITE, bodies)
    scribe.start()
    scribe.finish()
    return scribe
