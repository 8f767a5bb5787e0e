"""What sites and partners meet at the broker: exchanges, queues and their arguments, each said once.

Outsiders declare nothing. Services declare what they read and write at each connection, `relais partners provision`
does beforehand, and RabbitMQ refuses a queue that exists with other arguments: so both take them from here.
"""

from collections.abc import Iterable
from typing import NamedTuple

import kombu
from amqp.exceptions import PreconditionFailed, ResourceLocked

from services.chassis.broker import QUORUM

# A full queue drops its oldest: a partner has the ledger over HTTP, and a site whose visit goes unanswered sends again.
PARTNER_ARGUMENTS = QUORUM | {"x-max-length": 100_000, "x-overflow": "drop-head"}
REPLIES_ARGUMENTS = QUORUM | {
    "x-max-length": 10_000,
    "x-max-length-bytes": 16 * 1024 * 1024,
    "x-overflow": "drop-head",
}
# What comes in must not be dropped, nor fill the disk: when full the publisher's confirm is a refusal.
DOOR_ARGUMENTS = QUORUM | {
    "x-max-length": 100_000,
    "x-max-length-bytes": 256 * 1024 * 1024,
    "x-overflow": "reject-publish",
}
# Of a partner's queue; no argument of it, since queues of earlier releases have none.
PARTNER_BYTES = 256 * 1024 * 1024
# A reply holds the reference that the person was given; a site that reads none for so long asks again.
REPLIES_MILLISECONDS = 7 * 24 * 3600 * 1000


class Door(NamedTuple):
    """Where outsiders write in: a queue behind a fanout exchange, to which routing keys and CC headers mean nothing."""

    vhost: str
    exchange: str
    queue: str


INGEST = Door("ingest", "visits.in", "intake.visits")
PARTNERS = Door("partners", "answers", "referral.answers")


def partner_queue(partner: str) -> str:
    """The queue a partner reads."""
    return f"out.{partner}"


def replies_queue(site: str) -> str:
    """The queue a site reads."""
    return f"replies.{site}"


def door_exchange(door: Door) -> kombu.Exchange:
    """What outsiders write to."""
    return kombu.Exchange(door.exchange, "fanout", durable=True)


def door_queue(door: Door) -> kombu.Queue:
    """What the service behind the door reads."""
    return kombu.Queue(door.queue, door_exchange(door), durable=True, queue_arguments=DOOR_ARGUMENTS)


def declare_door(connection: kombu.Connection, door: Door) -> None:
    """Declare a door's exchange, queue and binding."""
    with connection.channel() as channel:
        door_queue(door).bind(channel).declare()


def declare_partner_queues(connection: kombu.Connection, partners: Iterable[str]) -> list[str]:
    """Declare the queue of each partner; those that exist with other arguments, and stay as they are."""
    clashing, channel = [], connection.channel()
    for partner in partners:
        queue = kombu.Queue(partner_queue(partner), durable=True, queue_arguments=PARTNER_ARGUMENTS)
        try:
            queue.bind(channel).declare()
        except (PreconditionFailed, ResourceLocked):
            clashing.append(queue.name)
            # The broker closes the channel of a declaration that it refuses.
            channel = connection.channel()
    channel.close()
    return sorted(clashing)
