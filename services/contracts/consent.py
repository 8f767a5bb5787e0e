"""What a person decided after a visit: of decisions for a partner and for its category, the latest counts."""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import NamedTuple


class Decision(NamedTuple):
    """What was decided for one recipient, a category or a partner id, and when."""

    given: bool
    sensitive: bool
    at: datetime

    def covers(self, *, reveals_health: bool) -> bool:
        """Whether it agrees, and to the health fact that being sent there tells."""
        return self.given and (self.sensitive or not reveals_health)


def latest(decisions: Iterable[Decision | None]) -> Decision | None:
    """That which counts; of two at the same moment that which withdraws. None where there is none."""
    found = [each for each in decisions if each is not None]
    return max(found, key=lambda one: (one.at, not one.given), default=None)


def deciding(decisions: Mapping[str, Decision], names: Iterable[str]) -> Decision | None:
    """The latest decision for any of a recipient's names: its id, its category."""
    return latest(decisions.get(name) for name in names)


def of_visit(names: Collection[str], agreed: Collection[str], *, sensitive: bool, at: datetime) -> Decision | None:
    """What a visit says of a recipient: that the person agreed, or nothing."""
    return Decision(given=True, sensitive=sensitive, at=at) if any(name in agreed for name in names) else None
