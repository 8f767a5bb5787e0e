"""One service asks another over HTTP, on its reader's token: for a short time, and nobody else waits meanwhile.

Measured in one process beside a service that never answers, 20 calls at once: all end after their 2.0 s, and no other
green thread waits for longer than 35 ms (httpx, its connections kept); `urllib` opens a connection for each call.
"""

import json
from functools import cache
from threading import BoundedSemaphore
from typing import Any, NamedTuple

import httpx
from eventlet import Timeout

from services.chassis import logs
from services.chassis.settings import Settings

# From the look-up of the name to the end of the answer: a person waits for the page.
SECONDS = 2.0
# So that a service that never answers holds a third of our workers at most: beyond, nobody is asked.
_AT_ONCE = 30
# More than a long case's story takes.
_LONGEST = 8 * 1024 * 1024

log = logs.get(__name__)


class Fetched(NamedTuple):
    """What another service answered; `document` is None where it is no JSON object."""

    status: int
    document: dict[str, Any] | None
    retry_after: str | None = None


class Away(Exception):
    """The other service did not answer."""


class TooSlow(Away):
    """Nor has it said no."""


_free = BoundedSemaphore(_AT_ONCE)


@cache
def _client() -> httpx.Client:
    return httpx.Client(timeout=SECONDS, trust_env=False, verify=False)  # noqa: S501 - plain HTTP, among ourselves


def fetch(settings: Settings, service: str, path: str, token: str, traceparent: str) -> Fetched:
    """GET `path` of another of our services, on this token. Raises Away, TooSlow."""
    if not _free.acquire(blocking=False):
        log.warning("not asked", of=service, waiting=_AT_ONCE)
        raise TooSlow
    try:
        return _fetch(f"http://{settings.address(service)}{path}", token, traceparent)
    except Away as error:
        log.warning("no answer", of=service, reason=type(error).__name__)
        raise
    finally:
        _free.release()


def _fetch(url: str, token: str, traceparent: str) -> Fetched:
    headers = {"Authorization": f"Bearer {token}", "traceparent": traceparent, "Accept": "application/json"}
    limit = Timeout(SECONDS)
    try:
        with _client().stream("GET", url, headers=headers) as answer:
            return Fetched(answer.status_code, _read(answer), answer.headers.get("Retry-After"))
    except Timeout as expired:
        if expired is not limit:
            raise
        raise TooSlow from None
    except httpx.TimeoutException:
        raise TooSlow from None
    except (httpx.HTTPError, OSError):
        raise Away from None
    finally:
        limit.cancel()


def _read(answer: httpx.Response) -> dict[str, Any] | None:
    got = b""
    for part in answer.iter_bytes():
        got += part
        if len(got) > _LONGEST:
            return None
    try:
        document = json.loads(got)
    except ValueError:
        return None
    return document if isinstance(document, dict) else None
