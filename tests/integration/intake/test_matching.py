"""How well people are found again, on a small population; `python -m tests.bench matching` has it of 50,000."""

from collections.abc import Callable

from tests.support.counter import Counter
from tests.support.matching import measure


def test_people_are_found_again(counter: Counter, tell: Callable[[str], None]) -> None:
    """Nobody is joined, nearly everybody is offered, and hardly anybody else."""
    found = measure(counter, 2_000, 300)
    tell(
        f"offered: {found.exact.share:.1%} exact, {found.typo.share:.1%} with a slip; {found.wrong:.4f} wrong a search"
    )
    assert found.joined == 0
    assert found.exact.share >= 0.98
    assert found.typo.share >= 0.90
    assert found.wrong < 0.1
