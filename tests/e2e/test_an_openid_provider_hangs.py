"""Strangers who ask for a login while the OpenID provider takes connections and answers nothing."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from services.chassis.oidc_memory import AT_ONCE
from tests.support.house import House

STRANGERS = 130  # more than a process has workers


class Provider:
    """Takes connections and answers nothing; `most` of them were open at once."""

    def __init__(self, listening: socket.socket) -> None:
        self.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        self.most, self._open, self._lock = 0, 0, threading.Lock()
        threading.Thread(target=self._take, args=(listening,), daemon=True).start()

    def _take(self, listening: socket.socket) -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=self._hang, args=(listening.accept()[0],), daemon=True).start()

    def _hang(self, connection: socket.socket) -> None:
        with self._lock:
            self._open += 1
            self.most = max(self.most, self._open)
        with connection, suppress(OSError):
            while connection.recv(65536):
                pass
        with self._lock:
            self._open -= 1


@pytest.fixture
def provider() -> Iterator[Provider]:
    """Listen as a provider that hangs."""
    with socket.create_server(("127.0.0.1", 0), backlog=1000) as listening:
        yield Provider(listening)


@pytest.fixture
def hanging(houses: Callable[..., House], provider: Provider, tmp_path: Path) -> Iterator[House]:
    """Start referral with it."""
    secret = tmp_path / "secret"
    secret.write_text("secret")
    house = houses(
        RELAIS_OIDC_ISSUER=provider.url, RELAIS_OIDC_CLIENT_ID="relais", RELAIS_OIDC_CLIENT_SECRET_FILE=str(secret)
    )
    house.start("referral")
    yield house
    house.stop("referral")


def test_they_do_not_keep_others_waiting(hanging: House, provider: Provider, tell: Callable[[str], None]) -> None:
    """A few wait for the provider, all others are told at once that it is away; partners go on reading."""

    def stranger(_: int) -> int:
        with httpx.Client(timeout=30, trust_env=False) as client:
            return client.get(f"{hanging.url('referral')}/oidc/start").status_code

    with ThreadPoolExecutor(STRANGERS) as pool:
        asked = [pool.submit(stranger, number) for number in range(STRANGERS)]
        time.sleep(1.5)
        start = time.monotonic()
        assert hanging.referrals("partner", "cpam") == []
        took = time.monotonic() - start
        answers = {one.result() for one in asked}
    assert answers == {503}
    tell(f"{provider.most} of {STRANGERS} waited for the provider; a partner's request took {took:.2f} s meanwhile")
    assert 0 < provider.most <= AT_ONCE
    assert took < 15
