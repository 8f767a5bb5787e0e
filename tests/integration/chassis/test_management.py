"""The management API of the real broker while its clients come and go."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Event

from kombu import Connection

from services.chassis.management import Management
from tests.support.rabbit import Rabbit

CLIENTS = 12
SECONDS = 6.0


def test_a_connection_that_ends_while_it_is_closed_is_no_error(rabbit: Rabbit, vhosts: Callable[[], str]) -> None:
    """The broker answers 500 for it (several times in these seconds), and a revocation would end with that."""
    user, vhost = "comes-and-goes", vhosts()
    rabbit.add_user(user, "secret")
    rabbit.permit(user, vhost)
    ended = Event()

    def come_and_go() -> None:
        while not ended.is_set():
            with Connection(rabbit.url(vhost, user, "secret")) as client, suppress(*client.connection_errors):
                client.connect()

    api = Management(rabbit.management_url())
    closed = 0
    with ThreadPoolExecutor(CLIENTS) as clients:
        for _ in range(CLIENTS):
            clients.submit(come_and_go)
        try:
            deadline = time.monotonic() + SECONDS
            while time.monotonic() < deadline:
                closed += api.close_connections(user, "the account was revoked")
        finally:
            ended.set()
    api.close()
    rabbit.delete_user(user)
    assert closed
