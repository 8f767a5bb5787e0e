"""Whom a person should meet: "then" as fallbacks, "and" as several referrals, and the agent's own choice."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

from services.contracts.codes import (
    SENSITIVE_NEEDS,
    SENSITIVE_OBSTACLES,
    SENSITIVE_PUBLICS,
    Category,
    Need,
    Outcome,
)
from services.orientation.domain.rulebook import Line, Partner, Rulebook
from services.orientation.domain.visit import ExpressedNeed, Visit

NO_LINE = "no-line"
_NO_LINE_REASON = "La table ne prévoit pas cette situation."
_CHOSEN_REASON = "Partenaire choisi par l’agent plutôt que celui que la table propose."
_FALLBACK_REASON = "À défaut du premier interlocuteur prévu, qui ne couvre pas cette situation."
_CHOICE_REASON = (
    "Le partenaire choisi ne peut pas recevoir cette personne (territoire ou période) : à revoir au guichet."
)
_NOBODY_REASON = "Aucun partenaire ne peut recevoir cette demande pour ce lieu de résidence : à traiter au guichet."


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
    source: str | None = None
    journey: str | None = None


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
    propose = partial(Proposal, need.code, rule=line.id, source=line.source, journey=line.journey)
    picked = None
    if need.recipient is not None and not line.urgent:
        picked = rulebook.chosen(need.recipient, visit)
        if picked is None:
            yield propose(recipients=(), reason=_CHOICE_REASON, desk_first=True, sensitive=sensitive)
            return
        if any(chain[0] is picked for chain in chains):
            picked = None  # the agent agrees with the table
        else:
            chains = _with_first(picked, chains)
    if not chains:
        unmet = bool(line.recipients)
        reason = f"{line.reason} {_NOBODY_REASON}" if unmet else line.reason
        yield propose(recipients=(), reason=reason, desk_first=True, unmet=unmet, sensitive=sensitive)
    for chain in chains:
        reason = _reason(chain[0], picked, line, visit)
        # What the agent chose against the table rests neither on the line's ground nor on its journey.
        told = partial(propose, source=None, journey=None) if reason is _CHOSEN_REASON else propose
        yield told(
            recipients=tuple(Recipient(partner.id, partner.category, visit.department) for partner in chain),
            reason=reason,
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
