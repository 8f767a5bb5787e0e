"""Sites and partners who write to the broker, with a client that is not ours and accounts that may do nothing else."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import pika
from pika.adapters.blocking_connection import BlockingChannel

from services.chassis import outside
from tests.support.broker import Reader, vhost_of
from tests.support.house import House
from tests.support.rabbit import Rabbit

_PASSWORD = "secret"  # noqa: S105 - of a throwaway broker


class Outsider(Reader):
    """Writes to one exchange, and reads its own queue."""

    def __init__(self, channel: BlockingChannel, account: str, door: outside.Door, queue: str) -> None:
        super().__init__(channel, queue)
        self.account, self.exchange = account, door.exchange
        channel.confirm_delivery()

    def write(self, body: dict[str, Any] | bytes, **properties: Any) -> None:  # noqa: ANN401 - any property
        """Write a message as the guides say, changed by `properties`; returns once the broker has it."""
        given = {"content_type": "application/json", "delivery_mode": 2, "user_id": self.account} | properties
        raw = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
        self.channel.basic_publish(self.exchange, "", raw, pika.BasicProperties(**given))


@contextmanager
def site(house: House, rabbit: Rabbit, org: str) -> Iterator[Outsider]:
    """A site connected with its own account, which was provided with a queue for the replies."""
    url = house.environment["RELAIS_AMQP_URL_INGEST"]
    with _outsider(rabbit, url, f"site.{org}", outside.INGEST, outside.replies_queue(org)) as found:
        yield found


@contextmanager
def partner(house: House, rabbit: Rabbit, org: str) -> Iterator[Outsider]:
    """A partner connected with its own account."""
    url = house.environment["RELAIS_AMQP_URL_PARTNERS"]
    with _outsider(rabbit, url, f"partner.{org}", outside.PARTNERS, outside.partner_queue(org)) as found:
        yield found


@contextmanager
def _outsider(rabbit: Rabbit, url: str, account: str, door: outside.Door, queue: str) -> Iterator[Outsider]:
    vhost = vhost_of(url)
    provide(rabbit, vhost, account, door, queue)
    with pika.BlockingConnection(pika.URLParameters(rabbit.url(vhost, account, _PASSWORD))) as connection:
        yield Outsider(connection.channel(), account, door, queue)
    rabbit.delete_user(account)


def provide(rabbit: Rabbit, vhost: str, account: str, door: outside.Door, queue: str) -> str:
    """Make an account that may write to a door and read a queue; where it connects."""
    rabbit.add_user(account, _PASSWORD)
    rabbit.permit(account, vhost, configure="^$", write=rf"^{door.exchange}$", read=rf"^{queue}$")
    if queue.startswith("replies."):
        arguments = {"durable": True, "arguments": outside.REPLIES_ARGUMENTS}
        rabbit.api("PUT", f"/queues/{quote(vhost, safe='')}/{queue}", arguments)
    return rabbit.url(vhost, account, _PASSWORD)
