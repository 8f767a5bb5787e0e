"""One signed POST, as the Standard Webhooks specification has it (standardwebhooks.com), and what came of it.

Nothing of the answer but its status and `Retry-After` is looked at. Reasons name no address: it may hold a secret.
"""

import base64
import hmac
import ssl
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cache
from typing import NamedTuple

import httpx
from eventlet import Timeout

from services.contracts.envelope import CONTENT_TYPE

# For everything from the look-up of the name to the end of the answer.
SECONDS = 15.0
_READ_BYTES = 4096
_GONE, _TOO_MANY, _UNAVAILABLE = 410, 429, 503
_LONGEST_WAIT = timedelta(hours=24)
# eventlet calls its errors by their numbers' names.
_WORDS = {"ECONNREFUSED": "connection refused", "EHOSTUNREACH": "no route to host", "ENETUNREACH": "no route to host"}


class Outcome(NamedTuple):
    """What came of a POST. `wait`: how long the receiver asks to be left alone; `final`: it never wants this one.

    `reached`: the receiver may have it, whatever it answered.
    """

    delivered: bool
    reason: str = ""
    wait: timedelta | None = None
    final: bool = False
    reached: bool = True


_TOO_SLOW = Outcome(delivered=False, reason=f"no answer within {SECONDS:g} s")


def new_client() -> httpx.Client:
    """A client for one receiver: redirects are not followed; proxy and SSL_CERT_FILE are the environment's."""
    return httpx.Client(verify=_trusted(), timeout=SECONDS, follow_redirects=False)


def post(client: httpx.Client, url: str, keys: Sequence[bytes], id_: str, body: str) -> Outcome:
    """Send one event. Never raises for what the network or the receiver does."""
    data, timestamp = body.encode(), str(int(time.time()))
    headers = {
        "Content-Type": CONTENT_TYPE,
        "User-Agent": "Relais",
        "webhook-id": id_,
        "webhook-timestamp": timestamp,
        "webhook-signature": signature(keys, id_, timestamp, data),
    }
    judged: list[Outcome] = []
    limit = Timeout(SECONDS)
    try:
        with client.stream("POST", url, content=data, headers=headers) as answer:
            judged.append(_judge(answer))
            _read(answer)
    except Timeout as expired:
        if expired is not limit:
            raise
        judged.append(_TOO_SLOW)
    except httpx.TimeoutException as slow:
        judged.append(_TOO_SLOW._replace(reached=not isinstance(slow, httpx.ConnectTimeout)))
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        reached = not isinstance(error, (httpx.ConnectError, httpx.InvalidURL))
        judged.append(Outcome(delivered=False, reason=words_of(error), reached=reached))
    finally:
        limit.cancel()
    return judged[0]  # the status was the answer, however its body ended


def signature(keys: Sequence[bytes], id_: str, timestamp: str, body: bytes) -> str:
    """The header's value: one signature for each key."""
    content = f"{id_}.{timestamp}.".encode() + body
    return " ".join("v1," + base64.b64encode(hmac.digest(key, content, "sha256")).decode() for key in keys)


@cache
def _trusted() -> ssl.SSLContext:
    """Reading the authorities takes 20 ms: only where something is sent, once."""
    return httpx.create_ssl_context()


def _judge(answer: httpx.Response) -> Outcome:
    status = answer.status_code
    if answer.is_success:
        return Outcome(delivered=True)
    wait = _wait(answer.headers.get("Retry-After", "")) if status in {_TOO_MANY, _UNAVAILABLE} else None
    reason = f"HTTP {status}" + (", redirects are not followed" if answer.is_redirect else "")
    return Outcome(delivered=False, reason=reason, wait=wait, final=status == _GONE)


def _read(answer: httpx.Response) -> None:
    """Read a short body, so that the connection can serve again; a longer one ends the connection."""
    got = 0
    for part in answer.iter_raw():
        got += len(part)
        if got > _READ_BYTES:
            break


def _wait(text: str) -> timedelta | None:
    """`Retry-After`: seconds or a date; at most 24 h."""
    try:
        asked = timedelta(seconds=int(text))
    except OverflowError:
        asked = _LONGEST_WAIT
    except ValueError:
        try:
            at = parsedate_to_datetime(text)
            asked = (at if at.tzinfo else at.replace(tzinfo=UTC)) - datetime.now(UTC)
        except (ValueError, OverflowError):
            return None
    return min(max(asked, timedelta(0)), _LONGEST_WAIT)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error:
        yield error
        error = error.__cause__ or error.__context__


def words_of(error: Exception) -> str:
    """Why nothing came back, in a few words that hold no address."""
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"TLS: certificate refused: {cause.verify_message}"
        if isinstance(cause, ssl.SSLError):
            return f"TLS: {(cause.reason or 'no handshake').replace('_', ' ').lower()}"
        if isinstance(cause, OSError) and cause.strerror:
            return f"cannot be reached: {_WORDS.get(cause.strerror, cause.strerror.lower())}"
    return type(error).__name__
