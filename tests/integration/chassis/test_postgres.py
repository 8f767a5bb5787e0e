"""The embedded PostgreSQL: a server of our own that survives what happens to it."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url

from services.chassis.postgres import EmbeddedPostgres, PostgresError


def connect(server: EmbeddedPostgres, database: str, user: str) -> psycopg.Connection:
    """Connect as SQLAlchemy would, without it."""
    url = make_url(server.url(database, user))
    host, port = str(url.query["host"]), str(url.query["port"])
    return psycopg.connect(host=host, port=port, user=url.username, dbname=url.database, autocommit=True)


@pytest.fixture
def server(state_folder: Path) -> Iterator[EmbeddedPostgres]:
    """Start a server with the database `intake`."""
    server = EmbeddedPostgres(state_folder / "postgres")
    server.start()
    server.ensure("intake", "intake")
    yield server
    server.stop("immediate")


def test_committed_rows_survive_a_power_cut_and_a_clean_stop(server: EmbeddedPostgres) -> None:
    """What was committed is there after SIGKILL, and after a stop, though postmaster.pid was left behind."""
    with connect(server, "intake", "intake") as connection:
        connection.execute("CREATE TABLE visit (id int)")
        connection.execute("INSERT INTO visit VALUES (1)")
        server.kill()
    server.start()
    with connect(server, "intake", "intake") as connection:
        connection.execute("INSERT INTO visit VALUES (2)")
    server.stop()
    server.start()
    with connect(server, "intake", "intake") as connection:
        assert connection.execute("SELECT id FROM visit ORDER BY id").fetchall() == [(1,), (2,)]


def test_a_role_owns_its_database_and_enters_no_other(server: EmbeddedPostgres) -> None:
    """`ensure` may be repeated, and closes each database to the other roles."""
    server.ensure("referral", "referral")
    server.ensure("referral", "referral")
    connect(server, "referral", "referral").close()
    with pytest.raises(psycopg.OperationalError, match="permission denied"):
        connect(server, "referral", "intake")


def test_a_second_process_is_told_who_uses_the_folder(server: EmbeddedPostgres, state_folder: Path) -> None:
    """Two servers never share one folder."""
    with pytest.raises(PostgresError, match=f"in use by process {os.getpid()}"):
        EmbeddedPostgres(state_folder / "postgres").start()
    connect(server, "intake", "intake").close()


def test_a_second_process_may_use_the_running_server(server: EmbeddedPostgres, state_folder: Path) -> None:
    """A command beside `relais run` reaches its databases and leaves it running."""
    other = EmbeddedPostgres(state_folder / "postgres")
    assert other.running_elsewhere()
    other.ensure("referral", "referral")
    connect(other, "referral", "referral").close()
    connect(server, "referral", "referral").close()
    server.stop()
    assert not other.running_elsewhere()


def test_a_server_whose_starter_was_killed_is_replaced(state_folder: Path) -> None:
    """After kill -9 of Relais itself, the next start takes the folder over."""
    folder = state_folder / "postgres"
    program = (
        "import pathlib, sys, time; from services.chassis.postgres import EmbeddedPostgres;"
        "server = EmbeddedPostgres(pathlib.Path(sys.argv[1])); server.start(); server.ensure('intake', 'intake');"
        "print('ready', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(folder)], stdout=subprocess.PIPE) as starter:  # noqa: S603
        assert starter.stdout is not None
        assert starter.stdout.readline() == b"ready\n"
        starter.send_signal(signal.SIGKILL)
    successor = EmbeddedPostgres(folder)
    successor.start()
    connect(successor, "intake", "intake").close()
    successor.stop()


def test_a_process_id_that_went_to_another_program_does_not_stop_the_start(server: EmbeddedPostgres) -> None:
    """After a reboot the old id may be anybody's: it is forgotten, and that program left alone."""
    pid_file = server.home / "data" / "postmaster.pid"
    content = pid_file.read_text()
    server.stop()
    pid_file.write_text(content.replace(content.split("\n", 1)[0], str(os.getpid()), 1))
    server.start()
    connect(server, "intake", "intake").close()


def test_a_folder_with_a_long_name_works(state_folder: Path) -> None:
    """A unix socket's path has 107 bytes at most; then the socket goes to a private temporary folder."""
    server = EmbeddedPostgres(state_folder / ("long" * 30))
    server.start()
    server.ensure("intake", "intake")
    connect(server, "intake", "intake").close()
    server.stop()


def test_the_socket_folder_is_closed_to_others(server: EmbeddedPostgres) -> None:
    """The folder's permissions are the access control, so nobody else enters."""
    folder = Path(str(make_url(server.url("intake", "intake")).query["host"]))
    assert folder.stat().st_mode & 0o077 == 0


def test_a_failure_ends_with_what_the_server_said(state_folder: Path) -> None:
    """The error carries the log's last lines, and the folder is free again."""
    server = EmbeddedPostgres(state_folder / "postgres")
    server.start()
    server.stop()
    version = server.home / "data" / "PG_VERSION"
    right = version.read_text()
    version.write_text("9.6\n")
    with pytest.raises(PostgresError, match="not compatible"):
        server.start()
    version.write_text(right)
    server.start()
    server.stop()


def test_no_permission_of_others_is_changed(tmp_path: Path) -> None:
    """Below a private folder, which root's PostgreSQL user cannot enter, the server lives elsewhere."""
    tmp_path.chmod(0o700)
    server = EmbeddedPostgres(tmp_path / "postgres")
    server.start()
    server.stop()
    server.start()
    server.ensure("intake", "intake")
    connect(server, "intake", "intake").close()
    server.stop()
    assert tmp_path.stat().st_mode & 0o777 == 0o700
    assert (server.home == tmp_path / "postgres") == (os.geteuid() != 0)
    shutil.rmtree(server.home)
