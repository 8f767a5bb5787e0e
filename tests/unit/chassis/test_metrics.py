"""Gauges that are read when asked for."""

import itertools
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest
from prometheus_client.metrics_core import Metric

from services.chassis.metrics import Metrics, gauge

Passes = Callable[[float], None]


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> Passes:
    """Return what lets seconds pass, as the metrics see it; else time stands still."""
    now = [0.0]

    def by(seconds: float) -> None:
        now[0] += seconds

    monkeypatch.setattr("services.chassis.metrics.time", SimpleNamespace(monotonic=lambda: now[0]))
    return by


def value(metrics: Metrics) -> str:
    """What the exposition says of the one gauge."""
    return next((line for line in metrics.text().decode().splitlines() if line.startswith("relais_number ")), "")


def numbered(passes: Passes, seconds: float) -> Metrics:
    """The one gauge tells how many times it was read, which takes so long."""
    metrics, numbers = Metrics("intake"), itertools.count(1)

    def read() -> Iterator[Metric]:
        passes(seconds)
        yield gauge("relais_number", "A number.", (), [((), next(numbers))])

    metrics.read(read)
    return metrics


def test_what_is_quickly_read_is_read_at_each_scrape(passes: Passes) -> None:
    """A second scrape a moment later tells what is new."""
    metrics = numbered(passes, 0.0005)
    assert value(metrics) == "relais_number 1.0"
    passes(0.05)
    assert value(metrics) == "relais_number 2.0"


def test_what_is_slowly_read_is_read_more_rarely(passes: Passes) -> None:
    """Fifty times as long as it took, the scrapes between tell the same."""
    metrics = numbered(passes, 0.02)
    for _ in range(3):
        assert value(metrics) == "relais_number 1.0"
        passes(0.33)
    assert value(metrics) == "relais_number 1.0"
    passes(0.02)
    assert value(metrics) == "relais_number 2.0"


def test_what_cannot_be_read_is_left_out() -> None:
    """And the rest of the exposition is there."""
    metrics = Metrics("intake")

    def away() -> Iterator[Metric]:
        raise OSError
        yield

    metrics.read(away)
    assert value(metrics) == ""
    assert b"relais_event_lag_seconds" in metrics.text()


def test_the_lag_of_many_events_is_told_at_once() -> None:
    """Buckets add up, as Prometheus wants them; a bound belongs to its own bucket."""
    metrics = Metrics("intake")
    metrics.lag.observe([0.004, 0.025, 0.03, 9999.0])
    told = dict(line.rsplit(" ", 1) for line in metrics.text().decode().splitlines() if "event_lag_seconds" in line)
    name = "relais_event_lag_seconds"
    bounds = ("0.005", "0.01", "0.025", "0.05", "3600.0", "+Inf")
    assert [float(told[f'{name}_bucket{{le="{bound}"}}']) for bound in bounds] == [1, 1, 2, 3, 3, 4]
    assert told[f"{name}_count"] == "4.0"
    assert float(told[f"{name}_sum"]) == pytest.approx(9999.059)
