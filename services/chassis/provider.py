"""nameko's side of the App: built when the container is set up, with the relays that publish its outbox."""

from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial
from typing import Any, Generic, TypeVar

from eventlet import Timeout
from nameko.extensions import DependencyProvider
from prometheus_client.metrics_core import Metric

from services.chassis import inbox, webhook_rows
from services.chassis.app import App
from services.chassis.database import Database
from services.chassis.forgetting import Forget, Sweeper
from services.chassis.keyring import open_vault
from services.chassis.metrics import gauge
from services.chassis.pruning import Pruner
from services.chassis.relay import OUTSIDE, Relay
from services.chassis.settings import Settings
from services.chassis.webhooks import Webhooks

T = TypeVar("T")
# With as much for the consumers, less than the ten seconds that Docker gives a container.
STOP_SECONDS = 3.0


class AppProvider(DependencyProvider):  # type: ignore[misc]
    """Gives a service its App.

    `partners` names the outside queues this service publishes to; `webhooks` gives the addresses of who is told by
    webhook (and needs `vault`); `readings` yields its own gauges at each scrape; `vault`: it keeps free text, and so
    needs the master key. `prepare` runs once, before anything is handled. `forget`: what it does with its own rows of
    an erased case.
    """

    def __init__(  # noqa: PLR0913 - each service names what it has
        self,
        partners: Callable[[Settings], list[str]] | None = None,
        readings: Callable[[App], Iterator[Metric]] | None = None,
        *,
        webhooks: Callable[[Settings], Mapping[str, str]] | None = None,
        prepare: Callable[[App], object] | None = None,
        forget: Forget | None = None,
        vault: bool = False,
    ) -> None:
        self._webhooks = webhooks
        self._partners = partners
        self._vault = vault
        self._prepare = prepare
        self._forget = forget
        self._gauges = readings

    def bind(self, container: Any, attr_name: str) -> Any:  # noqa: ANN401 - nameko's
        """nameko clones each extension; the App is made with the clone so that every other extension finds it."""
        instance = super().bind(container, attr_name)
        settings: Settings = container.config["settings"]
        url = container.config["database_url"]
        database = Database(url, container.service_name)
        vault = open_vault(settings, database, container.service_name) if self._vault else None
        instance.app = App(container.service_name, settings, database, vault)
        instance.relays = []
        instance.lanes = []
        if self._webhooks:
            queued = self._partners(settings) if self._partners and settings.partners_url else ()
            instance.lanes = _subscribed(instance.app, self._webhooks(settings), queued)
        if self._prepare:
            self._prepare(instance.app)
        return instance

    def start(self) -> None:
        """Start relaying."""
        settings = self.app.settings
        self.relays.append(Relay(self.app, settings.broker_url))
        if self._partners and settings.partners_url:
            self.relays.append(Relay(self.app, settings.partners_url, outside=True, queues=self._partners(settings)))
        self.app.metrics.read(self._blocked)
        self.app.metrics.read(self._readings)
        if self._vault:
            self.app.metrics.read(self._master_keys)
        if self._gauges:
            self.app.metrics.read(partial(self._gauges, self.app))
        for relay in self.relays:
            self.container.spawn_managed_thread(relay.run, identifier="relay")
        for webhooks in self.lanes:
            self.app.metrics.read(webhooks.readings)
            self.container.spawn_managed_thread(webhooks.run, identifier="webhooks")
        self.pruner = Pruner(self.app, relayed_outside=len(self.relays) > 1, webhooks=bool(self.lanes))
        self.container.spawn_managed_thread(self.pruner.run, identifier="pruner")
        self.sweeper = Sweeper(self.app, self._forget or (lambda *_: ()))
        self.app.metrics.read(self.sweeper.readings)
        self.container.spawn_managed_thread(self.sweeper.run, identifier="sweeper")

    def stop(self) -> None:
        """Called when no worker runs any more: publish what they left, close."""
        self.pruner.finish()
        self.sweeper.finish()
        for lane in (*self.relays, *self.lanes):
            lane.finish()
        with Timeout(STOP_SECONDS, exception=False):
            for lane in (*self.relays, *self.lanes):
                lane.stopped.wait()
        self.app.database.close()

    def get_dependency(self, _worker_ctx: object) -> App:
        """What a service's methods find in `self.app`."""
        app: App = self.app
        return app

    def _blocked(self) -> Iterator[Metric]:
        help_ = "1 while the broker takes no events, for want of disk or memory."
        yield gauge("relais_broker_blocked", help_, ("service",), [((self.app.service,), bool(self.app.blocked))])

    def _master_keys(self) -> Iterator[Metric]:
        help_ = "Master keys this process knows, by fingerprint: 1 the one that wraps, 0 those that only open."
        first, *others = self.app.vault.fingerprints
        values = [((self.app.service, key), key == first) for key in (first, *others)]
        yield gauge("relais_master_key", help_, ("service", "key"), values)

    def _readings(self) -> Iterator[Metric]:
        with self.app.read() as connection:
            parked = inbox.count_parked(connection)
            backlogs = [relay.backlog(connection) for relay in self.relays]
        for name, help_, value in (
            ("relais_outbox_pending", "Events not yet published.", sum(count for count, _ in backlogs)),
            ("relais_outbox_oldest_seconds", "Age of the oldest of them.", max(age for _, age in backlogs)),
            ("relais_parked_events", "Events given up.", parked),
        ):
            yield gauge(name, help_, ("service",), [((self.app.service,), value)])


def _subscribed(app: App, urls: Mapping[str, str], queued: Collection[str]) -> list[Webhooks]:
    """The lane of those who are told by webhook, before anything is handled; none where nobody is."""
    with app.read() as connection:
        webhook_rows.subscribe(connection, urls.keys(), OUTSIDE, app.clock.now(), queued)
    return [Webhooks(app, urls)] if urls else []


class Provided(DependencyProvider, Generic[T]):  # type: ignore[misc]
    """Gives a service something made once from the settings, such as its network."""

    def __init__(self, make: Callable[[Settings], T]) -> None:
        self._make = make

    def setup(self) -> None:
        """Make it."""
        self.value = self._make(self.container.config["settings"])

    def get_dependency(self, _worker_ctx: object) -> T:
        """What a service's methods find."""
        return self.value


def app_of(container: Any) -> App:  # noqa: ANN401 - nameko is untyped
    """The App of a container."""
    app: App = next(extension.app for extension in container.dependencies if isinstance(extension, AppProvider))
    return app
