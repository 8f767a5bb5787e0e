"""Whether whoever a line holds for meets anybody: on that day, and from each site and charter territory."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import chain, product

from services.contracts.codes import AgeBand, department_of
from services.network.checking.situations import AGES, Standing, aged, standing
from services.network.checking.words import a_few_of
from services.network.loading import Flaw, Severity
from services.network.schema import Charter, Line, Network, Step
from services.network.vocabulary import EVERYWHERE

_REGISTERED = {None: "inconnue", True: "oui", False: "non"}


@dataclass(frozen=True, slots=True)
class _Homes:
    """Where people live for whom the same kinds have no partner, and who stand alike with a charter."""

    absent: frozenset[str]
    standing: Standing


@dataclass(frozen=True, slots=True)
class _Route:
    """A line that sends somewhere. `reached` says where it is the first that holds."""

    place: str
    groups: tuple[tuple[Step, ...], ...]
    kinds: frozenset[str]
    msa: str | None
    reached: int

    @classmethod
    def of(cls, number: int, line: Line, reached: int) -> "_Route":
        """The line's own; the MSA's kind is apart, since it replaces the others."""
        groups = line.steps
        return cls(
            f"lines[{number}]", groups, frozenset(step.kind for group in groups for step in group), line.msa, reached
        )

    def left_alone(self, here: int, absent: frozenset[str]) -> str:
        """Tell for whom of these situations no step remains without these kinds; empty if there is always one."""
        steps = [step for group in self.groups for step in group if step.kind not in absent]
        if any(not step.ages and step.france_travail_registered is None for step in steps):
            return ""
        for age, registered in product(AGES, _REGISTERED):
            if here & aged(frozenset({age})) and not any(_meant(step, age, registered) for step in steps):
                return f"âge {age}, inscription à France Travail {_REGISTERED[registered]}"
        return ""


def recipient_flaws(file: str, network: Network, reached: Sequence[int], day: date) -> Iterator[Flaw]:
    """Tell of lines that lead to nobody. `reached` says where each line is the first that holds."""
    routes = [_Route.of(number, line, reached[number]) for number, line in enumerate(network.lines) if line.recipients]
    kinds = frozenset(chain.from_iterable(route.kinds | {route.msa or ""} for route in routes)) - {""}
    homes = _homes(network, kinds, day)
    ended = _outside_basket(network, day)
    for route in routes:
        always = list(_always(file, route, ended, day))
        yield from always
        places = {flaw.place for flaw in always}
        yield from (flaw for flaw in _somewhere(file, route, _gaps(route, homes)) if flaw.place not in places)


def _always(file: str, route: _Route, ended: Mapping[str, str], day: date) -> Iterator[Flaw]:
    """What is wrong wherever a person lives."""
    forgotten = route.left_alone(route.reached, frozenset())
    if forgotten:
        reason = f"chaque destinataire a une condition, et personne ne convient ici : {forgotten}"
        yield Flaw(file, f"{route.place}.recipients", reason)
    elif route.left_alone(route.reached, frozenset(ended)):
        dates = ", ".join(f"« {kind} » {ended[kind]}" for kind in sorted(route.kinds & ended.keys()))
        yield Flaw(file, f"{route.place}.recipients", f"hors du panier le {day} : {dates} ; personne d’autre")
    if route.msa is not None and route.msa in ended:
        yield Flaw(file, f"{route.place}.msa", f"hors du panier le {day} : « {route.msa} » {ended[route.msa]}")


@dataclass(slots=True)
class _Gaps:
    """Where people live whom a line leads to nobody, by what is missing there.

    `alone`: the whole line, with the kinds that are missing and whom that leaves alone; `halved`: one of its referrals.
    """

    met: int = 0
    alone: defaultdict[tuple[frozenset[str], str], list[str]] = field(default_factory=lambda: defaultdict(list))
    halved: defaultdict[int, list[str]] = field(default_factory=lambda: defaultdict(list))
    without_msa: list[str] = field(default_factory=list)


def _gaps(route: _Route, homes: Mapping[_Homes, Sequence[str]]) -> _Gaps:
    gaps = _Gaps()
    for home, names in homes.items():
        here = route.reached & standing(home.standing)
        if not here:
            continue
        gaps.met += len(names)
        if route.msa in home.absent:
            gaps.without_msa += names
        absent = route.kinds & home.absent
        lonely = route.left_alone(here, absent) if absent else ""
        if lonely:
            gaps.alone[absent, "" if absent == route.kinds else lonely] += names
        elif absent:
            for place, group in enumerate(route.groups):
                if all(step.kind in absent for step in group):
                    gaps.halved[place] += names
    return gaps


def _somewhere(file: str, route: _Route, gaps: _Gaps) -> Iterator[Flaw]:
    """What is wrong for those who live at some of the sites; an error where it is so at each of them.

    A need without a partner somewhere stays at the desk and is counted, which may be all that can be done there; a line
    that never leads to anybody cannot be meant.
    """

    def severity(count: int) -> Severity:
        return Severity.ERROR if count == gaps.met else Severity.WARNING

    how_many = sum(map(len, gaps.alone.values()))
    for (kinds, lonely), names in gaps.alone.items():
        reason = _nobody(kinds, names) + (f", et personne d’autre pour : {lonely}" if lonely else "")
        yield Flaw(file, f"{route.place}.recipients", reason, severity(how_many))
    if gaps.without_msa:
        reason = _nobody([route.msa or ""], gaps.without_msa)
        yield Flaw(file, f"{route.place}.msa", reason, severity(len(gaps.without_msa)))
    for place, names in gaps.halved.items():
        reason = f"{_nobody((step.kind for step in route.groups[place]), names)} : cet envoi n’y part pas"
        yield Flaw(file, f"{route.place}.recipients[{place}]", reason, Severity.WARNING)


def _meant(step: Step, age: AgeBand, registered: bool | None) -> bool:  # noqa: FBT001 - a fact, not a switch
    return (not step.ages or age in step.ages) and (
        step.france_travail_registered is None or registered is step.france_travail_registered
    )


def _nobody(kinds: Iterable[str], names: Sequence[str]) -> str:
    quoted = " ni ".join(f"« {kind} »" for kind in sorted(set(kinds)))
    return f"aucun partenaire de type {quoted} ne couvre {a_few_of(sorted(names))}"


def _outside_basket(network: Network, day: date) -> dict[str, str]:
    """The kinds whose partners are all outside their basket on that day, with a date."""
    inside = {partner.kind for partner in network.partners if partner.in_basket(day)}
    return {
        partner.kind: f"à partir du {partner.basket_from}"
        if partner.basket_from is not None and day < partner.basket_from
        else f"jusqu’au {partner.basket_until}"
        for partner in network.partners
        if partner.kind not in inside
    }


def _homes(network: Network, kinds: frozenset[str], day: date) -> dict[_Homes, list[str]]:
    """Where visitors surely come from: the communes of the sites, and the territories of charters in force."""
    covered: defaultdict[str, set[str]] = defaultdict(set)
    for partner in network.partners:
        if partner.in_basket(day):
            covered[partner.kind] |= {partner.covers} if isinstance(partner.covers, str) else partner.covers
    homes: defaultdict[_Homes, list[str]] = defaultdict(list)
    for name, commune, where in _communes(network, day):
        places = (commune, department_of(commune), EVERYWHERE)
        absent = frozenset(kind for kind in kinds if covered[kind].isdisjoint(places))
        homes[_Homes(absent, where)].append(name)
    return homes


def _communes(network: Network, day: date) -> Iterator[tuple[str, str, Standing]]:
    for site in network.sites:
        where = _standing(site.commune, network.charter_in_force(site.id, day))
        yield f"{site.commune} ({site.id})", site.commune, where
    at_sites = {site.commune for site in network.sites}
    for charter in network.charters:
        if charter.in_force(day):
            for commune in charter.territory:
                if commune not in at_sites:
                    yield commune, commune, _standing(commune, charter)


def _standing(commune: str, charter: Charter | None) -> Standing:
    if charter is None:
        return Standing.OUTSIDE
    return Standing.RESIDENT if charter.department == department_of(commune) else Standing.ELSEWHERE
