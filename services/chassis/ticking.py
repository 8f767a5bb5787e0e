"""nameko's timer, for what a service does by itself from time to time."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from nameko.timer import timer

from services.chassis import logs
from services.chassis.errors import Unavailable

log = logs.get(__name__)


def every(seconds: float) -> Callable[[Callable[[Any], None]], Callable[[Any], None]]:
    """Decorate `method(self)`: called again `seconds` after it began, or when it has ended if that takes longer.

    A database that is away is waited for until the next time; a bug is logged, and no reason for the service to die.
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

        entrypoint: Callable[[Any], Callable[[Any], None]] = timer(interval=seconds)
        return entrypoint(safely)

    return decorate
