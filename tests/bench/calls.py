"""Calls over HTTP by a client that costs little: the rate of intake's endpoints, the time from a 201 to the partner."""

import json
import math
import socket
import statistics
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import pika

from tests.bench.burst import PARTNER_QUEUE
from tests.bench.ground import Ground, Plot
from tests.bench.relais import house_on
from tests.bench.seeds import SITE
from tests.support.house import House, visit

CONNECTIONS = 4
LINES = 500


class Client:
    """One kept-alive connection; requests are bytes made beforehand."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._left = b""

    def send(self, request: bytes) -> tuple[int, bytes]:
        """Status and body of the answer."""
        self._socket.sendall(request)
        data = self._left
        while b"\r\n\r\n" not in data:
            data += self._receive()
        head, _, body = data.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])
        while len(body) < length:
            body += self._receive()
        self._left = body[length:]
        return int(head[9:12]), body[:length]

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def _receive(self) -> bytes:
        data = self._socket.recv(262_144)
        if not data:
            raise ConnectionResetError
        return data


@dataclass
class Bodies:
    """Requests of a house's site, each a visit of another person; all with the token that a site has for its day."""

    house: House

    def __post_init__(self) -> None:
        """Sign the token."""
        self._bearer = self.house.bearer("site", SITE)

    def single(self) -> tuple[str, bytes]:
        """A visit's id, and the request that posts it."""
        body = self._visit()
        return body["visit_id"], self._request("/v1/visits", "application/json", json.dumps(body).encode())

    def lines(self) -> bytes:
        """A request that posts many."""
        content = "\n".join(json.dumps(self._visit()) for _ in range(LINES)).encode()
        return self._request("/v1/visits/batch", "application/x-ndjson", content)

    def _visit(self) -> dict[str, Any]:
        visit_id = str(uuid4())
        person = {"family_name": f"Exemple {_letters(visit_id)}", "given_name": "Zoé", "birth_date": "2007-03-14"}
        return visit(visit_id=visit_id, person=person)

    def _request(self, path: str, content_type: str, content: bytes) -> bytes:
        headers = {
            "Host": "127.0.0.1",
            "Content-Type": content_type,
            "Content-Length": str(len(content)),
            **self._bearer,
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"POST {path} HTTP/1.1\r\n{head}\r\n".encode() + content


def throughput(house: House, seconds: float) -> float:
    """Visits a second by `POST /v1/visits`, over some connections without a pause."""
    port, bodies = house.ports["intake"], Bodies(house)
    stock = [bodies.single()[1] for _ in range(int(seconds * 1500))]
    done: list[int] = []
    deadline = time.perf_counter() + seconds

    def work(requests: Sequence[bytes]) -> None:
        client, count = Client(port), 0
        for request in requests:
            if time.perf_counter() > deadline:
                break
            _expect(client.send(request), 201)
            count += 1
        done.append(count)
        client.close()

    _all(work, [stock[start::CONNECTIONS] for start in range(CONNECTIONS)])
    return sum(done) / seconds


def paced(house: House, rate: float, seconds: float) -> list[tuple[str, float, float]]:
    """(visit, when its 201 came, seconds it took since it was due) of visits posted at a steady rate."""
    port, bodies = house.ports["intake"], Bodies(house)
    stock = [bodies.single() for _ in range(int(rate * seconds))]
    found: list[tuple[str, float, float]] = []
    start = time.perf_counter() + 0.2

    def work(share: Sequence[tuple[int, tuple[str, bytes]]]) -> None:
        client = Client(port)
        for place, (visit_id, request) in share:
            due = start + place / rate
            time.sleep(max(0.0, due - time.perf_counter()))
            _expect(client.send(request), 201)
            now = time.perf_counter()
            found.append((visit_id, now, now - due))
        client.close()

    everyone = list(enumerate(stock))
    _all(work, [everyone[first::CONNECTIONS] for first in range(CONNECTIONS)])
    return found


def batches(house: House, number: int) -> float:
    """Visits a second by `POST /v1/visits/batch`, over one connection."""
    client, bodies = Client(house.ports["intake"]), Bodies(house)
    stock = [bodies.lines() for _ in range(number + 1)]
    _expect(client.send(stock.pop()), 200)
    began = time.perf_counter()
    for request in stock:
        _, content = _expect(client.send(request), 200)
        assert [json.loads(line)["status"] for line in content.splitlines()] == [201] * LINES, content[:300]
    seconds = time.perf_counter() - began
    client.close()
    return number * LINES / seconds


@dataclass
class PartnerClient:
    """A partner that reads its queue, and notes when each referral came."""

    plot: Plot
    came: dict[str, float] = field(default_factory=dict)

    def start(self) -> None:
        """Read in a thread of its own."""
        self._connection = pika.BlockingConnection(pika.URLParameters(self.plot.amqp_url))
        self._channel = self._connection.channel()
        self._channel.basic_consume(PARTNER_QUEUE, self._on_message, auto_ack=True)
        self._thread = threading.Thread(target=self._channel.start_consuming, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Read no more."""
        self._connection.add_callback_threadsafe(self._channel.stop_consuming)
        self._thread.join(10)
        self._connection.close()

    def _on_message(self, _channel: object, _method: object, _properties: object, body: bytes) -> None:
        now = time.perf_counter()
        self.came.setdefault(json.loads(body)["data"]["referral_id"], now)


def latencies(ground: Ground, rate: float, seconds: float) -> list[float]:
    """Seconds from a visit's 201 to its `ReferralSent` at the partner, all four services running."""
    with ground.plot() as plot, house_on(ground, plot) as house:
        partner = PartnerClient(plot)
        partner.start()
        paced(house, rate, 2)  # every connection and cache is warm
        posted = {visit_id: when for visit_id, when, _ in paced(house, rate, seconds)}
        deadline = time.monotonic() + 20
        while len(partner.came) < len(posted) + rate * 2 and time.monotonic() < deadline:
            time.sleep(0.1)
        partner.stop()
        rows = plot.rows("referral", "SELECT visit_id::text, id::text FROM referrals")
    return [partner.came[referral] - posted[visit_id] for visit_id, referral in rows if visit_id in posted]


def percentile(values: Sequence[float], part: float) -> float:
    """The value that this part of all values does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(part * len(ordered)) - 1)]


def median(values: Sequence[float]) -> float:
    """The middle."""
    return statistics.median(values)


def _expect(answer: tuple[int, bytes], status: int) -> tuple[int, bytes]:
    assert answer[0] == status, answer
    return answer


def _all(work: Any, shares: Sequence[Any]) -> None:  # noqa: ANN401 - each its own
    """Run `work` on each share in a thread; raises what any of them raised."""
    errors: list[BaseException] = []

    def safely(share: Any) -> None:  # noqa: ANN401
        try:
            work(share)
        except BaseException as error:  # noqa: BLE001 - raised below
            errors.append(error)

    threads = [threading.Thread(target=safely, args=(share,)) for share in shares]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def _letters(visit_id: str) -> str:
    """An identifier in letters: names have no digits."""
    return visit_id.replace("-", "").translate(str.maketrans("0123456789", "ghijklmnop"))
