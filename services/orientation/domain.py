"""Whom a person should meet: the routing table applied to one visit.

Pure functions over coded facts: no identity, no free text, no sex. The table itself is data (the network file); what
is code here is how it is read: the first line whose conditions all hold, "then" as fallbacks, "and" as several
referrals, and nobody who does not cover where the person lives.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from services.contracts.codes import (
    SENSITIVE_NEEDS,
    SENSITIVE_OBSTACLES,
    SENSITIVE_PUBLICS,
    AgeBand,
    Category,
    Need,
    Obstacle,
    Outcome,
    Public,
    Regime,
    department_of,
)

EVERYWHERE = "all"
NO_LINE = "no-line"
_NO_LINE_REASON = "La table ne prévoit pas cette situation."
_CHOSEN_REASON = "Partenaire choisi par l’agent plutôt que celui que la table propose."
_FALLBACK_REASON = "À défaut du premier interlocuteur prévu, qui ne couvre pas cette situation."
_CHOICE_REASON = (
    "Le partenaire choisi ne peut pas recevoir cette personne (territoire ou période) : à revoir au guichet."
)
_NOBODY_REASON = "Aucun partenaire ne peut recevoir cette demande pour ce lieu de résidence : à traiter au guichet."


@dataclass(frozen=True, slots=True)
class ExpressedNeed:
    """One need of a visit. `recipient` is the partner the agent chose instead of the first proposal."""

    code: Need
    outcome: Outcome = Outcome.TO_REFER
    obstacles: frozenset[Obstacle] = frozenset()
    recipient: str | None = None


@dataclass(frozen=True, slots=True)
class Visit:
    """What the rules may look at. Communes are INSEE codes.

    `charter_department` is the département of the site's charter in force on `day`; None where there is none.
    """

    day: date
    site_commune: str
    needs: tuple[ExpressedNeed, ...]
    age_band: AgeBand
    commune: str | None = None
    publics: frozenset[Public] = frozenset()
    france_travail_registered: bool | None = None
    regime: Regime | None = None
    charter_department: str | None = None

    @property
    def residence(self) -> str:
        """The commune of residence; whoever did not say it is taken to live where the site is."""
        return self.commune or self.site_commune

    @property
    def department(self) -> str:
        """The département of residence (INSEE code)."""
        return department_of(self.residence)


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


@dataclass(frozen=True, slots=True)
class Recipient:
    """A partner as addressed for one person: `department` is the person's."""

    partner: str
    category: Category
    department: str


@dataclass(frozen=True, slots=True)
class Proposal:
    """One referral to open, first recipient first; the fields are those of the event's `Proposal`."""

    need: Need
    recipients: tuple[Recipient, ...]
    rule: str
    reason: str
    desk_first: bool = False
    unmet: bool = False
    sensitive: bool = False
    chosen: str | None = None


def orient(visit: Visit, rulebook: Rulebook) -> tuple[Proposal, ...]:
    """Propose whom to meet for each need that is to be referred, in the order of the needs.

    A partner chosen by the agent that cannot receive the person leaves that need at the desk, with the reason. Whether
    the visit may be referred at all (live, identified, agreed) is the caller's to know.
    """
    return tuple(
        proposal
        for need in visit.needs
        if need.outcome is Outcome.TO_REFER
        for proposal in _proposals(need, visit, rulebook)
    )


def _proposals(need: ExpressedNeed, visit: Visit, rulebook: Rulebook) -> Iterable[Proposal]:
    line = rulebook.line(need, visit) or Line(NO_LINE, frozenset({need.code}), _NO_LINE_REASON, recipients=((),))
    sensitive = _is_sensitive(need, line, visit)
    chains = _chains(line, visit, rulebook)
    picked = None
    if need.recipient is not None and not line.urgent:
        picked = rulebook.chosen(need.recipient, visit)
        if picked is None:
            yield Proposal(need.code, (), line.id, _CHOICE_REASON, desk_first=True, sensitive=sensitive)
            return
        chains = _with_first(picked, chains)
    if not chains:
        unmet = bool(line.recipients)
        reason = f"{line.reason} {_NOBODY_REASON}" if unmet else line.reason
        yield Proposal(need.code, (), line.id, reason, desk_first=True, unmet=unmet, sensitive=sensitive)
    for chain in chains:
        yield Proposal(
            need.code,
            tuple(Recipient(partner.id, partner.category, visit.department) for partner in chain),
            line.id,
            _reason(chain[0], picked, line, visit),
            sensitive=sensitive or chain[0].reveals_health,
            chosen=picked.id if picked is not None and chain[0] is picked else None,
        )


def _reason(first: Partner, picked: Partner | None, line: Line, visit: Visit) -> str:
    """The line's own reason where it fits: it may name the partner that the table would have first."""
    expected = {next((step.kind for step in steps if step.holds(visit)), None) for steps in line.steps(visit)}
    if first.kind in expected:
        return line.reason
    return _CHOSEN_REASON if first is picked else _FALLBACK_REASON


def _chains(line: Line, visit: Visit, rulebook: Rulebook) -> list[list[Partner]]:
    """List the partners of each referral, without those who cannot receive the person.

    A partner stands in one chain only: first where some chain begins with it, else as the earliest fallback.
    """
    by_first: dict[str, list[Partner]] = {}
    for steps in line.steps(visit):
        found = [rulebook.find(step.kind, visit) for step in steps if step.holds(visit)]
        partners = [partner for partner in found if partner is not None]
        if partners:
            by_first.setdefault(partners[0].id, partners[:1]).extend(partners[1:])
    placed = set(by_first)
    chains = []
    for first, *fallbacks in by_first.values():
        chain = [first]
        for partner in fallbacks:
            if partner.id not in placed:
                placed.add(partner.id)
                chain.append(partner)
        chains.append(chain)
    return chains


def _with_first(picked: Partner, chains: list[list[Partner]]) -> list[list[Partner]]:
    """Let the agent's choice lead the chain it stands in, or the first one; the others stay behind as fallbacks."""
    led = next((index for index, chain in enumerate(chains) if picked in chain), 0)
    others = [partner for partner in chains[led] if partner is not picked] if chains else []
    return [*chains[:led], [picked, *others], *chains[led + 1 :]]


def _is_sensitive(need: ExpressedNeed, line: Line, visit: Visit) -> bool:
    """Whether the referral alone would tell a health or disability fact (RGPD, art. 9)."""
    return (
        need.code in SENSITIVE_NEEDS
        or not SENSITIVE_OBSTACLES.isdisjoint(need.obstacles)
        or not (line.publics & SENSITIVE_PUBLICS).isdisjoint(visit.publics)
    )
