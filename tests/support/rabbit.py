"""A throwaway RabbitMQ node, private to one test run: loopback only, random ports, its own epmd, data and cookie."""

import fcntl
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from tests.support.certificates import Authority

START_SECONDS = 90.0
STOP_SECONDS = 30.0
# What raises each alarm, and what ends it.
ALARMS = {
    "disk": (("set_disk_free_limit", "1000000GB"), ("set_disk_free_limit", "50MB")),
    "memory": (("set_vm_memory_high_watermark", "0.00001"), ("set_vm_memory_high_watermark", "0.4")),
}
CONF = Path(__file__).parents[2] / "deploy" / "rabbitmq" / "rabbitmq.conf"
_FILES = ("cacertfile", "certfile", "keyfile")
_LOOPBACK = "-kernel inet_dist_use_interface {127,0,0,1}"
_TRIED_FROM = 10_000
_LENT = Path("/proc/sys/net/ipv4/ip_local_port_range")
_LENT_FROM = int(_LENT.read_text().split()[0]) if _LENT.exists() else 0
# Some systems lend nearly all of them.
_TRIED_TO = _LENT_FROM if _LENT_FROM > _TRIED_FROM + 1000 else 32_768
_given: set[int] = set()
# A byte for each port, locked by the process that was given it: it may not listen there yet.
_RESERVED = (Path(tempfile.gettempdir()) / f"relais-test-ports-{os.getuid()}").open("ab")


def _shipped(name: str) -> str:
    """The deployed file's line."""
    (line,) = (line for line in CONF.read_text().splitlines(keepends=True) if line.startswith(name))
    return line


class RabbitError(Exception):
    """The private broker does not do what a test needs of it."""


class Rabbit:
    """One node. `start`, `stop`, `kill`, `freeze` and `thaw` may be repeated; ports and data stay; `close` ends it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.user = "admin"
        self.password = secrets.token_urlsafe(12)
        self.port, self.tls_port, self.http_port, self.https_port, dist_port, self._epmd_port = free_ports(6)
        self.authority = Authority(folder)
        self._name = f"relais-{self.port}@localhost"
        self._node: subprocess.Popen[bytes] | None = None
        self._epmd: subprocess.Popen[bytes] | None = None
        self._api = httpx.Client(
            base_url=f"http://127.0.0.1:{self.http_port}/api",
            auth=(self.user, self.password),
            timeout=10,
            trust_env=False,
        )
        self._prepare(dist_port)

    def _prepare(self, dist_port: int) -> None:
        (self.folder / "enabled_plugins").write_text("[rabbitmq_management].\n")
        (self.folder / "rabbitmq.conf").write_text(
            f"listeners.tcp.default = 127.0.0.1:{self.port}\n"
            "management.tcp.ip = 127.0.0.1\n"
            f"management.tcp.port = {self.http_port}\n"
            f"{self._tls()}"
            f"default_user = {self.user}\n"
            f"default_pass = {self.password}\n"
            "collect_statistics_interval = 500\n"
            "disk_free_limit.absolute = 50MB\n"
            f"{_shipped('max_message_size')}"
        )
        # How often quorum queues tell their lengths, in milliseconds; else 5000. At 200, the queues of a house that has
        # nothing to do take a tenth of a processor.
        (self.folder / "advanced.config").write_text("[{rabbit, [{quorum_tick_interval, 500}]}].\n")
        cookie = self.folder / ".erlang.cookie"
        cookie.write_text(secrets.token_hex(16))
        cookie.chmod(0o400)
        self._environment = {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "HOME": str(self.folder),
            "LANG": "C.UTF-8",
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": self._name,
            "RABBITMQ_DIST_PORT": str(dist_port),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": _LOOPBACK,
            "RABBITMQ_CTL_ERL_ARGS": _LOOPBACK,
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(self.folder / "advanced.config"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(self.folder / "generated"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.folder / "log"),
            "RABBITMQ_PID_FILE": str(self.folder / "pid"),
            "RABBITMQ_ALLOW_INPUT": "true",  # the Erlang VM replaces the start script: our child is the node itself
        }

    def _tls(self) -> str:
        """Read the deployed file's lines on TLS; the certificate is 127.0.0.1's, and 127.0.0.2 answers with it, too."""
        certificate, key = self.authority.certificate("127.0.0.1", "localhost")
        files = {"broker-ca.crt": self.authority.ca_path, "broker.crt": certificate, "broker.key": key}
        lines = [line for line in CONF.read_text().splitlines() if line.startswith("ssl_options.")]
        for name, file in files.items():
            lines = [line.replace(f"/run/secrets/{name}", str(file)) for line in lines]
        lines += [f"listeners.ssl.{number} = 127.0.0.{number}:{self.tls_port}" for number in (1, 2)]
        lines += ["management.ssl.ip = 127.0.0.1", f"management.ssl.port = {self.https_port}"]
        lines += [f"management.ssl.{name} = {file}" for name, file in zip(_FILES, files.values(), strict=True)]
        return "".join(f"{line}\n" for line in lines)

    # -- life and death

    def start(self) -> None:
        """Start the node and wait until it takes connections."""
        if self._node is not None:
            return
        if self._epmd is None:
            self._epmd = self._spawn([_program("epmd"), "-port", str(self._epmd_port), "-address", "127.0.0.1"])
            self._wait("epmd", lambda: _listens(self._epmd_port))
        self._node = self._spawn([_program("rabbitmq-server"), "-noinput"])
        self._wait("RabbitMQ", self._ready)

    def stop(self) -> None:
        """End the node in an orderly way."""
        if self._node is not None:
            self._node.send_signal(signal.SIGCONT)
            self._node.terminate()
            self._node.wait(STOP_SECONDS)
            self._node = None

    def write_down(self) -> None:
        """Wait until a `kill` takes no queue: its declaration is in a cache of Erlang's for up to two seconds."""
        time.sleep(3)

    def kill(self) -> None:
        """End the node as a power cut would."""
        if self._node is not None:
            self._node.kill()
            self._node.wait()
            self._node = None

    def freeze(self) -> None:
        """Stop the node in its tracks: connections stay open and nothing answers."""
        self._running().send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen node go on."""
        self._running().send_signal(signal.SIGCONT)

    def close(self) -> None:
        """End the node and its port mapper for good."""
        self.kill()
        self._api.close()
        if self._epmd is not None:
            self._epmd.kill()
            self._epmd.wait()
            self._epmd = None

    @contextmanager
    def alarm(self, kind: str) -> Iterator[None]:
        """Raise a disk or a memory alarm, which blocks publishers; it ends with the block."""
        on, off = ALARMS[kind]
        self.ctl(*on)
        try:
            self._wait(f"the {kind} alarm", self._alarmed)
            yield
            if not self._alarmed():
                raise RabbitError(f"the {kind} alarm ended by itself")
        finally:
            self.ctl(*off)
            self._wait(f"the end of the {kind} alarm", lambda: not self._alarmed())

    def ctl(self, *arguments: str) -> str:
        """Run `rabbitmqctl` on the node (half a second or so); what it printed."""
        done = subprocess.run(
            [_program("rabbitmqctl"), "--quiet", *arguments],
            env=self._environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=START_SECONDS,
            check=False,
        )
        if done.returncode:
            raise RabbitError(f"rabbitmqctl {' '.join(arguments)}: {done.stdout}{done.stderr}")
        return done.stdout

    # -- what is in it

    def url(self, vhost: str = "/", user: str | None = None, password: str | None = None, *, tls: bool = False) -> str:
        """Where a client connects; as the administrator unless told otherwise."""
        who = f"{quote(user or self.user, safe='')}:{quote(password or self.password, safe='')}"
        scheme, port = ("amqps", self.tls_port) if tls else ("amqp", self.port)
        return f"{scheme}://{who}@127.0.0.1:{port}/{quote(vhost, safe='')}"

    def management_url(self, user: str | None = None, password: str | None = None, *, tls: bool = False) -> str:
        """Where `relais partners` finds the management API; as the administrator unless told otherwise."""
        scheme, port = ("https", self.https_port) if tls else ("http", self.http_port)
        return f"{scheme}://{user or self.user}:{password or self.password}@127.0.0.1:{port}"

    def add_vhost(self, vhost: str) -> str:
        """Create a vhost, empty, open to the administrator."""
        self.api("PUT", f"/vhosts/{_path(vhost)}")
        self.permit(self.user, vhost)
        return vhost

    def delete_vhost(self, vhost: str) -> None:
        """Delete a vhost with all that is in it."""
        self.api("DELETE", f"/vhosts/{_path(vhost)}")

    def add_user(self, user: str, password: str, tags: str = "") -> None:
        """Create an account, or give it a new password."""
        self.api("PUT", f"/users/{_path(user)}", {"password": password, "tags": tags})

    def delete_user(self, user: str) -> None:
        """Delete an account."""
        self.api("DELETE", f"/users/{_path(user)}")

    def permit(self, user: str, vhost: str, *, configure: str = ".*", write: str = ".*", read: str = ".*") -> None:
        """Set an account's permissions in a vhost."""
        rights = {"configure": configure, "write": write, "read": read}
        self.api("PUT", f"/permissions/{_path(vhost)}/{_path(user)}", rights)

    def load(self, definitions: dict[str, Any]) -> None:
        """Import a definitions file's content."""
        self.api("POST", "/definitions", definitions)

    def queues(self, vhost: str) -> dict[str, dict[str, Any]]:
        """List the queues of a vhost by name, as the management API describes them (numbers lag by some 0.5 s)."""
        return {queue["name"]: queue for queue in self.api("GET", f"/queues/{_path(vhost)}")}

    def depth(self, vhost: str, queue: str) -> int:
        """Count a queue's messages, ready and unacknowledged."""
        return int(self.api("GET", f"/queues/{_path(vhost)}/{_path(queue)}").get("messages", 0))

    def drain(self, vhost: str, queue: str, count: int = 10_000) -> list[dict[str, Any]]:
        """Take messages out of a queue: each with `payload`, `properties`, `routing_key`, `redelivered`."""
        wish = {"count": count, "ackmode": "ack_requeue_false", "encoding": "auto"}
        messages: list[dict[str, Any]] = self.api("POST", f"/queues/{_path(vhost)}/{_path(queue)}/get", wish)
        return messages

    def close_connections(self, vhost: str | None = None) -> None:
        """Break the clients' connections, as an operator would; one may end by itself meanwhile."""
        for connection in self.api("GET", "/connections"):
            if vhost in (None, connection.get("vhost")):
                self._wait("the end of a connection", partial(self._closed, connection["name"]))

    def api(self, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401 - whatever JSON it answers
        """Call the management API; anything but success is an error."""
        answer = self._api.request(method, path, json=body)
        if answer.is_error:
            raise RabbitError(f"{method} {path}: {answer.status_code} {answer.text}")
        return answer.json() if answer.content else None

    # -- inside

    def _closed(self, connection: str) -> bool:
        """Close it; for one that ends at this moment the broker answers 500, and 404 from then on."""
        answer = self._api.delete(f"/connections/{_path(connection)}")
        if answer.is_client_error and answer.status_code != httpx.codes.NOT_FOUND:
            raise RabbitError(f"closing a connection: {answer.status_code} {answer.text}")
        return not answer.is_server_error

    def _alarmed(self) -> bool:
        return self._api.get("/health/checks/alarms").status_code == httpx.codes.SERVICE_UNAVAILABLE

    def _running(self) -> subprocess.Popen[bytes]:
        if self._node is None:
            raise RabbitError("the private RabbitMQ is not running")
        return self._node

    def _spawn(self, command: list[str]) -> subprocess.Popen[bytes]:
        with (self.folder / "out.log").open("ab") as log:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env=self._environment,
                start_new_session=True,
            )

    def _ready(self) -> bool:
        if self._running().poll() is not None:
            tail = (self.folder / "out.log").read_text(errors="replace").splitlines()[-25:]
            self._node = None
            raise RabbitError("\n".join(["RabbitMQ does not start", *tail]))
        with suppress(httpx.HTTPError):
            return _listens(self.port) and self._api.get("/overview").is_success
        return False

    def _wait(self, what: str, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not condition():
            if time.monotonic() > deadline:
                raise RabbitError(f"{what} is not ready after {START_SECONDS:.0f} s")
            time.sleep(0.05)


def _path(name: str) -> str:
    return quote(name, safe="")


def _program(name: str) -> str:
    """Find a program; Debian's rabbitmq-server on the PATH is for its service only, the real one is beside its code."""
    places = [
        *Path("/usr/lib/rabbitmq/lib").glob(f"rabbitmq_server-*/sbin/{name}"),
        *Path("/usr/lib/erlang").glob(f"erts-*/bin/{name}"),
    ]
    found = str(places[-1]) if places else shutil.which(name)
    if found is None:
        raise RabbitError(f"no {name} here: run tests/support/install.sh as root, or install RabbitMQ yourself")
    return found


def free_ports(count: int) -> list[int]:
    """Find ports that nobody listens on or will, below those that the system lends to outgoing connections."""
    found: list[int] = []
    while len(found) < count:
        port = secrets.randbelow(_TRIED_TO - _TRIED_FROM) + _TRIED_FROM
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            if port not in _given:
                fcntl.lockf(_RESERVED, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
                _given.add(port)
                found.append(port)
    return found


def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False
