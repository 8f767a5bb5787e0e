"""Three RabbitMQ nodes that are one broker: private, on loopback, with an epmd, a cookie and data of their own."""

import secrets
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, TypeVar

import httpx

from tests.support.house import eventually
from tests.support.rabbit import Rabbit, RabbitError

T = TypeVar("T")

JOIN_SECONDS = 90.0
ELECTION_SECONDS = 60.0


class Shared(NamedTuple):
    """What makes nodes one: who knows the cookie may join, and the port mapper tells where the others are."""

    name: str
    cookie: str
    password: str
    epmd_port: int
    epmd: subprocess.Popen[bytes] | None


class Node(Rabbit):
    """One node. The first one starts and ends the port mapper of all."""

    def __init__(self, folder: Path, first: Shared | None = None) -> None:
        folder.mkdir()
        self._first = first
        self._cookie = first.cookie if first else secrets.token_hex(16)
        super().__init__(folder)

    @property
    def name(self) -> str:
        """What the other nodes call it."""
        return self._name

    def shared(self) -> Shared:
        """What the others need of it, once it runs."""
        return Shared(self._name, self._cookie, self.password, self._epmd_port, self._epmd)

    def _prepare(self, dist_port: int) -> None:
        peers = [self._name]
        if self._first:
            peers.insert(0, self._first.name)
            self.password, self._epmd_port, self._epmd = self._first[2:]
            self._api.auth = httpx.BasicAuth(self.user, self.password)
        super()._prepare(dist_port)
        cookie = self.folder / ".erlang.cookie"
        cookie.chmod(0o600)
        cookie.write_text(self._cookie)
        cookie.chmod(0o400)
        with (self.folder / "rabbitmq.conf").open("a") as conf:
            conf.write("cluster_partition_handling = pause_minority\nnet_ticktime = 10\n")
            conf.write("cluster_formation.peer_discovery_backend = classic_config\n")
            conf.writelines(
                f"cluster_formation.classic_config.nodes.{number} = {peer}\n" for number, peer in enumerate(peers, 1)
            )


class Cluster:
    """Three nodes; quorum queues have a replica on each. A minority that is cut off pauses itself."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.nodes: list[Node] = []

    def start(self) -> None:
        """Start all three and wait until they are one."""
        first = Node(self._folder / "1")
        self.nodes.append(first)
        first.start()
        others = [Node(self._folder / str(number), first.shared()) for number in (2, 3)]
        self.nodes += others
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(Node.start, others))
        eventually(lambda: len(self._running(first)) == 3, JOIN_SECONDS)

    def close(self) -> None:
        """End all three for good."""
        for node in reversed(self.nodes):
            node.close()

    def url(self, vhost: str) -> str:
        """Every node's, separated by semicolons, as a client is given them."""
        return ";".join(node.url(vhost) for node in self.nodes)

    def leader(self, vhost: str, queue: str, *, asked: Node | None = None) -> Node:
        """The node through which a quorum queue takes and gives its messages, as another one sees it."""

        def elected() -> Node | None:
            name = (asked or self.nodes[0]).queues(vhost)[queue].get("leader")
            return next((node for node in self.nodes if node.name == name), None)

        found: Node = eventually(_patient(elected), ELECTION_SECONDS)
        return found

    def busiest(self, vhost: str) -> Node:
        """The node that most clients are connected to; a connection is listed a moment after it was made."""

        def connected() -> Node | None:
            nodes = [one["node"] for one in self.nodes[0].api("GET", "/connections") if one["vhost"] == vhost]
            return max(self.nodes, key=lambda node: nodes.count(node.name)) if nodes else None

        found: Node = eventually(_patient(connected), ELECTION_SECONDS)
        return found

    def whole(self, vhost: str, within: float = JOIN_SECONDS) -> None:
        """Wait until all nodes run and every queue has its three replicas at work."""
        eventually(_patient(lambda: all(len(self._running(node)) == 3 for node in self.nodes)), within, 0.5)
        eventually(_patient(lambda: self._replicated(vhost)), within, 0.5)

    def _replicated(self, vhost: str) -> bool:
        queues = self.nodes[0].queues(vhost).values()
        return bool(queues) and all(len(queue.get("online", ())) == 3 for queue in queues)

    @staticmethod
    def _running(asked: Node) -> list[str]:
        return [node["name"] for node in asked.api("GET", "/nodes") if node["running"]]


def _patient(check: Callable[[], T]) -> Callable[[], T | None]:
    """Nothing, too, while a node is leaving or on its way back, and the others answer with an error or not at all."""

    def answered() -> T | None:
        try:
            return check()
        except (httpx.HTTPError, RabbitError):
            return None

    return answered
