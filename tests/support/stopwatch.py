"""What a piece of work costs on a machine that does other things as well."""

import time
from collections.abc import Callable


def best_of(times: int, work: Callable[[], object]) -> float:
    """Seconds of processor that the work takes when least is in its way."""
    seconds = []
    for _ in range(times):
        started = time.process_time()
        work()
        seconds.append(time.process_time() - started)
    return min(seconds)
