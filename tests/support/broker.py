"""Strangers on the broker, with a client that is not ours: a partner reading its queue, a listener between services."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

import pika
from pika.adapters.blocking_connection import BlockingChannel

from tests.support.house import House, eventually
from tests.support.rabbit import Rabbit

BATCH = "application/cloudevents-batch+json"


@dataclass(frozen=True)
class Delivery:
    """A message as it arrived, to its last property."""

    routing_key: str
    properties: pika.BasicProperties
    body: bytes

    @property
    def events(self) -> list[dict[str, Any]]:
        """The CloudEvents in it: one, or those of a batch."""
        document = json.loads(self.body)
        return document if self.properties.content_type == BATCH else [document]


class Reader:
    """Reads one queue, and keeps what it has read."""

    def __init__(self, channel: BlockingChannel, queue: str) -> None:
        self.channel = channel
        self.queue = queue
        self.read: list[Delivery] = []

    def take(self) -> list[Delivery]:
        """Take what has arrived meanwhile; everything read so far."""
        while True:
            method, properties, body = self.channel.basic_get(self.queue, auto_ack=True)
            if method is None:
                return self.read
            self.read.append(Delivery(method.routing_key, properties, body))

    def wait_for(self, wanted: Callable[[dict[str, Any]], bool], within: float = 10.0) -> dict[str, Any]:
        """The first event that is `wanted`; fails when none comes in time."""
        return self.delivery_of(wanted, within)[1]

    def delivery_of(
        self, wanted: Callable[[dict[str, Any]], bool], within: float = 10.0
    ) -> tuple[Delivery, dict[str, Any]]:
        """The same with the message it came in."""

        def found() -> tuple[Delivery, dict[str, Any]] | None:
            return next(((one, event) for one in self.take() for event in one.events if wanted(event)), None)

        first: tuple[Delivery, dict[str, Any]] = eventually(found, within, every=0.02)
        return first


def vhost_of(url: str) -> str:
    """The vhost of a broker's URL."""
    return unquote(urlsplit(url).path.removeprefix("/"))


@contextmanager
def partner(house: House, rabbit: Rabbit, partner_id: str) -> Iterator[Reader]:
    """A partner connected with an account of its own, which may read its own queue and do nothing else."""
    vhost, user, password = vhost_of(house.environment["RELAIS_AMQP_URL_PARTNERS"]), f"p-{partner_id}", "secret"
    rabbit.add_user(user, password)
    rabbit.permit(user, vhost, configure="^$", write="^$", read=rf"^out\.{partner_id}$")
    with pika.BlockingConnection(pika.URLParameters(rabbit.url(vhost, user, password))) as connection:
        yield Reader(connection.channel(), f"out.{partner_id}")
    rabbit.delete_user(user)


@contextmanager
def listener(house: House, exchange: str, event: str = "#") -> Iterator[Reader]:
    """Whoever listens between our services: a queue of its own on the exchange of one of them."""
    with pika.BlockingConnection(pika.URLParameters(house.environment["RELAIS_AMQP_URL"])) as connection:
        channel = connection.channel()
        queue = channel.queue_declare("", exclusive=True).method.queue
        channel.queue_bind(queue, exchange, event)
        yield Reader(channel, queue)
