"""A service's method, run in a nameko worker and waited for."""

from collections.abc import Mapping, Sequence
from typing import Any

from eventlet.event import Event as Result


def call(entrypoint: Any, arguments: Sequence[object] = (), values: Mapping[str, object] | None = None) -> Any:  # noqa: ANN401 - nameko is untyped, and the method returns whatever it returns
    """What an entrypoint's method returns. Raises what it raised.

    Only the caller learns of it: its text may quote data.
    """
    result = Result()

    def done(_context: object, value: object, raised: Any) -> tuple[object, Any]:  # noqa: ANN401 - nameko's
        result.send(value, raised)
        return value, None

    entrypoint.container.spawn_worker(entrypoint, arguments, values or {}, handle_result=done)
    try:
        return result.wait()
    finally:
        # An error refers to the frame that waited, and the result to the error: together they would be left to the
        # collector, with whatever the error holds, such as 60 kB of a connection that failed.
        if result.ready():
            result.reset()
