"""`relais dead-letters` on many parked events: seen with their age, tried again or dropped together."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from services.chassis import inbox
from services.chassis.database import Database
from services.chassis.inbox import Failure
from services.chassis.migrate import migrate
from services.contracts.envelope import CONTENT_TYPE
from tests.support.house import House

VISITS, ORIENTATIONS = "reporting.from-intake", "reporting.from-orientation"
BUG, BAD = "IntegrityError at services.reporting.handlers:36", "not a valid event: age_band (enum)"


@pytest.fixture
def house(state_folder: Path, databases: Callable[[], dict[str, str]]) -> House:
    """Lend a house in which nothing runs: the command needs a database, and no more."""
    return House(state_folder, "amqp://x:y@127.0.0.1:1/", {"reporting": databases()["reporting"]})


@pytest.fixture
def reporting(house: House) -> Iterator[Database]:
    """Open its database, with four events parked and one that waits for its next try."""
    database = Database(house.databases["reporting"], "test")
    migrate(database, "reporting")
    now = datetime.now(UTC)
    parked = (
        (VISITS, BUG, timedelta(days=3, hours=2), None),
        (VISITS, BAD, timedelta(hours=30), None),
        (ORIENTATIONS, BUG, timedelta(minutes=100), None),
        (VISITS, BUG, timedelta(minutes=2), now),
        (VISITS, BUG, timedelta(seconds=70), None),
    )
    with database.begin() as connection:
        for number, (queue, reason, age, due) in enumerate(parked, 1):
            body = b'{"number": %d}' % number
            one = Failure(queue, CONTENT_TYPE, body, 6, reason, due, "/relais/intake", str(number))
            inbox.remember(connection, one, now - age)
    yield database
    database.close()


def say(house: House, *arguments: str) -> tuple[int, str]:
    """Run `relais dead-letters …`; its exit code, and what it says."""
    done = house.relais("dead-letters", *arguments, COLUMNS="160")
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout.strip() or done.stderr.strip()


def left(database: Database) -> list[int]:
    """The numbers still parked."""
    with database.begin() as connection:
        return [row["number"] for row in inbox.parked_facts(connection)]


@pytest.mark.usefixtures("reporting")
def test_they_are_listed_with_reason_and_age(house: House) -> None:
    """Oldest first; the age since the first failure is in the largest unit that says something."""
    rows = json.loads(say(house, "list", "--json", "--queue", VISITS)[1])
    assert [(row["number"], row["reason"]) for row in rows] == [(1, BUG), (2, BAD), (5, BUG)]
    assert rows[0]["age_seconds"] == pytest.approx(266_400, abs=100)
    since = datetime.now(UTC) - datetime.fromisoformat(rows[0]["failed_at"])
    assert since == pytest.approx(timedelta(days=3, hours=2), abs=timedelta(seconds=100))
    table = say(house, "list")[1]
    for words in ("3 days", "30 h", "100 min", " s ", BUG, BAD):
        assert words in table


@pytest.mark.usefixtures("reporting")
def test_one_is_shown_with_what_is_known_of_it(house: House) -> None:
    """As it arrived; or in JSON, with reason and time."""
    assert say(house, "show", "reporting", "2") == (0, '{"number": 2}')
    shown = json.loads(say(house, "show", "reporting", "2", "--json")[1])
    assert (shown["body"], shown["reason"], shown["source"]) == ('{"number": 2}', BAD, "/relais/intake")


def test_all_that_failed_for_one_reason_are_tried_again_together(house: House, reporting: Database) -> None:
    """Thousands after a bad release, too; the others stay parked. A second time there is nothing left to try."""
    many = text(
        "INSERT INTO failures (queue, source, id, content_type, body, tries, reason, failed_at)"
        " SELECT :queue, 's', n::text, '', '', 6, :reason, now() FROM generate_series(1, 70000) AS n"
    )
    with reporting.begin() as connection:
        connection.execute(many, {"queue": ORIENTATIONS, "reason": BUG})
    command = ("replay", "reporting", "--all", "--reason", "integrityerror")
    assert say(house, *command) == (0, "70003 of 70003 to be tried again")
    assert left(reporting) == [2]
    assert say(house, *command) == (0, "0 of 0 to be tried again")


def test_some_or_all_are_dropped(house: House, reporting: Database) -> None:
    """By number, by queue, all; what waits for its next try is not dropped."""
    assert say(house, "drop", "reporting", "1", "4", "99") == (1, "1 of 3 dropped")
    assert say(house, "drop", "reporting", "--all", "--queue", ORIENTATIONS) == (0, "1 of 1 dropped")
    assert left(reporting) == [2, 5]
    assert say(house, "drop", "reporting", "--all") == (0, "2 of 2 dropped")
    with reporting.begin() as connection:
        assert connection.scalar(text("SELECT count(*) FROM failures")) == 1


@pytest.mark.parametrize(
    ("verb", "arguments"),
    [
        pytest.param("drop", [], id="neither numbers nor all"),
        pytest.param("drop", ["1", "--all"], id="both"),
        pytest.param("replay", ["--reason", "bug"], id="a filter alone"),
    ],
)
def test_what_is_not_clear_is_not_done(house: House, reporting: Database, verb: str, arguments: list[str]) -> None:
    """Exit code 2: nobody drops everything by forgetting a number."""
    code, said = say(house, verb, "reporting", *arguments)
    assert code == 2
    assert "--all" in said
    assert left(reporting) == [1, 2, 3, 5]
