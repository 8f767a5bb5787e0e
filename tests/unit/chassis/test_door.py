"""What the way in besides HTTP does with a reply that the broker would not take; without a broker."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from services.chassis import outside
from services.chassis.door import FAILED, LONGEST_REPLY, Receiver
from services.chassis.letters import Letter, Reply
from services.chassis.tokens import Caller

LETTERS = [Letter(Caller("site", org, f"site.{org}"), b"{}", "") for org in ("hem", "roye")]


class Talking(Receiver):
    """Whose service's method says what it is told to, and `short` of what failed."""

    def __init__(self, said: Sequence[str], short: str) -> None:
        super().__init__(outside.INGEST, role="site")
        self.queue: Any = SimpleNamespace(name="intake.visits")
        self._said, self._short = said, short

    def _call(self, *arguments: Any) -> list[Reply]:  # noqa: ANN401 - as the consumer's
        (letters,) = arguments
        if letters[0].problem is FAILED:
            return [Reply(500, self._short)]
        return [Reply(422, said) for said in self._said]


@pytest.mark.parametrize(
    ("said", "short", "expected"),
    [
        pytest.param("x" * LONGEST_REPLY, "failed", Reply(422, "x" * LONGEST_REPLY), id="as long as may be"),
        pytest.param("é" * (LONGEST_REPLY // 2 + 1), "failed", Reply(500, "failed"), id="too long"),
        pytest.param("x" * (LONGEST_REPLY + 1), "x" * (LONGEST_REPLY + 1), Reply(500), id="the failure is, too"),
    ],
)
def test_a_reply_without_end_is_a_failure(said: str, short: str, expected: Reply) -> None:
    """Its writer is told so, and its neighbour what it is told anyway; at the worst, nothing is sent."""
    replies = Talking([said, "short"], short)._answer_briefly(LETTERS)  # noqa: SLF001 - what it sends
    assert replies == [expected, Reply(422, "short")]
