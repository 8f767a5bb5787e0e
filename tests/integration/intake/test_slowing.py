"""Refusals to a partner: one answer, one time, a budget; and nothing of it for who may read."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from uuid import UUID, uuid4

import pytest

from services.chassis.errors import Rejected
from services.contracts.codes import ReferralState
from services.intake import slowing, stories
from services.intake.tables import allowances
from tests.support import readers
from tests.support.counter import Counter
from tests.support.readers import ELSE, HELPS


def timed(work: Callable[[], object]) -> tuple[float, object]:
    """How long it took, and what came of it: the refusal as the partner gets it."""
    started = time.monotonic()
    try:
        done = work()
    except Rejected as error:
        return time.monotonic() - started, (error.status, error.slug, error.detail, error.headers)
    return time.monotonic() - started, done


def ask(counter: Counter, referral: UUID, org: str = HELPS) -> tuple[float, object]:
    """A partner asks for the story of a referral."""
    return timed(lambda: stories.of_referral(referral, readers.asked_by(counter, org)))


def spent(counter: Counter) -> float:
    """How many refusals the partner has spent by now, where each is given back after a minute."""
    (row,) = counter.rows(allowances)
    return float((row.spent_until - counter.clock.now()) / slowing.BUDGET.cost)


def test_every_reason_has_the_same_answer_after_the_same_time(counter: Counter) -> None:
    """Never there, another's, not agreed to, at its end: a second after the question."""
    case, visit = readers.told_by(counter)
    another = readers.sending(case, visit, ELSE)
    ended, unagreed = readers.sending(case, visit), readers.sending(case, visit)
    readers.hear(counter, another, ended, readers.step(ended, ReferralState.COMPLETED), unagreed)
    wanted = [uuid4(), another.referral_id, ended.referral_id, unagreed.referral_id]
    with ThreadPoolExecutor(4) as threads:
        asked = list(threads.map(partial(ask, counter), wanted))
    assert {str(said) for _, said in asked} == {str(asked[0][1])}
    assert "404" in str(asked[0][1])
    assert all(0.95 < seconds < 10 for seconds, _ in asked), asked


def test_who_asks_before_intake_has_heard_gets_it_as_soon_as_it_has(
    counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A partner may be faster than our own queue: that costs it nothing of its budget."""
    monkeypatch.setattr(slowing, "REFUSED_AFTER", 20.0)
    case, visit = readers.told_by(counter)
    readers.agree(counter, case, "local")
    sent = readers.sending(case, visit)
    with ThreadPoolExecutor(1) as threads:
        asked = threads.submit(ask, counter, sent.referral_id)
        time.sleep(0.3)
        assert not asked.done()
        readers.hear(counter, sent)
        seconds, view = asked.result()
    assert getattr(view, "referral_id", None) == sent.referral_id
    assert seconds < 15
    assert spent(counter) <= 0


def test_past_the_budget_refusals_are_429_at_once_and_reading_goes_on(
    counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 40 guesses at once 20 wait, and the others are told when to come back; other partners are let be."""
    monkeypatch.setattr(slowing, "REFUSED_AFTER", 0.2)
    case, visit = readers.told_by(counter)
    readers.agree(counter, case, "local")
    readers.agree(counter, case, ELSE)
    mine, another = readers.sending(case, visit), readers.sending(case, visit, ELSE)
    readers.hear(counter, mine, another)
    guesses = [another.referral_id if number % 2 else uuid4() for number in range(40)]
    monkeypatch.setattr(slowing, "MOST_WAITING", 100)
    with ThreadPoolExecutor(8) as threads:
        said = [str(one) for _, one in threads.map(partial(ask, counter), guesses)]
    assert sum("404" in each for each in said) == slowing.BUDGET.most
    assert sum("429" in each for each in said) == 40 - slowing.BUDGET.most
    assert all("'Retry-After': '60'" in each for each in said if "429" in each)
    assert getattr(ask(counter, mine.referral_id)[1], "referral_id", None) == mine.referral_id
    assert getattr(ask(counter, another.referral_id, ELSE)[1], "referral_id", None) == another.referral_id
    assert "404" in str(ask(counter, uuid4(), ELSE)[1])


def test_the_budget_comes_back(counter: Counter, monkeypatch: pytest.MonkeyPatch) -> None:
    """One a minute, as steadily as they are spent."""
    monkeypatch.setattr(slowing, "REFUSED_AFTER", 0.0)
    for _ in range(slowing.BUDGET.most):
        assert "404" in str(ask(counter, uuid4())[1])
    counter.clock.move(seconds=50)
    assert "'Retry-After': '10'" in str(ask(counter, uuid4())[1])
    counter.clock.move(seconds=10)
    assert "404" in str(ask(counter, uuid4())[1])
    assert "'Retry-After': '60'" in str(ask(counter, uuid4())[1])


def test_only_so_many_wait_in_one_process(counter: Counter, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are told to come back in a second, and it does not count: workers are for everybody."""
    monkeypatch.setattr(slowing, "REFUSED_AFTER", 0.6)
    monkeypatch.setattr(slowing, "MOST_WAITING", 2)
    with ThreadPoolExecutor(6) as threads:
        said = [str(one) for _, one in threads.map(lambda _: ask(counter, uuid4()), range(6))]
    assert sum("404" in each for each in said) == 2
    assert sum("'Retry-After': '1'" in each for each in said) == 4
    assert round(spent(counter)) == 2
