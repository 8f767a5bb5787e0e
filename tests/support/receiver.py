"""A partner's receiver: an HTTP server on a real socket that answers as told, goes away, hangs, and comes back."""

import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

from tests.support.rabbit import free_ports


class Arrival(NamedTuple):
    """A request that came in: the header names in lower case, and when (monotonic)."""

    path: str
    headers: dict[str, str]
    body: bytes
    at: float

    @property
    def id(self) -> str:
        """The event's id."""
        return self.headers["webhook-id"]


class Answer(NamedTuple):
    """What the receiver says; `seconds`: how long it waits first; `drip`: then it sends its answer so slowly."""

    status: int = 204
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    seconds: float = 0.0
    drip: float = 0.0


class Receiver:
    """Up once `start` was called; `answer` may be replaced at any time."""

    def __init__(self, certificate: tuple[Path, Path] | None = None) -> None:
        (self.port,) = free_ports(1)
        self._certificate = certificate
        self._server: ThreadingHTTPServer | None = None
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self.arrivals: list[Arrival] = []
        self.answer: Callable[[Arrival], Answer] = lambda _: Answer()

    @property
    def url(self) -> str:
        """Where to post to."""
        return f"{'https' if self._certificate else 'http'}://127.0.0.1:{self.port}/in?key=s3cret"

    @property
    def ids(self) -> list[str]:
        """The ids of what arrived, in order."""
        return [arrival.id for arrival in self.arrivals]

    def start(self) -> None:
        """Listen."""
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                receiver._take(self)

            def log_message(self, *_: Any) -> None:  # noqa: ANN401 - http.server's
                pass

        self._closing.clear()
        self._server = _Server(("127.0.0.1", self.port), Handler)
        if self._certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*map(str, self._certificate))
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def stop(self) -> None:
        """Be away: connections are refused."""
        if self._server:
            self._closing.set()
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def _take(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in handler.headers.items()}
        arrival = Arrival(handler.path, headers, body, time.monotonic())
        with self._lock:
            self.arrivals.append(arrival)
        answer = self.answer(arrival)
        if self._closing.wait(answer.seconds):
            handler.close_connection = True
            return
        lines = [f"HTTP/1.1 {answer.status} told", f"Content-Length: {len(answer.body)}"]
        lines += [f"{name}: {value}" for name, value in answer.headers]
        self._send(handler, "\r\n".join([*lines, "", ""]).encode() + answer.body, answer.drip)

    def _send(self, handler: BaseHTTPRequestHandler, data: bytes, drip: float) -> None:
        try:
            for part in [data] if not drip else [bytes([each]) for each in data]:
                handler.wfile.write(part)
                if drip and self._closing.wait(drip):
                    return
        except OSError:
            handler.close_connection = True


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, *_: Any) -> None:  # noqa: ANN401 - http.server's
        """A client that went away, or that did not like the certificate, is what the test is about."""


@contextmanager
def receiver(certificate: tuple[Path, Path] | None = None) -> Iterator[Receiver]:
    """A receiver that is up, until the end."""
    made = Receiver(certificate)
    made.start()
    try:
        yield made
    finally:
        made.stop()
