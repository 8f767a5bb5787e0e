"""Partners' queues read as they fill, by a client that is not ours: each message with the moment it came."""

import json
import queue
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import pika
from pika.adapters.blocking_connection import BlockingChannel


class Arrival(NamedTuple):
    """A message as it came; `at` is of time.perf_counter()."""

    queue: str
    at: float
    event: dict[str, Any]


class Arrivals:
    """Acknowledges and keeps what comes in these queues, in a thread of its own."""

    def __init__(self, url: str, queues: Sequence[str]) -> None:
        self._connection = pika.BlockingConnection(pika.URLParameters(url))
        self._channel = self._connection.channel()
        self._came: queue.SimpleQueue[Arrival] = queue.SimpleQueue()
        self._channel.basic_qos(prefetch_count=500)
        for name in queues:
            self._channel.basic_consume(name, self._note, consumer_tag=name)
        self._thread = threading.Thread(target=self._channel.start_consuming, daemon=True)

    def next(self, name: str, within: float = 30.0) -> Arrival:
        """The next one of a queue; those of others before it are passed over."""
        while True:
            arrival = self._came.get(timeout=within)
            if arrival.queue == name:
                return arrival

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; what was not acknowledged yet stays in its queue."""
        self._connection.add_callback_threadsafe(self._channel.stop_consuming)
        self._thread.join()
        self._connection.close()

    def _note(self, channel: BlockingChannel, method: Any, _properties: object, body: bytes) -> None:  # noqa: ANN401 - pika is untyped
        self._came.put(Arrival(method.consumer_tag, time.perf_counter(), json.loads(body)))
        channel.basic_ack(method.delivery_tag)


@contextmanager
def arrivals(url: str, *queues: str) -> Iterator[Arrivals]:
    """Read these queues for a while."""
    reading = Arrivals(url, queues)
    reading.start()
    yield reading
    reading.stop()
