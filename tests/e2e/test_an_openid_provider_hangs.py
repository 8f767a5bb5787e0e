"""Strangers who ask for a login while the OpenID provider takes connections and answers nothing."""

import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from services.chassis.oidc_memory import AT_ONCE
from tests.support.house import House

STRANGERS = 130  # more than a process has workers


@pytest.fixture
def hanging(houses: Callable[..., House], tmp_path: Path) -> Iterator[House]:
    """Start referral with a provider that hangs."""
    secret = tmp_path / "secret"
    secret.write_text("secret")
    with socket.create_server(("127.0.0.1", 0), backlog=1000) as provider:
        house = houses(
            RELAIS_OIDC_ISSUER=f"http://127.0.0.1:{provider.getsockname()[1]}",
            RELAIS_OIDC_CLIENT_ID="relais",
            RELAIS_OIDC_CLIENT_SECRET_FILE=str(secret),
        )
        house.start("referral")
        yield house
        house.stop("referral")


def test_they_do_not_keep_others_waiting(hanging: House, tell: Callable[[str], None]) -> None:
    """A few wait for the provider, all others are told at once that it is away; partners go on reading."""

    def stranger(_: int) -> tuple[int, float]:
        start = time.monotonic()
        with httpx.Client(timeout=30, trust_env=False) as client:
            status = client.get(f"{hanging.url('referral')}/oidc/start").status_code
        return status, time.monotonic() - start

    with ThreadPoolExecutor(STRANGERS) as pool:
        asked = [pool.submit(stranger, number) for number in range(STRANGERS)]
        time.sleep(1.5)
        start = time.monotonic()
        assert hanging.referrals("partner", "cpam") == []
        took = time.monotonic() - start
        answers = [one.result() for one in asked]
    assert {status for status, _ in answers} == {503}
    waited = sum(seconds > 4 for _, seconds in answers)
    tell(f"{waited} of {STRANGERS} waited for the provider; a partner's request took {took:.2f} s meanwhile")
    assert waited <= AT_ONCE
    assert took < 2
