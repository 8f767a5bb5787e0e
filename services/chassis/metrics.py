"""The names that ops teams rely on. Labels never identify a person."""

import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 3600)

_SPARING = 50

Reader = Callable[[], Iterable[Metric]]


class _Reading:
    """What a reader found, kept for fifty times as long as it took.

    Counting some referrals takes a millisecond, counting millions a second: scrapes may take 2 % of the database's
    time, no more.
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._found: list[Metric] = []
        self._until = 0.0

    def now(self) -> list[Metric]:
        started = time.monotonic()
        if started >= self._until:
            self._found = list(self._reader())
            ended = time.monotonic()
            self._until = ended + _SPARING * (ended - started)
        return self._found


class _Readings(Collector):
    """Gauges read from the database when asked for; one that cannot be read is left out rather than stale."""

    def __init__(self) -> None:
        self.readings: list[_Reading] = []

    def describe(self) -> Iterable[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        for reading in self.readings:
            try:
                yield from reading.now()
            except Exception:  # noqa: BLE001, S112 - a scrape must survive a database that is away
                continue


class _Lag(Collector):
    """A histogram that is told of many events at once: prometheus-client's own takes a lock for each."""

    def __init__(self) -> None:
        self._counts = [0] * (len(_BUCKETS) + 1)
        self._sum = 0.0

    def observe(self, seconds: Iterable[float]) -> None:
        """Count how long after its time each event was handled."""
        for each in seconds:
            self._counts[bisect_left(_BUCKETS, each)] += 1
            self._sum += each

    def collect(self) -> Iterator[Metric]:
        bounds = [*map(floatToGoString, _BUCKETS), "+Inf"]
        buckets = list(zip(bounds, accumulate(self._counts), strict=True))
        yield HistogramMetricFamily("relais_event_lag_seconds", "Event time to handled.", buckets, self._sum)


class Metrics:
    """One service's metrics, in a registry of its own since four services may share a process."""

    def __init__(self, service: str) -> None:
        self.service = service
        self.registry = CollectorRegistry()
        self._readings = _Readings()
        self.registry.register(self._readings)
        self._counters: dict[str, Counter] = {}
        self.published = self.counter("relais_events_published", "Events published.", "service", "type")
        self.handled = self.counter("relais_events_handled", "Events handled.", "service", "type", "outcome")
        self.lag = _Lag()
        self.registry.register(self.lag)
        self.requests = self.counter("relais_http_requests", "HTTP requests.", "service", "route", "status")
        self.request_seconds = Histogram(
            "relais_http_request_seconds", "HTTP request duration.", registry=self.registry, buckets=_BUCKETS
        )

    def counter(self, name: str, help_: str, *labels: str) -> Counter:
        """A counter of this service; `_total` is added to the name."""
        return Counter(name, help_, labels, registry=self.registry)

    def count(self, name: str, help_: str, number: int = 1, **labels: str) -> None:
        """Count `number` more of what a service counts for itself."""
        if name not in self._counters:
            self._counters[name] = self.counter(name, help_, *labels)
        self._counters[name].labels(**labels).inc(number)

    def read(self, reader: Reader) -> None:
        """Ask `reader` for metrics at a scrape, more rarely the longer it takes."""
        self._readings.readings.append(_Reading(reader))

    def text(self) -> bytes:
        """The exposition."""
        return generate_latest(self.registry)


def gauge(name: str, help_: str, labels: tuple[str, ...], rows: Iterable[tuple[tuple[str, ...], float]]) -> Metric:
    """A gauge out of (label values, value) rows."""
    family = GaugeMetricFamily(name, help_, labels=labels)
    for values, value in rows:
        family.add_metric(list(values), value)
    return family
