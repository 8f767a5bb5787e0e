"""Import this before anything else in a process that serves: it makes the standard library cooperative.

nameko runs on eventlet's green threads. psycopg's own wait functions either block all of them (4.1 s against 0.6 s for
eight parallel queries) or go through eventlet's hub for each few kilobytes of an answer, so it is given one of ours.
"""

import select
import subprocess
import time
import warnings
from collections.abc import Generator
from typing import Any

# nameko is given, and eventlet with it: its advice to migrate is not for whoever runs Relais.
warnings.filterwarnings("ignore", message="\\s*Eventlet is deprecated")

import eventlet  # noqa: E402
from eventlet import debug, patcher  # noqa: E402
from eventlet.green import subprocess as green_subprocess  # noqa: E402
from eventlet.hubs import trampoline  # noqa: E402

eventlet.monkey_patch()

# A green thread that dies would print a traceback, whose last line may quote what a person told: ours is logged.
debug.hub_exceptions(state=False)

# eventlet's Popen stands on a second copy of the module, whose own error nobody who imports `subprocess` can catch.
green_subprocess.subprocess_orig.TimeoutExpired = subprocess.TimeoutExpired

import psycopg.waiting  # noqa: E402 - what it waits with is green from here on

_poll = patcher.original("select").poll
_READ, _WRITE = psycopg.waiting.WAIT_R, psycopg.waiting.WAIT_W


def wait(generator: Generator[int, int, Any], fileno: int, interval: float = 0.1, timeout: float | None = None) -> Any:  # noqa: ANN401 - whatever psycopg's generator returns
    """Drive one of psycopg's generators: on at once while the socket is ready, else after the other green threads.

    Raises psycopg's own error after `timeout` seconds.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    try:
        wanted = next(generator)
        while True:
            ready = _ready_now(fileno, wanted) or _ready_later(fileno, wanted, None if deadline is None else interval)
            if not ready and deadline is not None and time.monotonic() > deadline:
                raise psycopg.errors._WaitTimeout  # noqa: SLF001 - what its callers expect
            wanted = generator.send(ready) or wanted
    except StopIteration as done:
        return done.value


def _ready_now(fileno: int, wanted: int) -> int:
    poller = _poll()
    poller.register(fileno, (select.POLLIN if wanted & _READ else 0) | (select.POLLOUT if wanted & _WRITE else 0))
    found = poller.poll(0)
    if not found:
        return 0
    flags = found[0][1]
    if flags & ~(select.POLLIN | select.POLLOUT):
        return wanted  # closed at the other end: psycopg finds out
    return (_READ if flags & select.POLLIN else 0) | (_WRITE if flags & select.POLLOUT else 0)


def _ready_later(fileno: int, wanted: int, seconds: float | None) -> int:
    if seconds is None and wanted in {_READ, _WRITE}:
        # Without a timer, half of what `select` costs.
        trampoline(fileno, read=wanted == _READ, write=wanted == _WRITE)
        return wanted
    files = [fileno]
    readable, writable, _ = select.select(
        files if wanted & _READ else [], files if wanted & _WRITE else [], [], seconds
    )
    return (_READ if readable else 0) | (_WRITE if writable else 0)


psycopg.waiting.wait = wait  # type: ignore[assignment]
