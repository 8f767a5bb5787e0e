"""Something that stands where intake would, and does what intake never should: hang, drip, break, refuse."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

from tests.support.rabbit import free_ports


@dataclass
class Hollow:
    """`mood`: `hang` answers nothing, `drip` a byte every tenth of a second, a number is the status of an answer."""

    mood: str | int = "hang"
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    ending: threading.Event = field(default_factory=threading.Event)
    port: int = 0

    @property
    def address(self) -> str:
        """host:port."""
        return f"127.0.0.1:{self.port}"


class _Handler(BaseHTTPRequestHandler):
    hollow: ClassVar[Hollow]

    def do_GET(self) -> None:
        """Do as the mood says."""
        hollow = self.hollow
        hollow.asked.append((self.path, self.headers.get("Authorization", "")))
        if hollow.mood == "hang":
            hollow.ending.wait(20)
            return
        if hollow.mood == "drip":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n")
            with suppress(OSError):
                while not hollow.ending.is_set():
                    self.wfile.write(b" ")
                    time.sleep(0.1)
            return
        self.send_response(int(hollow.mood))
        for name, value in hollow.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(hollow.body)))
        self.end_headers()
        self.wfile.write(hollow.body)

    def log_message(self, *_: Any) -> None:  # noqa: ANN401 - the base's
        """Say nothing."""


@contextmanager
def hollow_intake() -> Iterator[Hollow]:
    """Listen on a free port of this machine."""
    hollow = Hollow()
    handler = type("Handler", (_Handler,), {"hollow": hollow})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    hollow.port = server.socket.getsockname()[1]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield hollow
    hollow.ending.set()
    server.shutdown()
    server.server_close()
    thread.join()


def nobody() -> str:
    """host:port where nobody listens."""
    return f"127.0.0.1:{free_ports(1)[0]}"
