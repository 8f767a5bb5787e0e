"""How flaws are put into words."""

from collections.abc import Sequence

_NAMED = 3


def a_few_of(names: Sequence[str]) -> str:
    """The first of them, and how many more there are: a flaw is read on one line."""
    if len(names) <= _NAMED + 1:
        return ", ".join(names)
    return f"{', '.join(names[:_NAMED])} et {len(names) - _NAMED} autres"
