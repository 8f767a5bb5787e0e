"""`relais partners …` as an operator types it, with a partner's client that is always there."""

import json
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pika
import pytest
from pika.exceptions import AMQPConnectionError, AMQPError

from tests.support.house import House, eventually
from tests.support.rabbit import Rabbit

ID = "mission-locale-of-this-test"
NETWORK = f"""
[network]
id = "n"
name = "N"

[[partners]]
id = "{ID}"
name = "P"
kind = "k"
category = "local"
covers = "all"
basis = "mission"
by_choice = true
"""


class Reader:
    """A partner's client that is always there, with all it was delivered, and when its connection ended."""

    def __init__(self, url: str) -> None:
        self.got: list[bytes] = []
        self.ended: float | None = None
        self._url = url
        self._ready = threading.Event()
        threading.Thread(target=self._run, daemon=True).start()
        assert self._ready.wait(30)

    def _run(self) -> None:
        with suppress(AMQPError):
            channel = pika.BlockingConnection(pika.URLParameters(self._url)).channel()
            channel.basic_consume(f"out.{ID}", self._take, auto_ack=True)
            self._ready.set()
            channel.start_consuming()
        self.ended = time.monotonic()

    def _take(self, _channel: Any, _method: Any, _properties: Any, body: bytes) -> None:  # noqa: ANN401 - pika's
        self.got.append(body)


def publish(url: str, body: bytes) -> None:
    """Put something into the partner's queue, as referral would."""
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.basic_publish("", f"out.{ID}", body)


def test_a_partner_is_let_in_and_put_out(
    houses: Callable[..., House],
    rabbit: Rabbit,
    vhosts: Callable[[], str],
    tmp_path: Path,
    tell: Callable[[str], None],
) -> None:
    """Its account is made and shown once; after `revoke` a live consumer gets nothing more, and cannot come back."""
    file = tmp_path / "network.toml"
    file.write_text(NETWORK)
    partners = rabbit.url(vhosts())
    changes = {
        "RELAIS_NETWORK": str(file),
        "RELAIS_AMQP_MANAGEMENT_URL": rabbit.management_url(),
        "RELAIS_AMQP_URL_INGEST": rabbit.url(vhosts()),
        "RELAIS_AMQP_URL_PARTNERS": partners,
    }
    house = houses(**changes)
    done = house.relais("partners", "provision", "--json")
    assert done.returncode == 0, done.stderr
    (made,) = json.loads(done.stdout)
    again = house.relais("partners", "provision", "--json")
    assert (again.returncode, json.loads(again.stdout)) == (0, [])
    assert "nothing to change" in again.stderr
    reader = Reader(made["url_with_password"])
    publish(partners, b"before")
    eventually(lambda: reader.got == [b"before"])
    revoked = house.relais("partners", "revoke", ID)
    returned = time.monotonic()
    assert revoked.returncode == 0, revoked.stderr
    assert "still in the network files" in revoked.stderr
    ended = eventually(lambda: reader.ended, within=30)
    tell(f"a live consumer was cut off {returned - ended:.2f} s before `relais partners revoke` returned")
    publish(partners, b"after")
    time.sleep(1)
    assert reader.got == [b"before"]
    with pytest.raises(AMQPConnectionError):
        pika.BlockingConnection(pika.URLParameters(made["url_with_password"]))


def test_without_the_api_it_names_the_variable(houses: Callable[..., House]) -> None:
    """Exit code 2, and nothing else."""
    done = houses().relais("partners", "provision")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("RELAIS_AMQP_MANAGEMENT_URL is not set")
