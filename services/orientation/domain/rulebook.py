"""The routing table and the partners it may name, indexed so that a visit costs microseconds.

The table is data (the network file); what is code here is how it is read: the first line whose conditions all hold,
and for a kind of partner the one that covers where the person lives.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from services.contracts.codes import AgeBand, Category, Need, Obstacle, Public, Regime
from services.orientation.domain.visit import ExpressedNeed, Visit

EVERYWHERE = "all"


@dataclass(frozen=True, slots=True)
class Step:
    """A kind of partner to try, if its own conditions hold."""

    kind: str
    ages: frozenset[AgeBand] = frozenset()
    france_travail_registered: bool | None = None

    def holds(self, visit: Visit) -> bool:
        """Whether this kind is meant for such a visit. A registration that nobody stated is not a yes."""
        return (not self.ages or visit.age_band in self.ages) and (
            self.france_travail_registered is None or visit.france_travail_registered is self.france_travail_registered
        )


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table; each field means what it means in the network file (see `services.network.Line`).

    `journey` is written `id@version` here.
    Whether its conditions hold is read from a `_Index`.
    """

    id: str
    needs: frozenset[Need]
    reason: str
    recipients: tuple[tuple[Step, ...], ...] = ()
    publics: frozenset[Public] = frozenset()
    or_needs: frozenset[Need] = frozenset()
    ages: frozenset[AgeBand] = frozenset()
    obstacles: frozenset[Obstacle] | None = None
    charter: bool = False
    resident: bool = False
    msa: str | None = None
    urgent: bool = False
    source: str | None = None
    journey: str | None = None

    def steps(self, visit: Visit) -> tuple[tuple[Step, ...], ...]:
        """Give the kinds to try, one tuple for each referral."""
        if self.msa and visit.regime is Regime.MSA:
            return ((Step(self.msa),),)
        return self.recipients


@dataclass(frozen=True, slots=True)
class Partner:
    """`covers` holds communes, départements or `EVERYWHERE`; the basket's days are both included."""

    id: str
    kind: str
    category: Category
    covers: frozenset[str]
    basket_from: date | None = None
    basket_until: date | None = None
    reveals_health: bool = False

    def in_basket(self, day: date) -> bool:
        """Whether the partner may be addressed on that day."""
        return (self.basket_from is None or self.basket_from <= day) and (
            self.basket_until is None or day <= self.basket_until
        )

    def receives(self, visit: Visit) -> bool:
        """Whether the partner covers the person and may be addressed on the visit's day."""
        return self.in_basket(visit.day) and not self.covers.isdisjoint((visit.residence, visit.department, EVERYWHERE))


def _those(flags: Iterable[bool]) -> int:
    """Write a set of lines as a number: its bit n is the flag of the table's line n."""
    return sum(flag << number for number, flag in enumerate(flags))


@dataclass(frozen=True, slots=True)
class _Index:
    """For each fact that a line may ask about, the lines that a visit with this fact does not contradict.

    Sets of lines are numbers (see `_those`): one `&` settles thousands of lines, so that a long table costs a visit
    hardly more than a short one.
    """

    needs: Mapping[Need, int]
    anyone: Mapping[Need, int]  # who asks for no public, or takes this need for one
    publics: Mapping[Public, int]
    ages: Mapping[AgeBand, int]
    obstacles: Mapping[frozenset[Obstacle] | None, int]  # None: any that no line names
    charters: Mapping[bool | None, int]  # None: no charter in force; else whether the person lives in its département

    @classmethod
    def of(cls, lines: Sequence[Line]) -> "_Index":
        """Read the conditions. No line may name the unknown age band, so an unknown age meets no ages."""
        named = {None, *(line.obstacles for line in lines)}
        return cls(
            needs={need: _those(need in line.needs for line in lines) for need in Need},
            anyone={need: _those(not line.publics or need in line.or_needs for line in lines) for need in Need},
            publics={public: _those(public in line.publics for line in lines) for public in Public},
            ages={age: _those(not line.ages or age in line.ages for line in lines) for age in AgeBand},
            obstacles={some: _those(line.obstacles in (None, some) for line in lines) for some in named},
            charters={
                None: _those(not (line.charter or line.resident) for line in lines),
                False: _those(not line.resident for line in lines),
                True: _those(True for _ in lines),
            },
        )

    def first(self, need: ExpressedNeed, visit: Visit) -> int | None:
        """Find the number of the first line whose conditions all hold."""
        theirs = self.anyone[need.code]
        for public in visit.publics:
            theirs |= self.publics[public]
        charter = None if visit.charter_department is None else visit.charter_department == visit.department
        holding = (
            theirs
            & self.needs[need.code]
            & self.ages[visit.age_band]
            & self.obstacles.get(need.obstacles, self.obstacles[None])
            & self.charters[charter]
        )
        return (holding & -holding).bit_length() - 1 if holding else None  # the lowest bit that is set


@dataclass(frozen=True, slots=True)
class Rulebook:
    """A version of the table with the partners it may name, indexed once so that a visit costs microseconds."""

    version: str
    lines: tuple[Line, ...]
    partners: tuple[Partner, ...]
    _index: _Index = field(init=False, repr=False, compare=False)
    _partners: Mapping[str, Partner] = field(init=False, repr=False, compare=False)
    _places: Mapping[tuple[str, str], Sequence[Partner]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Build the indexes."""
        places: defaultdict[tuple[str, str], list[Partner]] = defaultdict(list)
        for partner in self.partners:
            for place in partner.covers:
                places[partner.kind, place].append(partner)
        object.__setattr__(self, "_index", _Index.of(self.lines))
        object.__setattr__(self, "_partners", {partner.id: partner for partner in self.partners})
        object.__setattr__(self, "_places", dict(places))

    def line(self, need: ExpressedNeed, visit: Visit) -> Line | None:
        """Find the first line whose conditions all hold."""
        number = self._index.first(need, visit)
        return None if number is None else self.lines[number]

    def find(self, kind: str, visit: Visit) -> Partner | None:
        """Find the partner of that kind for the person: the narrowest territory wins, then the order of the file."""
        for place in (visit.residence, visit.department, EVERYWHERE):
            for partner in self._places.get((kind, place), ()):
                if partner.in_basket(visit.day):
                    return partner
        return None

    def chosen(self, partner_id: str, visit: Visit) -> Partner | None:
        """Look the agent's choice up; None if unknown, too far, or outside its basket's days."""
        partner = self._partners.get(partner_id)
        return partner if partner is not None and partner.receives(visit) else None
