"""How well people are found again: a population recorded at a counter, then looked for by the real search."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from random import Random
from uuid import UUID, uuid4

from services.chassis.tokens import Caller
from services.intake import handlers, search
from services.intake.call import Call
from services.intake.case_forms import SearchForm
from services.intake.forms import VisitForm
from services.intake.handlers import Posted
from services.intake.tables import cases, merges
from tests.support.counter import SITE, Counter
from tests.support.office import TRACE
from tests.support.population import Population, Someone, otherwise, wrongly

_LINES = 500


@dataclass
class Kind:
    """Searches of one kind: how many of those sought were shown, and how many others."""

    searches: int = 0
    offered: int = 0
    wrong: int = 0

    @property
    def share(self) -> float:
        """Of those sought, who was shown."""
        return self.offered / self.searches


@dataclass
class Found:
    """What came of it; `seconds` of each search. `joined`: cases that were joined without a human."""

    exact: Kind = field(default_factory=Kind)
    typo: Kind = field(default_factory=Kind)
    new: Kind = field(default_factory=Kind)
    seconds: list[float] = field(default_factory=list)
    joined: int = 0

    @property
    def wrong(self) -> float:
        """Others shown, a search."""
        kinds = (self.exact, self.typo, self.new)
        return sum(one.wrong for one in kinds) / sum(one.searches for one in kinds)


def measure(counter: Counter, people: int, searches: int) -> Found:
    """Record so many people, then look for some written otherwise, some written wrongly, and some who never came."""
    population = Population("relais").people(people)
    recorded = list(zip(population, record(counter, population), strict=True))
    found, random = Found(), Random("returns")  # noqa: S311 - made-up people, no secret
    for kind, write in ((found.exact, otherwise), (found.typo, wrongly)):
        for someone, case in random.choices(recorded, k=searches):
            found.seconds.append(_look(counter, write(someone, random), case, kind))
    for someone in Population("strangers").people(searches):
        found.seconds.append(_look(counter, someone, None, found.new))
    # As many came back without being asked who they are: each opened a case of its own.
    again = [otherwise(someone, random) for someone, _ in random.choices(recorded, k=searches)]
    record(counter, again)
    found.joined = len(recorded) + len(again) - len(counter.rows(cases, merged_into=None)) + len(counter.rows(merges))
    return found


def record(counter: Counter, people: Sequence[Someone]) -> list[UUID]:
    """Have a visit of each; their cases."""
    opened: list[UUID] = []
    for start in range(0, len(people), _LINES):
        posted = list(_posted(counter, people[start : start + _LINES]))
        for result in handlers.record_visits(posted, counter.app, counter.network):
            assert isinstance(result, handlers.Recorded), result
            assert result.answer.case is not None
            opened.append(result.answer.case)
    return opened


def _posted(counter: Counter, people: Iterable[Someone]) -> Iterable[Posted]:
    caller = Caller("site", SITE, f"site:{SITE}")
    for someone in people:
        yield Posted(VisitForm.model_validate(counter.body(someone.form())), caller, TRACE)


def _look(counter: Counter, someone: Someone, case: UUID | None, kind: Kind) -> float:
    """From a site of its own, since each may search so often only; the seconds that it took."""
    site = f"site-{uuid4()}"
    call = Call(Caller("agent", site, f"agent:{site}"), TRACE, counter.app, counter.network)
    form = SearchForm.model_validate({"person": someone.form()})
    began = time.perf_counter()
    matches = search.find(form, call).matches
    took = time.perf_counter() - began
    kind.searches += 1
    kind.offered += any(match.case == case for match in matches)
    kind.wrong += sum(match.case != case for match in matches)
    return took
