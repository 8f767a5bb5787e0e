"""With a million cases, a person is found and a case is read while an agent would not notice the wait."""

import math
import time
from collections.abc import Callable, Iterable
from itertools import count
from random import Random
from typing import Any

import httpx
import pytest

from services.chassis.postgres import EmbeddedPostgres
from tests.support.house import House
from tests.support.million import SITE, STORY, Stored, store
from tests.support.population import wrongly

pytestmark = pytest.mark.soak

CASES, CALLS = 1_000_000, 1000
_SITES = count()


@pytest.mark.timeout(1800)
def test_searches_and_reads_are_quick(
    houses: Callable[..., House], server: EmbeddedPostgres, tell: Callable[[str], None]
) -> None:
    """Each 99 times in 100 within 100 ms, over HTTP, from many sites one after the other."""
    urls = {name: server.url(name, name) for name in ("intake", "reporting")}
    house = houses(**{f"RELAIS_DATABASE_URL_{name.upper()}": url for name, url in urls.items()})
    house.start(*urls)
    house.kill(*urls)
    began = time.monotonic()
    stored = store(urls["intake"], urls["reporting"], house.folder, CASES)
    tell(f"{CASES:,} cases stored in {time.monotonic() - began:.0f} s")
    house.start(*urls)
    random = Random("a million")  # noqa: S311 - made-up people, no secret
    sought, read = random.choices(stored, k=CALLS), random.choices(stored, k=CALLS)
    for calls in (50, CALLS):  # the first few find nothing in memory yet
        finding = list(_timed(_search(house, one, random) for one in sought[:calls]))
        reading = list(_timed(_read(house, one) for one in read[:calls]))
        viewing = list(_timed(_view(house, one) for one in read[:calls]))
    found = sum(
        any(match["case"] == str(one.case) for match in answer.json()["matches"])
        for one, (answer, _) in zip(sought, finding, strict=True)
    )
    assert all(answer.json()["stories"][0]["text"] == STORY for answer, _ in reading)
    for answer, _ in viewing:
        case = answer.json()
        assert (case["story"]["stories"][0]["text"], len(case["timeline"]), case["missing"]) == (STORY, 3, None)
    calls_of = {"search": finding, "story": reading, "case with its story": viewing}
    figures = [f"{name} p50 {_p50(timed):.1f} p99 {_p99(timed):.1f} ms" for name, timed in calls_of.items()]
    tell(f"with {CASES:,} cases: {', '.join(figures)}; {found / CALLS:.1%} found")
    assert found > 0.9 * CALLS
    assert max(map(_p99, calls_of.values())) <= 100


def _search(house: House, one: Stored, random: Random) -> Callable[[], httpx.Response]:
    """From a site of its own, since each may search so often only; by what one slip of the pen has made of a person."""
    url, headers = f"{house.url('intake')}/v1/cases/search", house.bearer("agent", f"site-{next(_SITES)}")
    form: dict[str, Any] = {"person": wrongly(one.someone, random).form()}
    return lambda: house.client.post(url, json=form, headers=headers)


def _read(house: House, one: Stored) -> Callable[[], httpx.Response]:
    url, headers = f"{house.url('intake')}/v1/cases/{one.case}/story", house.bearer("agent", SITE)
    return lambda: house.client.get(url, headers=headers)


def _view(house: House, one: Stored) -> Callable[[], httpx.Response]:
    """At reporting, which asks intake for the story."""
    url, headers = f"{house.url('reporting')}/v1/cases/{one.case}", house.bearer("agent", SITE)
    return lambda: house.client.get(url, headers=headers)


def _timed(calls: Iterable[Callable[[], httpx.Response]]) -> Iterable[tuple[httpx.Response, float]]:
    for call in calls:
        began = time.perf_counter()
        answer = call()
        took = time.perf_counter() - began
        assert answer.status_code == httpx.codes.OK, answer.text
        yield answer, 1000 * took


def _p99(timed: list[tuple[httpx.Response, float]]) -> float:
    return sorted(took for _, took in timed)[math.ceil(0.99 * len(timed)) - 1]


def _p50(timed: list[tuple[httpx.Response, float]]) -> float:
    return sorted(took for _, took in timed)[len(timed) // 2]
