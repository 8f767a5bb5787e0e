"""The master key is changed with 100,000 cases, while everybody goes on telling and reading: no read fails."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from statistics import quantiles
from threading import Event as Signal
from typing import Any
from uuid import uuid4

import pytest

from services.chassis.app import App
from services.chassis.database import Database
from services.chassis.keyring import KEEPERS, census, open_vault
from services.chassis.settings import Settings
from tests.support.house import House, eventually, need, visit

CASES, BATCH, AT_ONCE = 100_000, 1000, 20
SECONDS_BEFORE = 15.0
SITE = "fs-moreuil"
Told = dict[str, Any]


def person(number: int) -> Told:
    """Somebody's visit, with nothing to refer."""
    name = "".join(chr(ord("a") + int(digit)) for digit in str(number))
    known = {"family_name": f"Essai-{name}", "given_name": "Zoé", "birth_date": None, "phone": None, "email": None}
    body = visit(needs=[need("declarer-revenus", outcome="resolved")], story="dit une fois", age_band="unknown")
    return body | {"person": known | {"birth_date": f"{1940 + number % 60}-03-14"}, "agreement": None}


@dataclass
class Load:
    """Until `stop`: old visits sent again, which want the same references, stories read, and new visits written."""

    house: House
    bodies: list[Told]
    answers: dict[str, Told]
    stop: Signal = field(default_factory=Signal)
    times: list[tuple[float, float]] = field(default_factory=list)  # when, how long a story's reading took
    written: list[tuple[Told, str]] = field(default_factory=list)

    def send_again(self) -> int:
        """Again and again; how many. Each answer needs the case's key and the visit's index."""
        number = 0
        while not self.stop.is_set():
            asked = [self.bodies[(number + each * 4999) % len(self.bodies)] for each in range(AT_ONCE)]
            assert [(one["status"], one["reference"]) for one in self.house.post_lines(SITE, asked)] == [
                (200, self.answers[body["visit_id"]]["reference"]) for body in asked
            ]
            number += AT_ONCE
        return number

    def read(self) -> int:
        """Read one story after the other; how many."""
        number, headers = 0, self.house.bearer("agent", SITE)
        while not self.stop.is_set():
            body = self.bodies[number * 7919 % len(self.bodies)]
            url = f"{self.house.url('intake')}/v1/cases/{self.answers[body['visit_id']]['case']}/story"
            began = time.monotonic()
            answer = self.house.client.get(url, headers=headers)
            self.times.append((began, time.monotonic() - began))
            assert answer.status_code == 200, answer.text
            assert answer.json()["stories"][0]["text"] == body["story"]
            assert answer.json()["person"]["family_name"] == body["person"]["family_name"]
            number += 1
        return number

    def write(self, first: int) -> int:
        """Tell of new people, one after the other."""
        while not self.stop.is_set():
            body = person(first + len(self.written))
            answer = self.house.post_visit(body)
            assert answer.status_code == 201, answer.text
            self.written.append((body, answer.json()["reference"]))
            time.sleep(0.05)
        return len(self.written)


def seed(house: House) -> tuple[list[Told], dict[str, Told]]:
    """Have 100,000 cases in intake, through the API, and as many keys in referral; the visits and their answers."""
    bodies = [person(number) for number in range(CASES)]
    answers = {}
    for first in range(0, CASES, BATCH):
        for one in house.post_lines(SITE, bodies[first : first + BATCH]):
            assert one["status"] == 201, one
            answers[one["visit_id"]] = one
    database, settings = Database(house.databases["referral"], "test"), Settings(state=house.folder)
    app = App("referral", settings, database, open_vault(settings, database, "referral"))
    for _ in range(0, CASES, BATCH):
        with app.work() as work:
            for _ in range(BATCH):
                work.new_key(uuid4())
    database.close()
    return bodies, answers


def told_of(times: list[tuple[float, float]], begin: float, end: float) -> str:
    """How long readings took that began in this time."""
    took = [1000 * each for at, each in times if begin <= at < end]
    cuts = quantiles(took, n=100)
    return f"{len(took)} stories read, p50 {cuts[49]:.0f} ms, p99 {cuts[98]:.0f} ms"


def wraps_with(house: House, service: str, key: str) -> bool:
    """Whether a running service wraps with the master key of this fingerprint."""
    found = re.findall(r"relais_master_key\{([^}]*)\} 1\.0", house.metrics(service))
    return len(found) == 1 and f'key="{key}"' in found[0]


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_no_read_fails_while_it_is_changed(houses: Callable[..., House], tell: Callable[[str], None]) -> None:
    """Nobody is restarted, what was told meanwhile can be read, and the old key opens nothing any more."""
    house = houses()
    house.start(*KEEPERS)
    began = time.monotonic()
    bodies, answers = seed(house)
    tell(f"{CASES} cases made in {time.monotonic() - began:.0f} s")
    load, (old,) = Load(house, bodies, answers), (house.folder / "master-key").read_text().split()
    with ThreadPoolExecutor(3) as pool:
        reading, sending, telling = pool.submit(load.read), pool.submit(load.send_again), pool.submit(load.write, CASES)
        began = time.monotonic()
        time.sleep(SECONDS_BEFORE)
        rotating = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "services", "keys", "rotate", "--drop-old", "--json"],
            env=house.environment,
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
        rotated = time.monotonic()
        time.sleep(5)
        load.stop.set()
        read, again, written = (each.result(60) for each in (reading, sending, telling))
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    tell(f"rotation: {facts['anew']} keys wrapped anew in {facts['seconds']} s; process {rotated - rotating:.1f} s")
    tell(f"{read} stories read, {again} visits sent again, {written} told meanwhile: none failed")
    tell(f"before: {told_of(load.times, began, rotating)}; meanwhile: {told_of(load.times, rotating, rotated)}")
    assert facts["dropped"]
    assert facts["anew"]["intake"] >= CASES
    assert facts["anew"]["referral"] >= CASES
    assert old not in (house.folder / "master-key").read_text()
    sent_again = house.post_lines(SITE, [body for body, _ in load.written[:1000]])
    assert [one["reference"] for one in sent_again] == [reference for _, reference in load.written[:1000]]
    for service in KEEPERS:
        eventually(partial(wraps_with, house, service, facts["key"]))
        database, settings = Database(house.databases[service], "test"), Settings(state=house.folder)
        found = census(database, open_vault(settings, database, service))
        database.close()
        assert set(found) == {facts["key"]}
        tell(f"{service}: {found[facts['key']]} keys on the new master key, none on another")
