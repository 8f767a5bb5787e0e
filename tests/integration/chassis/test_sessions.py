"""Sessions and used invitations in a real PostgreSQL, on a clock that tests move."""

import base64
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest
from sqlalchemy import select, text

from services.chassis import sessions
from services.chassis.app import App
from services.chassis.clock import Clock
from services.chassis.database import Database
from services.chassis.pruning import Pruner
from services.chassis.settings import Settings
from services.chassis.tables import invitations_used
from services.chassis.tables import sessions as table
from services.chassis.tokens import Caller, Invitation
from tests.support.house import eventually

START = datetime(2026, 11, 20, 8, 30, tzinfo=UTC)
INVITATION = Invitation("agent", "fs-moreuil", "0193508e-7a5c-7cc1-9a59-3f6d0c7a2b11")
OTHER = Invitation("agent", "fs-moreuil", "another")
CALLER = Caller("agent", "fs-moreuil", f"invitation:{INVITATION.jti}")


class Moved(Clock):
    """A clock that stands where it was put."""

    def __init__(self) -> None:
        self.at = START

    def now(self) -> datetime:
        """Where it stands."""
        return self.at


@pytest.fixture
def clock() -> Moved:
    """Make one."""
    return Moved()


@pytest.fixture
def app(database: Database, clock: Moved) -> App:
    """Make the App of a service that has sessions."""
    return App("orientation", Settings(), database, clock=clock)


def opened(app: App, invitation: Invitation = INVITATION) -> str | None:
    """Use an invitation."""
    with app.work() as work:
        return sessions.open_by(work, invitation)


def kept(app: App) -> tuple[int, int]:
    """How many sessions, how many used invitations."""
    with app.read() as connection:
        return len(connection.execute(select(table)).all()), len(connection.execute(select(invitations_used)).all())


def test_a_session_is_its_cookies(app: App) -> None:
    """Whoever brings the value is the caller; another value, none, or one that is no text is nobody."""
    value = opened(app)
    assert value is not None
    assert sessions.find(app, value) == CALLER
    for other in (None, "", "x", value[:-1], value + "A", "\ud800", "\x00"):
        assert sessions.find(app, other) is None


def test_the_table_does_not_tell_the_cookie(app: App) -> None:
    """256 bits of chance are held as their SHA-256 only."""
    value = opened(app) or ""
    assert len(base64.urlsafe_b64decode(value + "=")) == 32
    with app.read() as connection:
        assert connection.scalars(select(table.c.id_hash)).all() == [sha256(value.encode()).digest()]


def test_an_invitation_opens_one_session(app: App) -> None:
    """The second time None, before and after the first session has ended; another invitation opens its own."""
    with app.read() as connection:
        assert not sessions.is_used(connection, INVITATION)
    value = opened(app)
    assert opened(app) is None
    with app.work() as work:
        assert sessions.is_used(work.connection, INVITATION)
        sessions.close(work, value)
    assert opened(app) is None
    assert opened(app, OTHER) is not None
    assert kept(app) == (1, 2)


def test_a_session_is_its_invitations(app: App, clock: Moved) -> None:
    """By its own cookie and while it is open; another invitation's it is not."""
    value, other = opened(app), opened(app, OTHER)
    assert sessions.is_of(app, value, INVITATION)
    assert not sessions.is_of(app, value, OTHER)
    assert not sessions.is_of(app, other, INVITATION)
    assert not sessions.is_of(app, None, INVITATION)
    clock.at = START + timedelta(hours=12)
    assert not sessions.is_of(app, value, INVITATION)


@pytest.mark.parametrize("first_fails", [False, True])
def test_of_two_at_once_one_gets_in(app: App, *, first_fails: bool) -> None:
    """The second waits for the first's end: it gets nothing, or, when the first fails, the session."""
    with ThreadPoolExecutor(1) as pool:
        with suppress(InterruptedError), app.work() as work:
            assert sessions.open_by(work, INVITATION) is not None
            second = pool.submit(opened, app)
            eventually(lambda: waits_for_a_lock(app))
            if first_fails:
                raise InterruptedError
        assert (second.result(10) is not None) == first_fails
    assert kept(app) == (1, 1)


def waits_for_a_lock(app: App) -> bool:
    """Whether somebody does, in this database."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    with app.read() as connection:
        return bool(connection.scalar(text(waiting)))


def test_a_session_ends_after_twelve_hours(app: App, clock: Moved) -> None:
    """Used or not, to the second."""
    value = opened(app)
    clock.at = START + timedelta(hours=12, seconds=-1)
    assert sessions.find(app, value) == CALLER
    clock.at = START + timedelta(hours=12)
    assert sessions.find(app, value) is None


def test_a_closed_session_is_gone(app: App) -> None:
    """The others stay; closing what is closed, or nothing, is no error."""
    value, other = opened(app), opened(app, Invitation("site", "hem", "another"))
    for _ in range(2):
        with app.work() as work:
            sessions.close(work, value)
            sessions.close(work, None)
        assert sessions.find(app, value) is None
    assert sessions.find(app, other) == Caller("site", "hem", "invitation:another")


def test_what_has_ended_is_pruned(app: App, clock: Moved) -> None:
    """A session once it has expired; a used invitation only when none so old could be valid still."""
    pruner = Pruner(app, relayed_outside=False)
    opened(app)
    clock.at = START + timedelta(hours=12)
    pruner.prune()
    assert kept(app) == (1, 1)
    clock.at += timedelta(seconds=1)
    assert pruner.prune()["sessions"] == 1
    assert kept(app) == (0, 1)
    clock.at = START + timedelta(hours=48)
    pruner.prune()
    assert opened(app) is None
    clock.at += timedelta(seconds=1)
    assert pruner.prune()["invitations_used"] == 1
    assert kept(app) == (0, 0)


def test_where_nobody_logs_in_there_is_nothing_to_prune(app: App, database: Database) -> None:
    """A service without these tables prunes the rest."""
    with database.begin() as connection:
        connection.execute(text("DROP TABLE sessions, invitations_used"))
        connection.execute(text("INSERT INTO inbox VALUES ('s', '1', :at)"), {"at": START - timedelta(days=999)})
    deleted = Pruner(app, relayed_outside=False).prune()
    assert (deleted["sessions"], deleted["invitations_used"], deleted["inbox"]) == (0, 0, 1)
