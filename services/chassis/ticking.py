"""nameko's entrypoint for what a service does by itself from time to time.

Not nameko's own timer, which counts by the wall clock: set back by an hour, it would do nothing for an hour.
"""

import threading
from collections.abc import Callable
from functools import wraps
from typing import Any

from eventlet import Timeout
from nameko.extensions import Entrypoint

from services.chassis import logs, working
from services.chassis.errors import Unavailable
from services.chassis.provider import STOP_SECONDS

log = logs.get(__name__)


class Ticking(Entrypoint):  # type: ignore[misc]
    """Calls its method again and again, with a pause after each time."""

    def __init__(self, seconds: float, *, eager: bool, **options: Any) -> None:  # noqa: ANN401 - nameko's
        self._seconds = seconds
        self._eager = eager
        super().__init__(**options)

    def start(self) -> None:
        """Called by nameko once everything is set up."""
        self._stopping = threading.Event()
        self._thread = self.container.spawn_managed_thread(self._run, identifier=f"{self.method_name} timer")

    def stop(self) -> None:
        """Let it end what it is at."""
        self._stopping.set()
        with Timeout(STOP_SECONDS, exception=False):
            self._thread.wait()

    def _run(self) -> None:
        wait = 0.0 if self._eager else self._seconds
        while not self._stopping.wait(wait):
            wait = self._seconds
            working.call(self)


def every(seconds: float, *, apart: bool = False) -> Callable[[Callable[[Any], None]], Callable[[Any], None]]:
    """Decorate `method(self)`: called with a pause of `seconds` before each time.

    A database that is away is waited for until the next time; a bug is logged, and no reason for the service to die.
    `apart`: at the start, too, and in a thread of its own that nobody waits for, so that the service may end meanwhile;
    it may still be at it when the next time has come.
    """

    def decorate(method: Callable[[Any], None]) -> Callable[[Any], None]:
        @wraps(method)
        def safely(self: Any) -> None:  # noqa: ANN401 - any service
            try:
                method(self)
            except Unavailable:
                log.warning("waiting for the database", service=self.name, timer=method.__name__)
            except Exception as error:  # noqa: BLE001 - the next time may go well
                log.error("timer failed", service=self.name, timer=method.__name__, reason=logs.reason_of(error))  # noqa: TRY400

        @wraps(method)
        def begin(self: Any) -> None:  # noqa: ANN401 - any service
            threading.Thread(target=safely, args=(self,), name=method.__name__, daemon=True).start()

        entrypoint: Callable[[Any], Callable[[Any], None]] = Ticking.decorator(seconds, eager=apart)
        return entrypoint(begin if apart else safely)

    return decorate
