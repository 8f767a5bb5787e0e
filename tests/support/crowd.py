"""Visitors by the hundred: sites that post whatever happens, and send the same visit again until it is answered."""

import itertools
import json
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.support.house import House, need, visit

SITE = "fs-moreuil"
YOUNG, HOUSING, CHILD, DEBT = "jeune-sans-emploi-ni-formation", "logement", "attendre-un-enfant", "endettement"
# (need, partner, state) of the referrals that each kind of visit leads to, in the demo network of Moreuil.
Referrals = tuple[tuple[str, str, str], ...]
_YOUNG: Referrals = ((YOUNG, "mission-locale-santerre", "sent"),)
_KINDS: tuple[tuple[dict[str, Any], Referrals], ...] = (
    ({}, _YOUNG),
    ({}, _YOUNG),
    ({}, _YOUNG),
    ({"needs": [need(YOUNG), need(HOUSING)]}, (*_YOUNG, (HOUSING, "departement-80", "sent"))),
    ({"needs": [need(CHILD)]}, ((CHILD, "cpam", "sent"), (CHILD, "cnaf", "sent"))),
    (
        {"needs": [need(DEBT)], "agreement": {"recipients": ["operator"]}},
        ((DEBT, "point-conseil-budget-santerre", "awaiting-agreement"),),
    ),
    ({"person": None, "agreement": None, "story": None}, ()),
    ({"needs": [need(HOUSING, outcome="resolved")]}, ()),
)


@dataclass(frozen=True)
class Visitor:
    """A visit, and what must become of it."""

    body: dict[str, Any]
    referrals: Referrals

    @property
    def visit_id(self) -> str:
        """The visit's identifier."""
        return str(self.body["visit_id"])

    @property
    def oriented(self) -> bool:
        """Whether something is to be referred."""
        return any(one["outcome"] == "to-refer" for one in self.body["needs"])


def visitors(number: int) -> list[Visitor]:
    """Fresh visits of every kind: agreed to, not agreed to, anonymous, handled at the desk, of two referrals."""
    kinds = itertools.islice(itertools.cycle(_KINDS), number)
    return [Visitor(visit(**changes), referrals) for changes, referrals in kinds]


@dataclass
class Crowd:
    """Posts `visitors` from threads of its own, one by one and in small batches, and never gives one up."""

    house: House
    visitors: Sequence[Visitor]
    sizes: tuple[int, ...] = (1, 5, 15)
    pause: float = 0.0
    threads: int = 3
    answers: dict[str, int] = field(default_factory=dict)
    retries: int = 0
    errors: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._chunks = iter(self._chunked())
        self._lock = threading.Lock()
        self._crew = [threading.Thread(target=self._work, daemon=True) for _ in range(self.threads)]
        self._headers = self.house.bearer("site", SITE)

    def start(self) -> None:
        """Begin posting."""
        for thread in self._crew:
            thread.start()

    def wait_for(self, number: int, within: float = 60.0) -> None:
        """Wait until so many visits were answered."""
        deadline = time.monotonic() + within
        while len(self.answers) < number:
            assert not self.errors, self.errors[0]
            assert time.monotonic() < deadline, f"{len(self.answers)} of {number} answered within {within:g} s"
            time.sleep(0.005)

    def finish(self, within: float = 60.0) -> None:
        """Wait until every visit was answered."""
        self.wait_for(len(self.visitors), within)
        for thread in self._crew:
            thread.join(5)

    def _chunked(self) -> list[Sequence[Visitor]]:
        chunks, sizes, at = [], itertools.cycle(self.sizes), 0
        while at < len(self.visitors):
            size = next(sizes)
            chunks.append(self.visitors[at : at + size])
            at += size
        return chunks

    def _work(self) -> None:
        with httpx.Client(timeout=20, trust_env=False) as client:
            while True:
                with self._lock:
                    chunk = next(self._chunks, None)
                if chunk is None or self.errors:
                    return
                while not self._post(client, chunk):
                    self.retries += 1
                    time.sleep(0.05)
                time.sleep(self.pause)

    def _post(self, client: httpx.Client, chunk: Sequence[Visitor]) -> bool:
        """Post once; whether all of it was answered. Anything but success or an absence is an error of the test."""
        call: Callable[..., httpx.Response] = self._single if len(chunk) == 1 else self._batch
        try:
            answer = call(client, chunk)
        except httpx.TransportError:
            return False
        if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
            return False
        if len(chunk) == 1:
            lines = [(chunk[0].visit_id, answer.status_code)]
        else:
            lines = [(line["visit_id"], line["status"]) for line in map(json.loads, answer.text.splitlines())]
        wrong = [status for _, status in lines if status not in (200, 201)]
        if wrong or answer.status_code not in (200, 201):
            self.errors.append(f"{answer.status_code} {answer.text[:300]}")
            return True
        self.answers.update(lines)
        return True

    def _single(self, client: httpx.Client, chunk: Sequence[Visitor]) -> httpx.Response:
        return client.post(f"{self.house.url('intake')}/v1/visits", json=chunk[0].body, headers=self._headers)

    def _batch(self, client: httpx.Client, chunk: Sequence[Visitor]) -> httpx.Response:
        content = "\n".join(json.dumps(one.body) for one in chunk).encode()
        headers = self._headers | {"Content-Type": "application/x-ndjson"}
        return client.post(f"{self.house.url('intake')}/v1/visits/batch", content=content, headers=headers)
