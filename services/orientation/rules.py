"""Between the network file and `domain`, which knows neither files nor pydantic."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import date
from functools import lru_cache

from services.contracts.codes import Need
from services.contracts.intake import NeedFacts, VisitFacts
from services.contracts.orientation import ContactSheet, Proposal, Recipient
from services.network import ContactSheet as Sheet
from services.network import Network, Partner, communes
from services.network.rules_text import version_of
from services.orientation import domain
from services.orientation.domain import EVERYWHERE


def rulebook_of(network: Network, version: str | None = None) -> domain.Rulebook:
    """Index the network's routing table and partners; the table is empty where no file has lines.

    `version` is what the rules were called when they were kept; by default what they are called now.
    """
    journeys = {journey.id: journey.reference for journey in network.journeys}
    return domain.Rulebook(
        version=version or version_of(network),
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
                source=line.source,
                journey=journeys.get(line.journey or ""),
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


def _details(sheet: Sheet) -> ContactSheet:
    verified = sheet.last_verified.isoformat() if sheet.last_verified else None
    return ContactSheet(**sheet.model_dump(exclude={"needs", "covers", "last_verified"}), last_verified=verified)


class Rules:
    """The network as orientation uses it: the rulebook, charters, and contact sheets by partner."""

    def __init__(self, network: Network, version: str | None = None) -> None:
        self.network = network
        self.book = rulebook_of(network, version)
        self.names = {partner.id: partner.name for partner in network.partners}
        # By partner and need, then place; without a need it is for any. A national partner may have one for each place.
        self._sheets: defaultdict[tuple[str, str | None], dict[str, ContactSheet]] = defaultdict(dict)
        for sheet in network.contact_sheets:
            details = _details(sheet)
            for need in sheet.needs or {None}:
                for place in {EVERYWHERE} if isinstance(sheet.covers, str) else sheet.covers:
                    self._sheets[sheet.partner, need].setdefault(place, details)

    def visit(self, facts: VisitFacts, needs: Iterable[NeedFacts], day: date) -> domain.Visit:
        """The facts as the rules read them; the site must be in the network."""
        site = self.network.site(facts.site)
        charter = self.network.charter_in_force(facts.site, day)
        return domain.Visit(
            day=day,
            site_commune=communes.today(site.commune) if site else "",
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
                contact_sheet=self.sheet(found.recipients[0].partner, found.need, visit) if found.recipients else None,
                chosen=found.chosen,
                source=found.source,
                journey=found.journey,
            )
            for found in domain.orient(visit, self.book)
        )

    def sheet(self, partner: str, need: Need, visit: domain.Visit) -> ContactSheet | None:
        """A partner's narrowest one: this need before any, then the commune before the département."""
        for asked in (need, None):
            sheets = self._sheets.get((partner, asked), {})
            found = sheets.get(visit.residence) or sheets.get(visit.department) or sheets.get(EVERYWHERE)
            if found:
                return found
        return None

    def partners_for(self, visit: domain.Visit) -> tuple[Partner, ...]:
        """The partners whom the agent may choose for the person: all that can receive them, by name."""
        able = {partner.id for partner in self.book.partners if partner.receives(visit)}
        return tuple(sorted((each for each in self.network.partners if each.id in able), key=lambda each: each.name))
