"""A site that writes its visits to the broker whatever happens, and knows which of them were answered."""

import json
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pika
from pika.exceptions import AMQPError

from services.chassis import outside
from tests.support.house import eventually


@dataclass
class Scribe:
    """Writes `bodies` in order, each until the broker has confirmed it; reads the replies, whatever they are."""

    url: str
    org: str
    bodies: Sequence[dict[str, Any]]
    pause: float = 0.0
    confirmed: int = 0
    answers: dict[str, Counter[int]] = field(default_factory=dict)
    references: dict[str, set[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._stopping = False
        self._crew = [
            threading.Thread(target=self._again_and_again, args=(run,), daemon=True)
            for run in (self._write, self._read)
        ]

    def start(self) -> None:
        """Begin to write and read."""
        for thread in self._crew:
            thread.start()

    def wait_for(self, number: int, within: float = 60.0) -> None:
        """Wait until so many visits were answered."""
        eventually(lambda: len(self.answers) >= number, within, every=0.005)

    def finish(self, within: float = 60.0) -> None:
        """Wait until every visit was answered, and stop."""
        try:
            self.wait_for(len(self.bodies), within)
        finally:
            self._stopping = True
            for thread in self._crew:
                thread.join(10)

    def _again_and_again(self, run: Any) -> None:  # noqa: ANN401 - one of the two below
        while not self._stopping:
            try:
                with pika.BlockingConnection(pika.URLParameters(self.url)) as connection:
                    run(connection.channel())
                    return
            except (AMQPError, OSError):
                time.sleep(0.1)

    def _write(self, channel: Any) -> None:  # noqa: ANN401 - pika is untyped
        channel.confirm_delivery()
        properties = pika.BasicProperties(
            content_type="application/json", delivery_mode=2, user_id=f"site.{self.org}", app_id="scribe"
        )
        while self.confirmed < len(self.bodies) and not self._stopping:
            body = json.dumps(self.bodies[self.confirmed]).encode()
            channel.basic_publish(outside.INGEST.exchange, "", body, properties)
            self.confirmed += 1
            time.sleep(self.pause)

    def _read(self, channel: Any) -> None:  # noqa: ANN401 - pika is untyped
        for method, _, body in channel.consume(outside.replies_queue(self.org), inactivity_timeout=0.2):
            if method is not None:
                reply = json.loads(body)
                self.answers.setdefault(reply["visit_id"], Counter())[reply["status"]] += 1
                self.references.setdefault(reply["visit_id"], set()).add(reply.get("reference"))
                channel.basic_ack(method.delivery_tag)
            elif self._stopping:
                return
