"""A partner that guesses the numbers of referrals: no body, no time tells a right one, and nobody else waits for it."""

import asyncio
import statistics
import threading
import time
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from random import Random
from uuid import uuid4

import httpx
import pytest

from tests.support.house import House, visit

ADDRESSED = "mission-locale-santerre"
GUESSING = (
    "departement-80", "departement-80-spie", "ase-80", "mdph-80", "cap-emploi-80", "point-conseil-budget-santerre",
    "operateur-integration-80",
)  # fmt: skip
EACH = 9  # of right and of wrong guesses, by each of them: within its budget
# Of two samples of 63 of one distribution a larger distance is seen once in millions of times (Kolmogorov-Smirnov).
FARTHEST = 0.5


@pytest.fixture(scope="module")
def guessed(houses: Callable[..., House]) -> tuple[House, str]:
    """Run a house of its own, since budgets are spent here; with a referral whose number is guessed."""
    house = houses()
    house.start("intake", "orientation", "referral")
    body = visit()
    assert house.post_visit(body).status_code == 201
    (sent,) = house.sent(body)
    return house, str(sent["referral_id"])


def distance(one: Sequence[float], other: Sequence[float]) -> float:
    """How far apart two samples are at most, 0 to 1: what whoever guesses can make of times at best."""
    one, other = sorted(one), sorted(other)
    return max(
        abs(bisect_right(one, value) / len(one) - bisect_right(other, value) / len(other)) for value in (*one, *other)
    )


def asked(house: House, guesses: Iterable[tuple[str, str, str]]) -> dict[str, list[tuple[float, httpx.Response]]]:
    """Ask for stories, a few at a time, by (kind, partner, number): how long each took, and the answer."""
    found: dict[str, list[tuple[float, httpx.Response]]] = defaultdict(list)
    bearers = {org: house.bearer("partner", org) for org in {*GUESSING, ADDRESSED}}

    def ask(guess: tuple[str, str, str]) -> None:
        kind, org, number = guess
        started = time.perf_counter()
        answer = house.client.get(f"{house.url('intake')}/v1/referrals/{number}/story", headers=bearers[org])
        found[kind].append((time.perf_counter() - started, answer))

    with ThreadPoolExecutor(12) as threads:
        list(threads.map(ask, guesses))
    return found


def compared(house: House, guesses: list[tuple[str, str, str]], status: int) -> tuple[float, str]:
    """The distance of the times of right guesses from those of wrong ones; every answer is the same."""
    Random(6).shuffle(guesses)  # noqa: S311 - so that the kinds take turns
    said = asked(house, guesses)
    answers = [answer for each in said.values() for _, answer in each]
    assert {answer.status_code for answer in answers} == {status}
    assert len({answer.content for answer in answers}) == 1
    times = {kind: [seconds for seconds, _ in each] for kind, each in said.items()}
    middle = {kind: f"{1000 * statistics.median(each):.1f} ms" for kind, each in times.items()}
    return distance(times["right"], times["wrong"]), f"{len(answers)} guesses, {middle}"


def test_times_and_bodies_are_the_same(guessed: tuple[House, str], tell: Callable[[str], None]) -> None:
    """63 guesses of a number that is another's, 63 of numbers that nobody has: 404 a second later; then 429 at once."""
    house, number = guessed
    guesses = [(kind, org, number if kind == "right" else str(uuid4()))
               for org in GUESSING for kind in ("right", "wrong") for _ in range(EACH)]  # fmt: skip
    apart, figures = compared(house, guesses, 404)
    tell(f"refused: {figures}, distance {apart:.2f}")
    assert apart < FARTHEST
    spent = [("spent", org, str(uuid4())) for org in GUESSING for _ in range(2)]
    assert {answer.status_code for _, answer in asked(house, spent)["spent"]} == {404}
    apart, figures = compared(house, guesses, 429)
    tell(f"past the budget: {figures}, distance {apart:.2f}")
    assert apart < FARTHEST


def test_hundreds_of_guesses_keep_nobody_waiting(guessed: tuple[House, str], tell: Callable[[str], None]) -> None:
    """By a hundred: visits are taken meanwhile; at most the budget is answered 404, all else 429."""
    house, number = guessed
    bearer = house.bearer("partner", "france-travail")
    waited: list[float] = []
    over = threading.Event()

    def record() -> None:
        while not over.is_set():
            started = time.perf_counter()
            assert house.post_visit(visit(agreement=None)).status_code == 201
            waited.append(time.perf_counter() - started)

    async def guess() -> list[int]:
        limits = httpx.Limits(max_connections=100)
        async with httpx.AsyncClient(limits=limits, timeout=60, trust_env=False) as client:
            urls = [f"{house.url('intake')}/v1/referrals/{each}/story" for each in [number, *_numbers(399)]]
            answers = await asyncio.gather(*(client.get(url, headers=bearer) for url in urls))
        return [answer.status_code for answer in answers]

    started = time.perf_counter()
    with ThreadPoolExecutor(1) as threads:
        recording = threads.submit(record)
        try:
            statuses = asyncio.run(guess())
        finally:
            took = time.perf_counter() - started
            over.set()
        recording.result()
    counted = {status: statuses.count(status) for status in set(statuses)}
    tell(f"400 guesses by 100: {counted} in {took:.1f} s; of {len(waited)} visits the slowest {max(waited):.2f} s")
    assert set(counted) == {404, 429}
    assert counted[404] <= 20 + took / 60
    assert max(waited) < 15


def test_who_may_read_is_not_slowed(guessed: tuple[House, str]) -> None:
    """However many guesses it has made before: the addressed partner has its story at once."""
    house, number = guessed
    wrong = [("wrong", ADDRESSED, str(uuid4())) for _ in range(25)]
    assert {answer.status_code for _, answer in asked(house, wrong)["wrong"]} == {404, 429}
    reads = [asked(house, [("right", ADDRESSED, number)])["right"][0] for _ in range(3)]
    for _, answer in reads:
        assert answer.status_code == 200, answer.text
        assert answer.json()["person"]["given_name"] == "Zoé"
    assert min(seconds for seconds, _ in reads) < 0.9


def _numbers(many: int) -> list[str]:
    return [str(uuid4()) for _ in range(many)]
