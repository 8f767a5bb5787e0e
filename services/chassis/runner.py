"""Runs services in this process until told to stop; embeds PostgreSQL and the broker where none is given."""

import gc
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from threading import Event as Signal

import eventlet
from kombu.transport.memory import Channel
from nameko.containers import ServiceContainer

from services.chassis import keyring, logs, oidc, outbox
from services.chassis.database import Database
from services.chassis.errors import Unavailable
from services.chassis.migrate import migrate
from services.chassis.postgres import EmbeddedPostgres
from services.chassis.relay import INSIDE
from services.chassis.settings import Settings
from services.chassis.tokens import Tokens
from services.contracts.topology import SERVICES

_WORKERS = 100
_QUIET_SECONDS = 5.0
_DATABASE_SECONDS = 30.0
_CLEAN_STOP = "clean-stop"

log = logs.get(__name__)


class ServiceDied(Exception):
    """A service ended by itself; the log says why."""


class CannotRun(Exception):
    """What was asked cannot be started; says why."""


@contextmanager
def databases(settings: Settings, services: tuple[str, ...] = SERVICES) -> Iterator[dict[str, str]]:
    """URLs of the services' databases; the embedded server is started for those that have none.

    A server that another `relais` process already runs in the same folder is used, and left running.
    """
    urls = {service: settings.database_url(service) for service in services}
    missing = [service for service, url in urls.items() if url is None]
    with ExitStack() as stack:
        if missing:
            postgres = EmbeddedPostgres(settings.state / "postgresql")
            if not postgres.running_elsewhere():
                postgres.start()
                stack.callback(postgres.stop)
            for service in missing:
                postgres.ensure(f"relais_{service}", f"relais_{service}")
                urls[service] = postgres.url(f"relais_{service}", f"relais_{service}")
        yield {service: url for service, url in urls.items() if url}


def run(
    settings: Settings, classes: dict[str, type], tell: Callable[[str], None], ready: Callable[[], None] | None = None
) -> None:
    """Serve `classes` until SIGTERM or SIGINT; `ready` runs once all answer.

    Raises CannotRun, VaultError, ServiceDied.
    """
    _check(settings, tuple(classes))
    stop, died = Signal(), list[str]()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with databases(settings, tuple(classes)) as urls:
        if not all(_await(service, url, stop) for service, url in urls.items()):
            return
        _check_master_keys(settings, urls)
        for service, url in urls.items():
            _prepare(service, url, settings)
        containers = [_container(classes[service], settings, urls[service]) for service in classes]
        for container in containers:
            container.start()
            eventlet.spawn(_watch, container, stop, died)
        _spare_the_collector()
        for service in classes:
            tell(f"{service:<12} http://{settings.address(service)}")
        if ready:
            eventlet.spawn(_guard, ready, stop, died)
        while not stop.wait(3600):
            pass
        _stop(containers, settings, urls)
    if died:
        raise ServiceDied(", ".join(died))


def _spare_the_collector() -> None:
    """Let Python's garbage collector look at what is new only, and less often.

    A batch makes some fifty thousand objects that reference counting frees; by default the collector would look
    through all modules' objects again and again meanwhile: reading a batch of events takes twice as long then,
    measured.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(200_000, 20, 10)


def _check(settings: Settings, services: tuple[str, ...]) -> None:
    """Refuse what could not work, before anything is started. Raises CannotRun, TokenError."""
    if settings.in_memory and set(services) != set(SERVICES):
        raise CannotRun("RELAIS_AMQP_URL is not set: the in-memory broker only joins services of one process.")
    missing = [service for service in services if settings.database_url(service) is None]
    # A forgotten or misspelt variable must not send visits to an embedded database that nobody looks at.
    if missing and not (settings.in_memory and set(missing) == set(SERVICES)):
        names = ", ".join(f"RELAIS_DATABASE_URL_{service.upper()}" for service in missing)
        raise CannotRun(f"{names} not set: the embedded PostgreSQL is for when no broker and no database is given.")
    Tokens(settings).read_keys()
    if settings.oidc_client_secret_file:
        try:
            oidc.read_secret(settings)
        except (OSError, ValueError) as error:
            raise CannotRun(f"RELAIS_OIDC_CLIENT_SECRET_FILE: cannot read it: {type(error).__name__}") from None
    for service in services:
        _check_free(service, settings.address(service))


def _check_free(service: str, address: str) -> None:
    host, _, port = address.rpartition(":")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, int(port)))
        except OSError as error:
            variable = f"RELAIS_{service.upper()}_HTTP"
            raise CannotRun(f"{address} is not free: {error.strerror}. Choose another with {variable}.") from None


def _check_master_keys(settings: Settings, urls: dict[str, str]) -> None:
    """Before anything is written anywhere. Raises VaultError."""
    with ExitStack() as stack:
        opened = {}
        for service in urls.keys() & set(keyring.KEEPERS):
            opened[service] = Database(urls[service], service)
            stack.callback(opened[service].close)
        keyring.check(settings, opened)


def _prepare(service: str, url: str, settings: Settings) -> None:
    """Bring the tables up to date; with the in-memory broker, publish again what a crash may have lost."""
    database = Database(url, service)
    migrate(database, service)
    if settings.in_memory:
        with database.begin() as connection:
            outbox.move(connection, INSIDE, outbox.position_of(connection, _CLEAN_STOP))
    database.close()


def _await(service: str, url: str, stop: Signal) -> bool:
    """Wait for a database that is still starting, as after a power cut; False when told to stop meanwhile.

    Raises Unavailable when it does not come.
    """
    database = Database(url, service)
    deadline = time.monotonic() + _DATABASE_SECONDS
    while not stop.is_set():
        try:
            database.ping()
        except Unavailable as error:
            if time.monotonic() > deadline:
                raise
            log.warning("waiting for the database", service=service, reason=str(error))
            stop.wait(2)
        else:
            database.close()
            return True
    return False


def _container(service: type, settings: Settings, url: str) -> ServiceContainer:
    name: str = service.name  # type: ignore[attr-defined]
    config = {
        "settings": settings,
        "database_url": url,
        "WEB_SERVER_ADDRESS": settings.address(name),
        "max_workers": _WORKERS,
    }
    return ServiceContainer(service, config)


def _watch(container: ServiceContainer, stop: Signal, died: list[str]) -> None:
    """A container that dies takes the process with it: whoever supervises us starts a clean one."""
    try:
        container.wait()
    except Exception as error:  # noqa: BLE001 - whatever killed it
        log.error("service died", service=container.service_name, reason=logs.reason_of(error))  # noqa: TRY400
        died.append(container.service_name)
    stop.set()


def _guard(ready: Callable[[], None], stop: Signal, died: list[str]) -> None:
    """A bug in what follows the start ends the process rather than leaving it half started."""
    try:
        ready()
    except Exception as error:  # noqa: BLE001 - whatever it was
        log.error("start failed", reason=logs.reason_of(error))  # noqa: TRY400 - the reason says what may be said
        died.append("start")
        stop.set()


def _stop(containers: list[ServiceContainer], settings: Settings, urls: dict[str, str]) -> None:
    """Stop along the flow, so that each service still handles what the one before it has published."""
    clean = settings.in_memory
    for container in containers:
        clean = clean and _quiet(container.service_name)
        container.stop()
    # What could not be handled any more went back to its queue.
    if not clean or any(queue.qsize() for queue in Channel.queues.values()):
        return
    for service, url in urls.items():
        database = Database(url, service)
        with database.begin() as connection:
            if not outbox.backlog(connection, INSIDE, outside=False)[0]:
                outbox.move(connection, _CLEAN_STOP, outbox.position_of(connection, INSIDE))
        database.close()


def _quiet(service: str) -> bool:
    """Wait until the in-memory queues of a service are empty."""
    deadline = time.monotonic() + _QUIET_SECONDS
    while time.monotonic() < deadline:
        if not any(queue.qsize() for name, queue in Channel.queues.items() if name.startswith(f"{service}.")):
            return True
        time.sleep(0.02)
    return False
