"""nameko's timer, for what a service does by itself from time to time."""

import threading
from collections.abc import Callable
from functools import wraps
from typing import Any

from nameko.timer import timer

from services.chassis import logs
from services.chassis.errors import Unavailable

log = logs.get(__name__)


def every(seconds: float, *, apart: bool = False) -> Callable[[Callable[[Any], None]], Callable[[Any], None]]:
    """Decorate `method(self)`: called again `seconds` after it began, or when it has ended if that takes longer.

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

        entrypoint: Callable[[Any], Callable[[Any], None]] = timer(interval=seconds, eager=apart)
        return entrypoint(begin if apart else safely)

    return decorate
