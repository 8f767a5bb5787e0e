"""What every consumer of a queue does, on kombu: takes what has arrived, has it handled, acknowledges after that.

nameko's own handler loses work (it acknowledges what raised). While the database is away this one keeps what it took
and waits. It reconnects by itself.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import kombu
from eventlet import Timeout
from nameko.extensions import Entrypoint

from services.chassis import broker, logs, working
from services.chassis.errors import Unavailable
from services.chassis.provider import STOP_SECONDS, app_of

POLL_SECONDS = 1.0
# Of up to 256 KiB each: what a consumer has at hand while it handles, at most some 25 MB.
PREFETCH = 100
# A message that came back so often, each time with the end of the process, is taken out of the way.
DELIVERIES = 20

R = TypeVar("R")
log = logs.get(__name__)
AWAY: tuple[type[Exception], ...] = (*broker.BROKER_ERRORS, broker.Garbled, broker.NotConfirmed, Unavailable)


class Consumer(Entrypoint):  # type: ignore[misc]
    """Consumes one queue; what is done with its messages is a subclass's business."""

    def setup(self) -> None:
        """Called by nameko before any start."""
        self._stopping = self._paused = False
        self._threads: list[Any] = []

    def open(self, url: str, queue: kombu.Queue, *runs: Callable[[], None]) -> None:
        """Begin to consume the queue, and whatever else runs beside it until `_stopping`."""
        self.app = app_of(self.container)
        self.url, self.queue = url, queue
        self._threads = [
            self.container.spawn_managed_thread(run, identifier=f"{queue.name} {run.__name__}")
            for run in (self.consume, *runs)
        ]

    def stop(self) -> None:
        """Finish and acknowledge the batch at hand, then end; a frozen broker is not waited for.

        What is not acknowledged comes again, and whoever handles it knows whether it was handled.
        """
        self._stopping = True
        with Timeout(None if not self._threads or self.app.settings.in_memory else STOP_SECONDS, exception=False):
            for thread in self._threads:
                thread.wait()

    def declare(self, connection: kombu.Connection) -> None:
        """Called for each connection before anything else is done on it."""
        raise NotImplementedError

    def handle_first(self, connection: kombu.Connection, arrived: Sequence[kombu.Message]) -> int:
        """Handle the first messages that make a batch together; how many, to be acknowledged. Raises one of AWAY."""
        raise NotImplementedError

    def handle_returned(self, connection: kombu.Connection, message: kombu.Message, deliveries: int) -> None:
        """Handle one message that may have ended the process, `deliveries` times already. Raises one of AWAY."""
        raise NotImplementedError

    def consume(self) -> None:
        """Consume until stopped, whatever happens to broker and database."""
        while not self._stopping:
            try:
                self.app.database.ping()
                with broker.connect(self.url, self.queue.name) as connection:
                    self.declare(connection)
                    self._tell_resumed()
                    if not self.app.settings.in_memory:
                        self._consume_returned(connection)
                    self._consume(connection)
            except AWAY as error:
                self._tell_paused(error)
                self._pause()

    def _consume_returned(self, connection: kombu.Connection) -> None:
        """First, one at a time, what was delivered before: if one of them ends the process, it alone is to blame.

        The broker counts deliveries: what is at hand together, in this consumer or another, is counted together.
        """
        channel = connection.channel()
        queue = self.queue.bind(channel)
        returned = True
        while returned and not self._stopping:
            while not self.app.one_at_a_time.acquire(timeout=POLL_SECONDS):
                broker.keep_alive(connection)
            try:
                message = broker.take(queue)
                returned = message is not None and message.delivery_info["redelivered"]
                if message is not None:
                    # Of a first delivery the header would be its writer's.
                    told = (message.headers or {}).get("x-delivery-count") if returned else None
                    self.handle_returned(connection, message, told if isinstance(told, int) else 0)
                    self._acknowledge(channel, [message])
            finally:
                self.app.one_at_a_time.release()

    def _consume(self, connection: kombu.Connection) -> None:
        arrived: list[kombu.Message] = []
        channel = connection.channel()
        consumer = kombu.Consumer(
            channel, [self.queue], on_message=arrived.append, prefetch_count=PREFETCH, auto_declare=False
        )
        with consumer:
            while not self._stopping:
                connection.heartbeat_check()
                try:
                    broker.drain(connection, POLL_SECONDS)
                    while len(arrived) < PREFETCH:
                        broker.drain(connection, 0)
                except TimeoutError:
                    pass
                # The broker in memory would forget what is left behind.
                while arrived and (not self._stopping or self.app.settings.in_memory):
                    self._take(connection, channel, arrived)

    def _take(self, connection: kombu.Connection, channel: Any, arrived: list[kombu.Message]) -> None:  # noqa: ANN401 - kombu is untyped
        try:
            handled = self.handle_first(connection, arrived)
        except BaseException:
            self._give_back(arrived)
            raise
        self._acknowledge(channel, arrived[:handled])
        del arrived[:handled]

    def _patiently(self, connection: kombu.Connection, do: Callable[[], R]) -> R:
        """Do it, and as long as the database is away again; what was delivered is kept, so that nobody counts it twice.

        Raises Unavailable when told to stop meanwhile, and one of BROKER_ERRORS.
        """
        while True:
            try:
                done = do()
            except Unavailable as error:
                self._tell_paused(error)
                if self._stopping:
                    raise
                self._pause()
                broker.keep_alive(connection)
            else:
                self._tell_resumed()
                return done

    def _acknowledge(self, channel: Any, batch: Sequence[kombu.Message]) -> None:  # noqa: ANN401 - kombu is untyped
        if self.app.settings.in_memory:
            for message in batch:
                message.ack()
        else:
            channel.basic_ack(batch[-1].delivery_tag, multiple=True)

    def _give_back(self, messages: Sequence[kombu.Message]) -> None:
        """A real broker sends again what was not acknowledged; the one in memory would forget it."""
        if self.app.settings.in_memory:
            for message in messages:
                message.requeue()

    def _call(self, *arguments: object) -> Any:  # noqa: ANN401 - whatever the method returns
        """Run the service's method. Raises what it raised."""
        return working.call(self, arguments)

    def _pause(self) -> None:
        for _ in range(10):
            if not self._stopping:
                time.sleep(POLL_SECONDS / 10)

    def _tell_paused(self, error: Exception) -> None:
        self._paused = True
        log.warning("consumer paused", service=self.app.service, queue=self.queue.name, reason=type(error).__name__)

    def _tell_resumed(self) -> None:
        if self._paused:
            log.info("consumer resumed", service=self.app.service, queue=self.queue.name)
        self._paused = False
