"""Servers for the tests: real ones, private, thrown away; there is no double for the broker or the database.

This process is not monkey-patched: services under test run as processes of their own. A test that needs nameko
inside its own process says so in its folder's conftest.
"""

import itertools
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest
from hypothesis import settings

from services.chassis.postgres import EmbeddedPostgres
from tests.support.broker import vhost_of
from tests.support.databases import OnDemand, all_of, server_of
from tests.support.house import House
from tests.support.rabbit import Rabbit, RabbitError

Builder = Callable[..., House]

# Hypothesis would fail what took more than 200 ms, which a busy machine takes for anything.
settings.register_profile("relais", deadline=None)
settings.load_profile("relais")


@pytest.fixture
def tell(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Return what tells a figure that a test measured, at the end of the run, also when the test passes."""

    def line(text: str) -> None:
        request.node.user_properties.append(("figure", text))

    return line


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell the figures, test by test."""
    reports = [report for each in terminalreporter.stats.values() for report in each]
    told = {
        report.nodeid: [str(text) for name, text in report.user_properties if name == "figure"]
        for report in reports
        if getattr(report, "when", None) == "teardown"
    }
    if any(told.values()):
        terminalreporter.section("figures")
    for test, figures in told.items():
        for figure in figures:
            terminalreporter.line(f"{test.partition('::')[0]}: {figure}")


@pytest.fixture
def state_folder() -> Iterator[Path]:
    """Lend a folder with a short path that others may enter: PostgreSQL drops root, and pytest's own is private."""
    folder = Path(tempfile.mkdtemp(prefix="relais-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """Start the one PostgreSQL of this test run; tests share it, each with databases of its own."""
    with server_of() as server:
        yield server


@pytest.fixture(scope="session")
def databases(postgres: EmbeddedPostgres) -> Callable[[], dict[str, str]]:
    """Return a factory: each call gives service -> URL of an empty database, made when asked for.

    Whoever goes through them, or asks how many there are, takes `all_of` them.
    """
    numbers = itertools.count(1)

    def create() -> dict[str, str]:
        number = next(numbers)

        def make(service: str) -> str:
            name = f"{service}_{number}"
            postgres.ensure(name, name)
            return postgres.url(name, name)

        return OnDemand(make)

    return create


@pytest.fixture(scope="session")
def rabbit() -> Iterator[Rabbit]:
    """Start the one private RabbitMQ node of this test run. Whoever kills or freezes it starts or thaws it again."""
    folder = Path(tempfile.mkdtemp(prefix="relais-test-"))
    node = Rabbit(folder)
    node.start()
    yield node
    node.close()
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def vhosts(rabbit: Rabbit) -> Callable[[], str]:
    """Return a factory: each call makes an empty vhost and gives its name."""
    numbers = itertools.count(1)

    def create() -> str:
        return rabbit.add_vhost(f"test-{next(numbers)}")

    return create


@pytest.fixture
def amqp_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """Give a broker: AMQP_URL when set, else a fresh vhost of the private node.

    The vhost in AMQP_URL must be a throwaway one: tests declare and purge in it, and their queues stay. Tests that
    kill, freeze or inspect the broker ask for `rabbit` and get the private node in any case.
    """
    given = os.environ.get("AMQP_URL")
    if given:
        yield given
        return
    rabbit: Rabbit = request.getfixturevalue("rabbit")
    create: Callable[[], str] = request.getfixturevalue("vhosts")
    vhost = create()
    yield rabbit.url(vhost)
    with suppress(RabbitError, httpx.HTTPError):
        rabbit.delete_vhost(vhost)


@contextmanager
def _built(rabbit: Rabbit, vhosts: Callable[[], str], databases: Callable[[], dict[str, str]]) -> Iterator[Builder]:
    made: list[tuple[House, Path]] = []

    def create(**environment: str) -> House:
        folder = Path(tempfile.mkdtemp(prefix="relais-test-"))
        house = House(folder, rabbit.url(vhosts()), all_of(databases()), **environment)
        made.append((house, folder))
        return house

    yield create
    for house, folder in made:
        house.close()
        shutil.rmtree(folder)
        # Each queue that stays costs the broker something for the rest of the run.
        for vhost in {vhost_of(url) for name, url in house.environment.items() if name.startswith("RELAIS_AMQP_URL")}:
            with suppress(RabbitError, httpx.HTTPError):
                rabbit.delete_vhost(vhost)


@pytest.fixture(scope="module")
def houses(rabbit: Rabbit, vhosts: Callable[[], str], databases: Callable[[], dict[str, str]]) -> Iterator[Builder]:
    """Return a factory: each call makes a house (not yet started) with a vhost and databases of its own.

    They end with the module's tests: four services that have nothing to do take a tenth of a processor all the same.
    """
    with _built(rabbit, vhosts, databases) as create:
        yield create


@pytest.fixture(scope="session")
def lasting_houses(
    rabbit: Rabbit, vhosts: Callable[[], str], databases: Callable[[], dict[str, str]]
) -> Iterator[Builder]:
    """Return a factory of houses that stand until the end of the test run."""
    with _built(rabbit, vhosts, databases) as create:
        yield create


@pytest.fixture(scope="session")
def house(lasting_houses: Builder, rabbit: Rabbit, vhosts: Callable[[], str]) -> House:
    """The running house that most tests share: leave it running, and expect others' visits in it.

    As in production, sites and partners have vhosts of their own.
    """
    shared = lasting_houses(RELAIS_AMQP_URL_INGEST=rabbit.url(vhosts()), RELAIS_AMQP_URL_PARTNERS=rabbit.url(vhosts()))
    shared.start()
    return shared
