"""What the sites and partners of a network have at the broker: accounts, rights, queues and limits.

Written as RabbitMQ's definitions write it. An account is called `site.<id>` or `partner.<id>`: ids have no dot, so it
can neither be a service's nor another's, and the rights of each name one queue and one exchange, to the letter.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from services.chassis import outside
from services.chassis.outside import INGEST, PARTNERS, Door
from services.network.schema import Network

Kind = Literal["site", "partner"]
KINDS: tuple[Kind, ...] = ("site", "partner")
Definition = dict[str, Any]
Definitions = dict[str, list[Definition]]

# A few clients side by side, and one that reconnects before the broker has missed it.
LIMITS = {"max-connections": 5, "max-channels": 20}
_ID = re.compile(r"[a-z0-9-]{1,64}")
_NAME = re.compile(r"[a-z0-9.-]+")
_DOT = r"\."
_NOTHING = "^$"
_DOORS: dict[Kind, Door] = {"site": INGEST, "partner": PARTNERS}
_QUEUE_KINDS = {
    "site": (outside.replies_queue, outside.REPLIES_ARGUMENTS),
    "partner": (outside.partner_queue, outside.PARTNER_ARGUMENTS),
}


class BadName(Exception):
    """An id that could mean more than one account or queue."""


class Vhosts(NamedTuple):
    """What the three vhosts are called: `relais`, `ingest` and `partners` unless the settings say otherwise."""

    internal: str
    ingest: str
    partners: str

    def of(self, kind: Kind) -> str:
        """Where accounts of a kind live."""
        return self.ingest if kind == "site" else self.partners


@dataclass(frozen=True, slots=True)
class Account:
    """What one site or partner may do: write to one exchange, read one queue."""

    kind: Kind
    id: str
    vhost: str

    @property
    def user(self) -> str:
        """Its name at the broker."""
        return f"{self.kind}.{self.id}"

    @property
    def exchange(self) -> str:
        """What it writes to."""
        return _DOORS[self.kind].exchange

    @property
    def queue(self) -> str:
        """What it reads."""
        return _QUEUE_KINDS[self.kind][0](self.id)

    def definition(self, password_hash: str) -> Definition:
        """The account itself; no tag, so that it neither sees the management API nor sends in another's name."""
        return {
            "name": self.user,
            "password_hash": password_hash,
            "hashing_algorithm": "rabbit_password_hashing_sha256",
            "tags": "",
            "limits": LIMITS,
        }

    @property
    def permission(self) -> Definition:
        """Its rights in its vhost; in every other it has none."""
        rights = {"configure": _NOTHING, "write": exactly(self.exchange), "read": exactly(self.queue)}
        return {"user": self.user, "vhost": self.vhost, **rights}

    @property
    def queue_definition(self) -> Definition:
        """Its queue."""
        return _queue(self.vhost, self.queue, _QUEUE_KINDS[self.kind][1])


def exactly(name: str) -> str:
    """The regular expression that this name matches and no other. Raises BadName where a character could mean more."""
    if not _NAME.fullmatch(name):
        raise BadName("a name at the broker has a-z, 0-9, - and dots, and nothing else")
    return f"^{name.replace('.', _DOT)}$"


def checked(id_: str) -> str:
    """An id as it was given. Raises BadName for one that is not of lower-case letters, digits and hyphens."""
    if not _ID.fullmatch(id_):
        raise BadName("an id has 1 to 64 of a-z, 0-9 and -, and nothing else")
    return id_


def account(kind: Kind, id_: str, vhosts: Vhosts) -> Account:
    """The account of a site or partner. Raises BadName."""
    return Account(kind, checked(id_), vhosts.of(kind))


def accounts(network: Network, vhosts: Vhosts) -> list[Account]:
    """One for each site, and for each partner that reads a queue. Raises BadName."""
    ids: list[tuple[Kind, str]] = [("site", site.id) for site in network.sites]
    ids += [("partner", partner.id) for partner in network.partners if partner.subscription == "amqp"]
    return [account(kind, id_, vhosts) for kind, id_ in ids]


def common(vhosts: Vhosts) -> Definitions:
    """What there is before any account: vhosts, the two doors, a bound in bytes of partners' queues, in time of sites'.

    Those bounds are operator policies, which hold beside any other policy, and beside the queues' own arguments.
    """
    doors = [(vhosts.of(kind), door) for kind, door in _DOORS.items()]
    kept = {"auto_delete": False, "internal": False, "arguments": {}}
    return {
        "vhosts": [{"name": name} for name in dict.fromkeys(vhosts)],
        "exchanges": [
            {"name": door.exchange, "vhost": vhost, "type": "fanout", "durable": True, **kept} for vhost, door in doors
        ],
        "queues": [_queue(vhost, door.queue, outside.DOOR_ARGUMENTS) for vhost, door in doors],
        "bindings": [
            {
                "source": door.exchange,
                "vhost": vhost,
                "destination": door.queue,
                "destination_type": "queue",
                "routing_key": "",
                "arguments": {},
            }
            for vhost, door in doors
        ],
        "parameters": [
            _bound(vhosts.ingest, "replies", {"message-ttl": outside.REPLIES_MILLISECONDS}),
            _bound(vhosts.partners, "out", {"max-length-bytes": outside.PARTNER_BYTES}),
        ],
    }


def wanted(each: Account) -> Definitions:
    """What there is of one account, without its password."""
    return {"permissions": [each.permission], "queues": [each.queue_definition]}


def of_outsiders(users: Iterable[str]) -> Iterator[tuple[Kind, str]]:
    """Kind and id of those account names that are a site's or a partner's."""
    for user in users:
        kind, _, id_ = user.partition(".")
        for known in KINDS:
            if kind == known and _ID.fullmatch(id_):
                yield known, id_


def _bound(vhost: str, prefix: str, bound: Definition) -> Definition:
    policy = {"pattern": rf"^{prefix}\.", "apply-to": "queues", "definition": bound, "priority": 0}
    return {"component": "operator_policy", "vhost": vhost, "name": f"relais-{prefix}", "value": policy}


def _queue(vhost: str, name: str, arguments: Mapping[str, object]) -> Definition:
    return {"name": name, "vhost": vhost, "durable": True, "auto_delete": False, "arguments": dict(arguments)}
