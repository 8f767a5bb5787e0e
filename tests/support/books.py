"""The books of a house: what its four databases and its partners' queues say of a set of visits."""

import json
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from services.contracts.topology import SERVICES
from tests.support.crowd import Visitor
from tests.support.house import House, eventually
from tests.support.rabbit import Rabbit

_VISITS = "SELECT visit_id::text FROM visits WHERE visit_id::text = ANY(%s)"
_EVENTS = "SELECT body::json -> 'data' ->> 'visit_id' FROM outbox WHERE recipient IS NULL AND type LIKE %s"
_REFERRALS = "SELECT visit_id::text, need, partner, state, id::text FROM referrals WHERE visit_id::text = ANY(%s)"
_STEPS = (
    "SELECT visit_id::text, need, partner, state, referral_id::text FROM referral_steps WHERE visit_id::text = ANY(%s)"
)
_PENDING = """SELECT count(*) FROM outbox WHERE recipient IS NULL AND position >
    coalesce((SELECT position FROM marks WHERE name = 'relay'), 0)"""
_PENDING_OUTSIDE = """SELECT count(*) FROM outbox WHERE recipient IS NOT NULL AND position >
    coalesce((SELECT position FROM marks WHERE name = 'relay.partners'), 0)"""
# A queue tells its length every 0.5 s, and the management API collects what was told as often.
_FIGURES_LAG = 1.2


@dataclass(frozen=True)
class Balance:
    """How far the books are from what they should say."""

    lost: dict[str, int]
    double: dict[str, int]
    delivered_again: int = 0

    @property
    def even(self) -> bool:
        """Nothing lost, nothing twice."""
        return not any(self.lost.values()) and not any(self.double.values())

    def __str__(self) -> str:
        lost, double = sum(self.lost.values()), sum(self.double.values())
        detail = "" if self.even else f" (lost {self.lost}, double {self.double})"
        return f"{lost} lost, {double} double, {self.delivered_again} delivered again to partners{detail}"


class Books:
    """Compares what is written with what a set of visitors must have led to."""

    def __init__(self, house: House, rabbit: Rabbit, vhost: str) -> None:
        self._house, self._rabbit, self.vhost = house, rabbit, vhost

    def rows(self, service: str, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Read a service's database, as its own role."""
        url = self._house.databases[service].replace("postgresql+psycopg://", "postgresql://")
        with psycopg.connect(url) as connection:
            return connection.execute(query, parameters).fetchall()

    def change(self, service: str, statement: sql.SQL | sql.Composed) -> None:
        """Change a service's tables, as its own role."""
        url = self._house.databases[service].replace("postgresql+psycopg://", "postgresql://")
        with psycopg.connect(url) as connection:
            connection.execute(statement)

    def settle(self, visitors: Sequence[Visitor], within: float = 30.0) -> float:
        """Wait until nothing is under way any more and all has arrived; how many seconds that took."""
        started = time.monotonic()
        ids = [one.visit_id for one in visitors]
        opened = sum(len(one.referrals) for one in visitors)

        def arrived() -> bool:
            return (
                len(self.rows("reporting", _VISITS, ids)) >= len(ids)
                and len(self.rows("reporting", _STEPS, ids)) >= opened
                and not any(self.rows(service, _PENDING)[0][0] for service in ("intake", "orientation", "referral"))
                and not self.rows("referral", _PENDING_OUTSIDE)[0][0]
            )

        eventually(arrived, within, every=0.2)
        took = time.monotonic() - started
        time.sleep(_FIGURES_LAG)
        eventually(self._quiet, within, every=0.2)
        return took

    def balance(self, visitors: Sequence[Visitor]) -> Balance:
        """Compare visits, proposals, referrals and counts, one by one; drains the partners' queues."""
        ids = [one.visit_id for one in visitors]
        everyone, oriented = Counter(ids), Counter(one.visit_id for one in visitors if one.oriented)
        referrals = Counter((one.visit_id, *referral) for one in visitors for referral in one.referrals)
        found_referrals = self.rows("referral", _REFERRALS, ids)
        found_steps = self.rows("reporting", _STEPS, ids)
        books: dict[str, tuple[Counter[Any], Counter[Any]]] = {
            "visits": (everyone, self._ids("intake", _VISITS, ids)),
            "VisitRecorded": (everyone, self._ids("intake", _EVENTS, "%VisitRecorded%", among=ids)),
            "OrientationProposed": (oriented, self._ids("orientation", _EVENTS, "%OrientationProposed%", among=ids)),
            "referrals": (referrals, Counter(row[:4] for row in found_referrals)),
            "visits counted": (everyone, self._ids("reporting", _VISITS, ids)),
            "referrals followed": (referrals, Counter(row[:4] for row in found_steps)),
        }
        lost = {name: (wanted - found).total() for name, (wanted, found) in books.items()}
        double = {name: (found - wanted).total() for name, (wanted, found) in books.items()}
        addressed = {(row[4], row[2]) for row in found_referrals if row[3] == "sent"}
        delivered = self._delivered({partner for _, partner in addressed})
        lost["deliveries"] = len(addressed - set(delivered))
        # The same referral under another id would be a second event to whoever deduplicates on source and id.
        double["deliveries"] = sum(len(set(delivered[key])) - 1 for key in addressed if key in delivered)
        again = sum(len(delivered[key]) - 1 for key in addressed if key in delivered)
        return Balance(lost, double, again)

    def _ids(self, service: str, query: str, *parameters: object, among: list[str] | None = None) -> Counter[str]:
        found = Counter(row[0] for row in self.rows(service, query, *parameters))
        return found if among is None else Counter({key: found[key] for key in set(among) & set(found)})

    def _delivered(self, partners: set[str]) -> dict[tuple[str, str], list[tuple[str, str]]]:
        """(referral, partner) -> (source, id) of each message in the partner's queue."""
        found: dict[tuple[str, str], list[tuple[str, str]]] = {}
        for partner in partners:
            while messages := self._rabbit.drain(self.vhost, f"out.{partner}", 1000):
                for event in (json.loads(message["payload"]) for message in messages):
                    found.setdefault((event["data"]["referral_id"], partner), []).append((event["source"], event["id"]))
        return found

    def _quiet(self) -> bool:
        """Whether every queue inside is empty."""
        queues = self._rabbit.queues(self.vhost)
        return not any(queue.get("messages", 1) for name, queue in queues.items() if name.startswith(SERVICES))
