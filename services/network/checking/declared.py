"""What is declared and nobody meets, or is about to be out of date: partners, what people are told, sites, charters."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import date
from difflib import get_close_matches
from itertools import chain
from typing import TypeVar

from services.contracts.codes import Category, department_of
from services.network.advice import SHEET_MONTHS, ContactSheet, Information, Journey
from services.network.loading import Flaw, Severity, Source
from services.network.months import later
from services.network.schema import Charter, Network, NetworkFile, Partner, Site

# Three months' notice (charter, art. 4), told of three months before its last day.
NOTICE_MONTHS = 3

_Item = TypeVar("_Item", Charter, ContactSheet, Information, Journey, Partner, Site)
_Placed = list[tuple[str, str, _Item]]


def declared_flaws(sources: Sequence[Source], network: Network, day: date) -> Iterator[Flaw]:
    """Tell of partners, contact sheets, information, journeys, sites and charters, in that order."""
    partners = _placed(sources, "partners", lambda file: file.partners)
    sheets = _placed(sources, "contact_sheets", lambda file: file.contact_sheets)
    sites = _placed(sources, "sites", lambda file: file.sites)
    charters = _placed(sources, "charters", lambda file: file.charters)
    yield from _partners_in_vain(partners, network)
    yield from _partners_out_of_reach(partners, network)
    yield from _undated_operators(partners)
    yield from _sheets(sheets, network, day)
    yield from _information(_placed(sources, "information", lambda file: file.information), network, day)
    yield from _journeys(_placed(sources, "journeys", lambda file: file.journeys), network)
    yield from _charters(charters, network, day)
    named = [[(file, place, each.name) for file, place, each in those] for those in (partners, sites, charters)]
    yield from chain.from_iterable(map(_same_names, named))


def _placed(
    sources: Sequence[Source], table: str, items: Callable[[NetworkFile], Sequence[_Item]]
) -> list[tuple[str, str, _Item]]:
    return [
        (source.name, f"{table}[{number}]", item)
        for source in sources
        for number, item in enumerate(items(source.file))
    ]


def _look(file: str, place: str, reason: str) -> Flaw:
    return Flaw(file, place, reason, Severity.WARNING)


def _partners_in_vain(partners: _Placed[Partner], network: Network) -> Iterator[Flaw]:
    """An agent may choose anybody, so a partner that no line names is none the less of use; or its kind is misspelt."""
    if not network.lines:
        return
    named = {step.kind for line in network.lines for group in line.steps for step in group}
    named |= {line.msa for line in network.lines if line.msa}
    for file, place, partner in partners:
        if partner.by_choice and partner.kind in named:
            yield _look(file, f"{place}.by_choice", f"des lignes nomment pourtant le type « {partner.kind} »")
        elif partner.kind not in named and not partner.by_choice and partner.category is not Category.SITE:
            near = get_close_matches(partner.kind, sorted(named), 1)
            meant = f" ; vouliez-vous dire « {near[0]} » ?" if near else " ; si c’est voulu, écrire `by_choice = true`"
            reason = f"aucune ligne ne nomme le type « {partner.kind} »{meant}"
            yield _look(file, f"{place}.kind", reason)


def _partners_out_of_reach(partners: _Placed[Partner], network: Network) -> Iterator[Flaw]:
    """Visitors come from around a site, so only another département is called far."""
    near = {site.department for site in network.sites} | {charter.department for charter in network.charters}
    near |= {department_of(commune) for charter in network.charters for commune in charter.territory}
    for file, place, partner in partners:
        if (
            network.sites
            and not isinstance(partner.covers, str)
            and near.isdisjoint(map(department_of, partner.covers))
        ):
            yield _look(
                file,
                f"{place}.covers",
                f"loin de tout site et de toute convention, qui sont dans : {', '.join(sorted(near))}",
            )


def _undated_operators(partners: _Placed[Partner]) -> Iterator[Flaw]:
    """Nine operators were always in the basket and need no date; two of one kind must agree on whether they do."""
    dated: dict[str, Partner] = {}
    for _, _, partner in partners:
        if partner.basket_from or partner.basket_until:
            dated.setdefault(partner.kind, partner)
    for file, place, partner in partners:
        if partner.category is Category.OPERATOR and not (partner.basket_from or partner.basket_until):
            other = dated.get(partner.kind)
            if other is not None:
                reason = f"pas de dates de panier, alors que « {other.id} », du même type, en a"
                yield _look(file, f"{place}.basket_from", reason)


def _sheets(sheets: _Placed[ContactSheet], network: Network, day: date) -> Iterator[Flaw]:
    first: dict[tuple[object, ...], str] = {}
    for file, place, sheet in sheets:
        if sheet.last_verified is None:
            yield _look(file, f"{place}.last_verified", f"fiche de « {sheet.partner} » jamais vérifiée")
        elif sheet.stale(day):
            reason = f"fiche de « {sheet.partner} » vérifiée il y a plus de {SHEET_MONTHS} mois"
            yield _look(file, f"{place}.last_verified", reason)
        elif sheet.last_verified > day:
            yield _look(file, f"{place}.last_verified", f"fiche vérifiée après le {day}")
        partner = network.partner(sheet.partner)
        if partner is not None and not isinstance(partner.covers, str) and not isinstance(sheet.covers, str):
            outside = sorted(each for each in sheet.covers if not _meets(each, partner.covers))
            if outside:
                reason = f"« {partner.id} » ne couvre pas {', '.join(outside)}"
                yield _look(file, f"{place}.covers", reason)
        key = sheet.partner, sheet.needs, sheet.covers
        if key in first:
            reason = f"même partenaire, mêmes besoins, même territoire que {first[key]}, qui seule servira"
            yield _look(file, place, reason)
        else:
            first[key] = f"{file}, {place}"


def _information(information: _Placed[Information], network: Network, day: date) -> Iterator[Flaw]:
    """A charter that is still to be signed will show its own."""
    if any(charter.ended is None or day <= charter.ended for charter in network.charters):
        return
    for file, place, each in information:
        if each.charter:
            reason = f"jamais montrée : aucune convention n’est en vigueur le {day} ni plus tard"
            yield _look(file, f"{place}.charter", reason)


def _journeys(journeys: _Placed[Journey], network: Network) -> Iterator[Flaw]:
    if not network.lines:
        return
    named = {line.journey for line in network.lines}
    for file, place, journey in journeys:
        if journey.id not in named:
            yield _look(file, f"{place}.id", f"aucune ligne ne nomme le parcours « {journey.id} »")


def _meets(place: str, covered: Collection[str]) -> bool:
    """Whether anybody who lives in the place is covered."""
    return place in covered or department_of(place) in covered or place in map(department_of, covered)


def _charters(charters: _Placed[Charter], network: Network, day: date) -> Iterator[Flaw]:
    in_force: defaultdict[str, list[str]] = defaultdict(list)
    for file, place, charter in charters:
        if not charter.in_force(day):
            continue
        for number, site_id in enumerate(charter.sites):
            here = f"{place}.sites[{number}]"
            yield from _member(file, here, network.site(site_id))
            if in_force[site_id]:
                yield _look(file, here, f"« {site_id} » est déjà dans la convention « {in_force[site_id][0]} »")
            in_force[site_id].append(charter.id)
        if charter.ended is not None:
            if charter.ended <= later(day, NOTICE_MONTHS):
                yield _look(file, f"{place}.ended", f"la convention prend fin le {charter.ended}")
        else:
            term = _next_term(charter, day)
            notice = later(term, -NOTICE_MONTHS)
            if day <= notice <= later(day, NOTICE_MONTHS):
                reason = f"la convention est reconduite le {term}, sauf préavis au plus tard le {notice}"
                yield _look(file, f"{place}.ends", reason)


def _member(file: str, place: str, site: Site | None) -> Iterator[Flaw]:
    """A site without the label runs without SPIE rules, and a charter in force switches them on."""
    if site is not None and site.label == "withdrawn":
        yield Flaw(file, place, f"« {site.id} » n’a plus le label, et cette convention lui applique les règles SPIE")
    elif site is not None and site.label == "requested":
        yield _look(
            file, place, f"« {site.id} » n’a pas encore le label, et cette convention lui applique les règles SPIE"
        )


def _next_term(charter: Charter, day: date) -> date:
    renewals = 0
    while later(charter.ends, renewals * charter.renewal_months) < day:
        renewals += 1
    return later(charter.ends, renewals * charter.renewal_months)


def _same_names(named: Sequence[tuple[str, str, str]]) -> Iterator[Flaw]:
    """People choose by name, where the software tells ids."""
    first: dict[str, str] = {}
    for file, place, name in named:
        if name.casefold() in first:
            yield _look(file, f"{place}.name", f"« {name} » est aussi le nom de {first[name.casefold()]}")
        else:
            first[name.casefold()] = f"{file}, {place}"
