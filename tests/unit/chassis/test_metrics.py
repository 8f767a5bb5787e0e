"""Gauges that are read when asked for."""

import itertools
import time
from collections.abc import Iterator

from prometheus_client.metrics_core import Metric

from services.chassis.metrics import Metrics, gauge


def value(metrics: Metrics) -> str:
    """What the exposition says of the one gauge."""
    return next((line for line in metrics.text().decode().splitlines() if line.startswith("relais_number ")), "")


def test_what_is_quickly_read_is_read_at_each_scrape() -> None:
    """A second scrape a moment later tells what is new."""
    metrics, numbers = Metrics("intake"), itertools.count(1)
    metrics.read(lambda: iter([gauge("relais_number", "A number.", (), [((), next(numbers))])]))
    assert value(metrics) == "relais_number 1.0"
    time.sleep(0.05)
    assert value(metrics) == "relais_number 2.0"


def test_what_is_slowly_read_is_read_more_rarely() -> None:
    """Fifty times as long as it took, the scrapes between tell the same."""
    metrics, numbers = Metrics("intake"), itertools.count(1)

    def slow() -> Iterator[Metric]:
        time.sleep(0.02)
        yield gauge("relais_number", "A number.", (), [((), next(numbers))])

    metrics.read(slow)
    assert [value(metrics) for _ in range(3)] == ["relais_number 1.0"] * 3
    time.sleep(1.2)
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
