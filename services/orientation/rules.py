"""Between the network file and `domain`, which knows neither files nor pydantic."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import date
from functools import lru_cache

from services.contracts.codes import Need, department_of
from services.contracts.intake import NeedFacts, VisitFacts
from services.contracts.orientation import ContactSheet, Proposal, Recipient
from services.network import ContactSheet as Sheet
from services.network import Network
from services.orientation import domain
from services.orientation.domain import EVERYWHERE


def rulebook_of(network: Network) -> domain.Rulebook:
    """Index the network's routing table and partners; the table is empty where no file has lines."""
    return domain.Rulebook(
        version=network.rules_version or "none",
        lines=tuple(
            domain.Line(
                id=line.id,
                needs=line.all_needs,
                reason=line.reason,
                recipients=tuple(
                    tuple(domain.Step(step.kind, step.ages, step.france_travail_registered) for step in steps)
                    for steps in line.steps
                ),
                publics=line.publics,
                or_needs=line.or_needs,
                ages=line.ages,
                obstacles=line.obstacles,
                charter=line.charter,
                resident=line.resident,
                msa=line.msa,
                urgent=line.urgent,
            )
            for line in network.lines
        ),
        partners=tuple(
            domain.Partner(
                id=partner.id,
                kind=partner.kind,
                category=partner.category,
                covers=frozenset({domain.EVERYWHERE}) if isinstance(partner.covers, str) else partner.covers,
                basket_from=partner.basket_from,
                basket_until=partner.basket_until,
                reveals_health=partner.reveals_health,
            )
            for partner in network.partners
        ),
    )


@lru_cache(maxsize=4096)
def _recipient(found: domain.Recipient) -> Recipient:
    return Recipient(partner=found.partner, category=found.category, department=found.department)


class Rules:
    """The network as orientation uses it: the rulebook, charters, and contact sheets by partner."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.book = rulebook_of(network)
        self._sheets: defaultdict[str, list[Sheet]] = defaultdict(list)
        for sheet in network.contact_sheets:
            self._sheets[sheet.partner].append(sheet)
        self._sheet_for = lru_cache(maxsize=4096)(self._find_sheet)

    def visit(self, facts: VisitFacts, needs: Iterable[NeedFacts], day: date) -> domain.Visit:
        """The facts as the rules read them; the site must be in the network."""
        site = self.network.site(facts.site)
        charter = self.network.charter_in_force(facts.site, day)
        return domain.Visit(
            day=day,
            site_commune=site.commune if site else "",
            needs=tuple(
                domain.ExpressedNeed(need.code, need.outcome, frozenset(need.obstacles), need.recipient)
                for need in needs
            ),
            age_band=facts.age_band,
            commune=facts.commune,
            publics=frozenset(facts.publics),
            france_travail_registered=facts.france_travail_registered,
            regime=facts.regime,
            charter_department=charter.department if charter else None,
        )

    def propose(self, visit: domain.Visit) -> tuple[Proposal, ...]:
        """The proposals as they travel, each with the contact sheet of its first recipient."""
        return tuple(
            Proposal(
                need=found.need,
                recipients=tuple(map(_recipient, found.recipients)),
                rule=found.rule,
                reason=found.reason,
                desk_first=found.desk_first,
                unmet=found.unmet,
                sensitive=found.sensitive,
                contact_sheet=self._sheet(found, visit),
                chosen=found.chosen,
            )
            for found in domain.orient(visit, self.book)
        )

    def _sheet(self, found: domain.Proposal, visit: domain.Visit) -> ContactSheet | None:
        first = found.recipients[0] if found.recipients else None
        return self._sheet_for(first.partner, found.need, visit.residence) if first else None

    def _find_sheet(self, partner: str, need: Need, residence: str) -> ContactSheet | None:
        """The narrowest sheet for the person: this need before any, the commune before the département."""
        places = (residence, department_of(residence), EVERYWHERE)

        def narrowness(sheet: Sheet) -> tuple[bool, int]:
            covers = (EVERYWHERE,) if isinstance(sheet.covers, str) else sheet.covers
            return not sheet.needs, next((rank for rank, place in enumerate(places) if place in covers), len(places))

        fitting = [
            sheet
            for sheet in self._sheets.get(partner, ())
            if (not sheet.needs or need in sheet.needs) and narrowness(sheet)[1] < len(places)
        ]
        if not fitting:
            return None
        best = min(fitting, key=narrowness)
        verified = best.last_verified.isoformat() if best.last_verified else None
        return ContactSheet(**best.model_dump(exclude={"needs", "covers", "last_verified"}), last_verified=verified)
