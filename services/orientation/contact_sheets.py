"""The contact sheets of the network files: to be looked up by whoever orients, and to be kept up."""

from collections import Counter
from collections.abc import Iterator
from datetime import date
from enum import IntEnum
from functools import cache

from prometheus_client.metrics_core import Metric

from services.chassis.app import App
from services.chassis.errors import Rejected
from services.chassis.metrics import gauge
from services.contracts.codes import Need, department_of
from services.contracts.paris import paris_day
from services.network import ContactSheet, Network, Partner, communes, load
from services.orientation.forms import ContactSheetsPage, ContactSheetsQuery, FoundSheet

# Read once, as the service's own network is: a file that changes is taken at the next start.
_network = cache(load)


class _Reach(IntEnum):
    """How narrow a territory is around a commune."""

    NONE = 0
    EVERYWHERE = 1
    DEPARTMENT = 2
    COMMUNE = 3


def list_sheets(query: ContactSheetsQuery, network: Network, today: date) -> ContactSheetsPage:
    """The sheets that suit, the narrowest territory first, then in the order of the files.

    For a need: those that name it, and of those that name none, the ones of partners to whom some line leads for it.
    For a commune: those that cover it and whose partner does. A partner outside its basket today has none.
    Raises Rejected (422): an unknown commune.
    """
    if query.commune and (problem := communes.problem(query.commune)):
        raise Rejected("invalid", problem, errors=[{"pointer": "/commune", "detail": problem}])
    commune = communes.today(query.commune) if query.commune else None
    kinds = _kinds(network, query.need)
    found: list[tuple[_Reach, FoundSheet]] = []
    for sheet in network.contact_sheets:
        partner = network.partner(sheet.partner)
        if partner is None or not partner.in_basket(today) or not _suits(sheet, partner, query.need, kinds):
            continue
        reaches = _reach(sheet.covers, commune), _reach(partner.covers, commune)
        if all(reaches):
            found.append((max(reaches), _told(sheet, partner, today)))
    found.sort(key=lambda each: -each[0])
    return ContactSheetsPage(contact_sheets=[sheet for _, sheet in found])


def readings(app: App) -> Iterator[Metric]:
    """How many sheets of each partner are to be verified again; nothing of what is on them."""
    day = paris_day(app.clock.now())
    stale: Counter[str] = Counter()
    for sheet in _network(app.settings.network).contact_sheets:
        stale[sheet.partner] += sheet.stale(day)
    rows = [((partner,), number) for partner, number in stale.items()]
    yield gauge("relais_contact_sheets_stale", "Contact sheets to verify again.", ("partner",), rows)


def _kinds(network: Network, need: Need | None) -> frozenset[str]:
    """The kinds of partner to whom some line leads for that need, whatever else it asks."""
    lines = [line for line in network.lines if need in line.all_needs]
    named = {step.kind for line in lines for steps in line.steps for step in steps}
    return frozenset(named | {line.msa for line in lines if line.msa})


def _suits(sheet: ContactSheet, partner: Partner, need: Need | None, kinds: frozenset[str]) -> bool:
    return need is None or need in sheet.needs or (not sheet.needs and partner.kind in kinds)


def _reach(covers: str | frozenset[str], commune: str | None) -> _Reach:
    """How narrowly the commune is covered; without one, how narrow the territory is at its widest."""
    if isinstance(covers, str):
        return _Reach.EVERYWHERE
    if commune is None:
        return _Reach.DEPARTMENT if any(each == department_of(each) for each in covers) else _Reach.COMMUNE
    if commune in covers:
        return _Reach.COMMUNE
    return _Reach.DEPARTMENT if department_of(commune) in covers else _Reach.NONE


def _told(sheet: ContactSheet, partner: Partner, today: date) -> FoundSheet:
    return FoundSheet(
        partner=partner.id,
        partner_name=partner.name,
        category=partner.category,
        needs=[need for need in Need if need in sheet.needs],
        **sheet.model_dump(exclude={"partner", "needs", "covers"}),
        stale=sheet.stale(today),
    )
