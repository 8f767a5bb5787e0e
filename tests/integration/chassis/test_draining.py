"""Taking frames off a connection whose other end stops in mid-sentence."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import kombu
import pytest

from services.chassis import broker
from tests.support.rabbit import Rabbit

QUEUE = "intake.Happened"


class Valve:
    """A port before the broker's, which lets through what the broker says until told to stop, and then goes on."""

    def __init__(self, port: int) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._broker = socket.create_connection(("127.0.0.1", port))
        self._left: int | None = None
        self._open = threading.Event()
        threading.Thread(target=self._run, daemon=True).start()

    def stop_after(self, number: int) -> None:
        """Let through so many bytes more, and no more until `resume`."""
        self._left = number

    def resume(self) -> None:
        """Let through what was held back."""
        self._open.set()

    def close(self) -> None:
        """End both sides."""
        self._open.set()
        self._broker.close()
        self._listener.close()

    def _run(self) -> None:
        client, _ = self._listener.accept()
        threading.Thread(target=self._copy, args=(client,), daemon=True).start()
        with client, suppress(OSError):
            while said := self._broker.recv(65536):
                now = len(said) if self._left is None else min(self._left, len(said))
                client.sendall(said[:now])
                if now < len(said):
                    self._left = None
                    self._open.wait()
                    client.sendall(said[now:])
                elif self._left is not None:
                    self._left -= now

    def _copy(self, client: socket.socket) -> None:
        with suppress(OSError):
            while said := client.recv(65536):
                self._broker.sendall(said)


@contextmanager
def valve(rabbit: Rabbit) -> Iterator[Valve]:
    """Put one before the broker."""
    valve = Valve(rabbit.port)
    yield valve
    valve.close()


def test_half_a_frame_is_no_frame(rabbit: Rabbit) -> None:
    """Looking for one more frame ends although only half of it has come; the whole is read once the rest is there."""
    vhost = rabbit.add_vhost("draining")
    arrived: list[kombu.Message] = []
    with valve(rabbit) as valve_:
        url = rabbit.url(vhost).replace(f":{rabbit.port}/", f":{valve_.port}/")
        with broker.connect(url, "test") as connection:
            channel = connection.channel()
            queue = kombu.Queue(QUEUE)
            queue.bind(channel).declare()
            with kombu.Consumer(channel, [queue], on_message=arrived.append, auto_declare=False):
                valve_.stop_after(1000)
                with broker.connect(rabbit.url(vhost), "other") as other:
                    body = "x" * 50_000
                    broker.Publisher(other).publish([broker.Message("", QUEUE, body, "text/plain", "Happened")])
                for seconds in (0.5, 0, 0):
                    with pytest.raises(TimeoutError):
                        broker.drain(connection, seconds)
                assert not arrived
                valve_.resume()
                broker.drain(connection, 5)
    (message,) = arrived
    assert message.body == body.encode()
    rabbit.delete_vhost(vhost)
