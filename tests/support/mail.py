"""Events put on the broker by hand, as a service's relay would: alone or many in one message, once or again."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import pika

from services.contracts.envelope import BATCH_CONTENT_TYPE, CONTENT_TYPE
from services.contracts.topology import PUBLISHED, exchange_of

_EXCHANGES = {event.TYPE: exchange_of(event.SERVICE) for event in PUBLISHED}


@dataclass(frozen=True)
class Letter:
    """An event as it stands in a ledger."""

    type: str
    routing_key: str
    body: str

    @property
    def data(self) -> dict[str, Any]:
        """What it says."""
        data: dict[str, Any] = json.loads(self.body)["data"]
        return data


@dataclass(frozen=True)
class Bag:
    """One message: letters of one type and one routing key."""

    letters: tuple[Letter, ...]
    batch: bool = False


def singly(letters: Iterable[Letter]) -> list[Bag]:
    """Each in a message of its own, in this order."""
    return [Bag((letter,)) for letter in letters]


def bags(letters: Sequence[Letter], chance: Random, largest: int = 40) -> list[Bag]:
    """About half of the letters alone, the others in batches of up to `largest`, sent when full."""
    packed: list[Bag] = []
    open_bags: dict[tuple[str, str], tuple[int, list[Letter]]] = {}
    for letter in letters:
        kind = (letter.type, letter.routing_key)
        if chance.random() < 1 / 2:
            packed.append(Bag((letter,)))
            continue
        size, inside = open_bags.setdefault(kind, (chance.randint(1, largest), []))
        inside.append(letter)
        if len(inside) == size:
            packed.append(Bag(tuple(inside), batch=True))
            del open_bags[kind]
    return packed + [Bag(tuple(inside), batch=True) for _, inside in open_bags.values()]


def post(url: str, bags_: Iterable[Bag]) -> None:
    """Publish to the exchange of whoever publishes such events; returns once the broker has taken everything."""
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        channel = connection.channel()
        for bag in bags_:
            first = bag.letters[0]
            bodies = ",".join(letter.body for letter in bag.letters)
            properties = pika.BasicProperties(
                content_type=BATCH_CONTENT_TYPE if bag.batch else CONTENT_TYPE, delivery_mode=2, type=first.type
            )
            body = f"[{bodies}]" if bag.batch else bodies
            channel.basic_publish(_EXCHANGES[first.type], first.routing_key, body.encode(), properties)
        # What came before on this channel has been dealt with when this is answered.
        channel.queue_declare("", exclusive=True)
