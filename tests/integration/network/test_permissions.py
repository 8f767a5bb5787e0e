"""Who may do what at the broker: each kind of account tries each operation, as an outsider's own client would.

`yes` and `no` are what is promised; `open` is what RabbitMQ 3.10 cannot forbid, and what goes with a right for others
(docs/decisions/23-broker-accounts.md); `-` does not apply. `service` is each of the four among themselves, `intake` and
`referral` are these two in the vhost of sites, of partners.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pika
import pytest
from pika.exceptions import AMQPChannelError, AMQPConnectionError

from services.chassis.management import opened
from services.chassis.outside import INGEST, PARTNERS
from services.contracts import topology
from services.network import provisioning
from services.network.accounts import Account, Vhosts
from tests.support.rabbit import Rabbit

TABLE = """
operation                                   site  partner  service  intake  referral
enter its own vhost                         yes   yes      yes      yes     yes
enter any other vhost                       no    no       no       no      no
enter the management API                    no    no       no       no      no
declare a queue of a strange name           no    no       no       no      no
declare an exchange of a strange name       no    no       no       no      no
declare its own queue again                 no    no       yes      yes     yes
declare another's queue again               no    no       yes      no      yes
ask for its own queue's length              open  open     open     open    open
ask for another's queue's length            open  open     open     open    open
delete its own queue                        no    no       yes      yes     yes
delete another's queue                      no    no       yes      no      yes
delete its own exchange                     no    no       yes      yes     yes
read its own queue                          yes   yes      yes      yes     yes
read another's queue                        no    no       no       no      no
read the door's queue                       no    no       -        -       -
purge its own queue                         open  open     open     open    open
purge another's queue                       no    no       no       no      no
bind its own queue to its own exchange      no    no       yes      yes     yes
bind another's queue to its own exchange    no    no       yes      no      no
unbind the door's queue                     no    no       -        yes     yes
bind its own exchange to another            no    no       yes      no      no
publish to its own exchange                 yes   yes      yes      no      no
publish to another's exchange               no    no       no       no      no
publish to an exchange of RabbitMQ's own    no    no       no       no      no
publish straight into its own queue         no    no       no       yes     yes
publish straight into another's queue       no    no       no       yes     yes
reach another's queue by a CC header        no    no       no       -       -
reach another's queue by a BCC header       no    no       no       -       -
say its own user-id                         yes   yes      yes      -       -
say another's user-id                       no    no       no       -       -
"""
_ROWS = [line.rsplit(maxsplit=5) for line in TABLE.strip().splitlines()]
KINDS = _ROWS[0][1:]
CELLS = [
    pytest.param(row[0], kind, told, id=f"{kind}: {row[0]}: {told}")
    for row in _ROWS[1:]
    for kind, told in zip(KINDS, row[1:], strict=True)
    if told != "-"
]
REFUSED = {403, 406, 530}
NAMES = Vhosts("matrix-relais", "matrix-ingest", "matrix-partners")
DEPLOYED = Path(__file__).parents[3] / "deploy" / "rabbitmq" / "definitions.json"
VHOST_NAMES = {"relais": NAMES.internal, "ingest": NAMES.ingest, "partners": NAMES.partners}
# Each kind of outsider with its like, whose things it must not touch.
OUTSIDERS = [
    Account("site", "matrix-one", NAMES.ingest),
    Account("site", "matrix-two", NAMES.ingest),
    Account("partner", "matrix-one", NAMES.partners),
    Account("partner", "matrix-two", NAMES.partners),
]


@dataclass(frozen=True)
class Actor:
    """An account, and what is its own and another's where it tries."""

    user: str
    password: str
    vhost: str
    own_queue: str
    other_queue: str
    door_queue: str
    own_exchange: str
    other_exchange: str


@dataclass(frozen=True)
class Matrix:
    """The broker as it is deployed and provisioned, and who acts on it."""

    rabbit: Rabbit
    actors: dict[str, list[Actor]]
    definitions: dict[str, Any]

    def url(self, actor: Actor, vhost: str | None = None) -> str:
        """Where an actor connects."""
        return self.rabbit.url(vhost or actor.vhost, actor.user, actor.password)

    def found(self, actor: Actor, queue: str) -> list[dict[str, Any]]:
        """Take out what is in a queue, as the administrator."""
        return self.rabbit.drain(actor.vhost, queue)


def _services(passwords: dict[str, str]) -> Iterator[Actor]:
    """Those services that consume, each beside another."""
    queues = {
        service: topology.queue_of(service, events[0].SERVICE)
        for service, events in topology.SUBSCRIPTIONS.items()
        if events
    }
    publishers = ("intake", "orientation", "referral")
    for service, queue in queues.items():
        other = next(each for each in queues if each != service)
        foreign = next(each for each in publishers if each != service)
        yield Actor(
            service,
            passwords[service],
            NAMES.internal,
            queue,
            queues[other],
            queue,
            topology.exchange_of(service),
            topology.exchange_of(foreign),
        )


def _doors(passwords: dict[str, str]) -> Iterator[Actor]:
    for user, door, account in (("intake", INGEST, OUTSIDERS[0]), ("referral", PARTNERS, OUTSIDERS[2])):
        names = (door.queue, account.queue, door.queue, door.exchange, "amq.fanout")
        yield Actor(user, passwords[user], account.vhost, *names)


def _deployed(passwords: dict[str, str]) -> dict[str, Any]:
    """The services' accounts of the deployed definitions, in vhosts of this test's own."""
    found = json.loads(DEPLOYED.read_text().replace("$$", "$"))
    names = topology.SERVICES
    return {
        "vhosts": [{"name": VHOST_NAMES[vhost["name"]]} for vhost in found["vhosts"]],
        "users": [{"name": name, "password": passwords[name], "tags": ""} for name in names],
        "permissions": [
            one | {"vhost": VHOST_NAMES[one["vhost"]]} for one in found["permissions"] if one["user"] in names
        ],
        "exchanges": [
            {"vhost": NAMES.internal, "name": topology.exchange_of(name), "type": "topic"}
            | {"durable": True, "auto_delete": False, "internal": False, "arguments": {}}
            for name in names
        ],
        "queues": [
            {"vhost": NAMES.internal, "name": topology.queue_of(service, events[0].SERVICE), "durable": True}
            | {"auto_delete": False, "arguments": {"x-queue-type": "quorum"}}
            for service, events in topology.SUBSCRIPTIONS.items()
            if events
        ],
    }


@pytest.fixture(scope="module")
def matrix(rabbit: Rabbit) -> Iterator[Matrix]:
    """Load what is deployed, provision what is wanted, and take it all away in the end."""
    passwords = dict.fromkeys(topology.SERVICES, "secret")
    rabbit.load(_deployed(passwords))
    with opened(rabbit.management_url()) as api:
        todo = provisioning.plan(api.definitions(), OUTSIDERS, NAMES)
        made = {one.account: one.password for handful in provisioning.apply(api, todo) for one in handful}
        definitions = api.definitions()
    actors = {"service": list(_services(passwords))} | {actor.user: [actor] for actor in _doors(passwords)}
    for mine, other in ((OUTSIDERS[0], OUTSIDERS[1]), (OUTSIDERS[2], OUTSIDERS[3])):
        door = INGEST if mine.kind == "site" else PARTNERS
        names = (mine.vhost, mine.queue, other.queue, door.queue, mine.exchange, "amq.fanout")
        actors[mine.kind] = [Actor(mine.user, made[mine], *names)]
    kept = {kind: [one for one in definitions[kind] if one["vhost"] in NAMES] for kind in ("exchanges", "queues")}
    bindings = [one for one in definitions["bindings"] if one["vhost"] in NAMES]
    yield Matrix(rabbit, actors, {**kept, "bindings": bindings})
    for vhost in NAMES:
        rabbit.delete_vhost(vhost)
    for user in (*topology.SERVICES, *(account.user for account in OUTSIDERS)):
        rabbit.delete_user(user)


@contextmanager
def connected(url: str) -> Iterator[pika.BlockingConnection]:
    """A connection, closed at the end; one attempt only."""
    connection = pika.BlockingConnection(pika.URLParameters(url))
    try:
        yield connection
    finally:
        if connection.is_open:
            connection.close()


def publish(channel: Any, exchange: str, key: str, **properties: Any) -> None:  # noqa: ANN401 - pika is untyped
    """Publish and wait for the broker's word."""
    channel.confirm_delivery()
    channel.basic_publish(exchange, key, b"{}", pika.BasicProperties(delivery_mode=2, **properties))


def consume(channel: Any, queue: str) -> None:  # noqa: ANN401 - pika is untyped
    """Take one, and subscribe."""
    channel.basic_get(queue)
    channel.basic_consume(queue, lambda *_: None)


def quorum(channel: Any, queue: str, matrix: Matrix, actor: Actor) -> None:  # noqa: ANN401 - pika is untyped
    """Declare a queue just as it is."""
    arguments = next(
        one["arguments"] for one in matrix.definitions["queues"] if (one["vhost"], one["name"]) == (actor.vhost, queue)
    )
    channel.queue_declare(queue, durable=True, arguments=arguments)


class NotReached(Exception):
    """The broker took a message, and it is not where it was aimed at."""


def aimed(channel: Any, matrix: Matrix, actor: Actor, header: str) -> None:  # noqa: ANN401 - pika is untyped
    """Publish where it may, and aim at another's queue besides. Raises NotReached."""
    matrix.found(actor, actor.other_queue)
    publish(channel, actor.own_exchange, "Nothing", headers={header: [actor.other_queue]})
    if not matrix.found(actor, actor.other_queue):
        raise NotReached


Operation = Callable[[Any, Actor, Matrix], object]
OPERATIONS: dict[str, Operation] = {
    "enter its own vhost": lambda _c, _a, _m: None,
    "declare a queue of a strange name": lambda c, _a, _m: c.queue_declare("strange"),
    "declare an exchange of a strange name": lambda c, _a, _m: c.exchange_declare("strange"),
    "declare its own queue again": lambda c, a, m: quorum(c, a.own_queue, m, a),
    "declare another's queue again": lambda c, a, m: quorum(c, a.other_queue, m, a),
    "ask for its own queue's length": lambda c, a, _m: c.queue_declare(a.own_queue, passive=True),
    "ask for another's queue's length": lambda c, a, _m: c.queue_declare(a.other_queue, passive=True),
    "delete its own queue": lambda c, a, _m: c.queue_delete(a.own_queue),
    "delete another's queue": lambda c, a, _m: c.queue_delete(a.other_queue),
    "delete its own exchange": lambda c, a, _m: c.exchange_delete(a.own_exchange),
    "read its own queue": lambda c, a, _m: consume(c, a.own_queue),
    "read another's queue": lambda c, a, _m: consume(c, a.other_queue),
    "read the door's queue": lambda c, a, _m: consume(c, a.door_queue),
    "purge its own queue": lambda c, a, _m: c.queue_purge(a.own_queue),
    "purge another's queue": lambda c, a, _m: c.queue_purge(a.other_queue),
    "bind its own queue to its own exchange": lambda c, a, _m: c.queue_bind(a.own_queue, a.own_exchange, "x"),
    "bind another's queue to its own exchange": lambda c, a, _m: c.queue_bind(a.other_queue, a.own_exchange, "x"),
    "unbind the door's queue": lambda c, a, _m: c.queue_unbind(a.door_queue, a.own_exchange, ""),
    "bind its own exchange to another": lambda c, a, _m: c.exchange_bind(a.own_exchange, a.other_exchange, "x"),
    "publish to its own exchange": lambda c, a, _m: publish(c, a.own_exchange, "x"),
    "publish to another's exchange": lambda c, a, _m: publish(c, a.other_exchange, "x"),
    "publish to an exchange of RabbitMQ's own": lambda c, _a, _m: publish(c, "amq.topic", "x"),
    "publish straight into its own queue": lambda c, a, _m: publish(c, "", a.own_queue),
    "publish straight into another's queue": lambda c, a, _m: publish(c, "", a.other_queue),
    "reach another's queue by a CC header": lambda c, a, m: aimed(c, m, a, "CC"),
    "reach another's queue by a BCC header": lambda c, a, m: aimed(c, m, a, "BCC"),
    "say its own user-id": lambda c, a, _m: publish(c, a.own_exchange, "x", user_id=a.user),
    "say another's user-id": lambda c, a, _m: publish(c, a.own_exchange, "x", user_id="site.matrix-two"),
}


def outcome(matrix: Matrix, actor: Actor, operation: str) -> bool:
    """Whether the broker let it; whatever else goes wrong is raised."""
    try:
        with connected(matrix.url(actor)) as connection:
            OPERATIONS[operation](connection.channel(), actor, matrix)
    except NotReached:
        return False
    except (AMQPChannelError, AMQPConnectionError) as error:
        if not refused(error):
            raise
        return False
    return True


def refused(error: Exception) -> bool:
    """Whether the broker said that it may not; pika tells a vhost's refusal by its own exception."""
    return getattr(error, "reply_code", None) in REFUSED or "AccessDenied" in type(error).__name__


@pytest.mark.parametrize(("operation", "kind", "told"), [cell for cell in CELLS if cell.values[0] in OPERATIONS])
def test_each_kind_of_account_may_do_exactly_this(matrix: Matrix, operation: str, kind: str, told: str) -> None:
    """Against the real broker, with the deployed accounts of services and provisioned ones of outsiders."""
    for actor in matrix.actors[kind]:
        assert outcome(matrix, actor, operation) == (told != "no"), (actor.user, operation)
        if operation.startswith(("delete", "unbind")):
            matrix.rabbit.load(matrix.definitions)


def test_the_table_is_tried_whole() -> None:
    """Each row of it, and nothing that is not in it."""
    elsewhere = {"enter any other vhost", "enter the management API"}
    assert {row[0] for row in _ROWS[1:]} == set(OPERATIONS) | elsewhere


@pytest.mark.parametrize("kind", KINDS)
def test_nobody_enters_another_vhost(matrix: Matrix, kind: str) -> None:
    """But intake that of sites and referral that of partners, who have doors there."""
    homes = {"intake": {NAMES.internal, NAMES.ingest}, "referral": {NAMES.internal, NAMES.partners}}
    for actor in matrix.actors[kind]:
        for vhost in {*NAMES, "/"} - homes.get(actor.user, {actor.vhost}):
            with pytest.raises(AMQPConnectionError) as caught, connected(matrix.url(actor, vhost)):
                pass
            assert refused(caught.value), (actor.user, vhost)


@pytest.mark.parametrize("kind", KINDS)
def test_nobody_enters_the_management_api(matrix: Matrix, kind: str) -> None:
    """Its queue lists would name every site and partner."""
    for actor in matrix.actors[kind]:
        url = matrix.rabbit.management_url(actor.user, actor.password)
        assert httpx.get(f"{url}/api/queues", trust_env=False).status_code == httpx.codes.UNAUTHORIZED


@pytest.mark.parametrize("kind", ["site", "partner"])
def test_what_an_outsider_writes_comes_in_at_the_door_under_its_name(matrix: Matrix, kind: str) -> None:
    """The property `user-id` is the broker's word for who wrote."""
    (actor,) = matrix.actors[kind]
    matrix.found(actor, actor.door_queue)
    assert outcome(matrix, actor, "say its own user-id")
    (message,) = matrix.found(actor, actor.door_queue)
    assert message["properties"]["user_id"] == actor.user
