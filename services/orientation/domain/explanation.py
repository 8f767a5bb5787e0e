"""Why the table answered as it did: each line that speaks of a need, what kept it from applying, and whom it led to.

The conditions are said here one by one, in French; that they are those of the index, a test proves for any table.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date

from services.contracts.codes import AGE_BAND_LABELS, OBSTACLE_LABELS, PUBLIC_LABELS, AgeBand, Outcome, Regime
from services.orientation.domain.proposals import Proposal, orient
from services.orientation.domain.rulebook import EVERYWHERE, Line, Partner, Rulebook, Step
from services.orientation.domain.visit import ExpressedNeed, Visit

_NOT_REFERRED = {
    Outcome.RESOLVED: "Résolu au guichet : rien à orienter.",
    Outcome.TO_CONTINUE: "À poursuivre au guichet, la personne revient : rien à orienter.",
    Outcome.DECLINED_BY_PERSON: "La personne ne souhaite pas être orientée.",
}


@dataclass(frozen=True, slots=True)
class Reading:
    """A line as it was read for one need: `unmet` are the conditions that do not hold, in French.

    The first line without any `applies`; of those below it, which hold too is told but of no effect.
    """

    line: Line
    unmet: tuple[str, ...]
    applies: bool


@dataclass(frozen=True, slots=True)
class Attempt:
    """A kind of partner that the line names: whom it led to (an id), or else why nobody; `note` says it in French."""

    kind: str
    partner: str | None
    note: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """One need: the lines that speak of it in the table's order, whom the one that applies led to, what was proposed.

    `attempts` has a tuple for each referral ("and") of kinds to try in turn ("then"). `choice` says what became of the
    agent's own choice, `closed` why a need that is not to be referred has neither lines nor proposals.
    """

    need: ExpressedNeed
    readings: tuple[Reading, ...] = ()
    attempts: tuple[tuple[Attempt, ...], ...] = ()
    proposals: tuple[Proposal, ...] = ()
    choice: str | None = None
    closed: str | None = None


def explain(visit: Visit, rulebook: Rulebook) -> tuple[Explanation, ...]:
    """Explain what `orient` proposes, need by need. Takes milliseconds, for a reader; nothing is decided here."""
    return tuple(_explain(need, visit, rulebook) for need in visit.needs)


def _explain(need: ExpressedNeed, visit: Visit, rulebook: Rulebook) -> Explanation:
    if need.outcome is not Outcome.TO_REFER:
        return Explanation(need, closed=_NOT_REFERRED[need.outcome])
    line, proposals = rulebook.line(need, visit), orient(replace(visit, needs=(need,)), rulebook)
    return Explanation(
        need,
        tuple(
            Reading(each, tuple(_unmet(each, need, visit)), each is line)
            for each in rulebook.lines
            if need.code in each.needs
        ),
        tuple(_attempts(line, visit, rulebook)) if line else (),
        proposals,
        _choice(need, line, visit, rulebook, overridden=any(each.chosen for each in proposals)),
    )


def _unmet(line: Line, need: ExpressedNeed, visit: Visit) -> Iterator[str]:
    if line.publics and need.code not in line.or_needs and line.publics.isdisjoint(visit.publics):
        declared = _listed(PUBLIC_LABELS[each] for each in visit.publics)
        yield f"Public attendu : {_listed(PUBLIC_LABELS[each] for each in line.publics)} ; déclaré : {declared}."
    if line.ages and visit.age_band not in line.ages:
        yield f"Âge attendu : {_ages(line.ages)} ; indiqué : {AGE_BAND_LABELS[visit.age_band]}."
    if line.obstacles is not None and line.obstacles != need.obstacles:
        wanted, told = (
            _listed(OBSTACLE_LABELS[each] for each in obstacles) for obstacles in (line.obstacles, need.obstacles)
        )
        yield f"Freins attendus, ni plus ni moins : {wanted} ; indiqués : {told}."
    if (line.charter or line.resident) and visit.charter_department is None:
        yield f"Le site ne relève d’aucune convention SPIE en vigueur le {_day(visit.day)}."
    elif line.resident and visit.charter_department != visit.department:
        yield (
            f"La personne habite le département {visit.department}, et la convention est celle du département"
            f" {visit.charter_department}."
        )


def _attempts(line: Line, visit: Visit, rulebook: Rulebook) -> Iterator[tuple[Attempt, ...]]:
    replaced = " Régime agricole (MSA) : remplace les autres." if line.msa and visit.regime is Regime.MSA else ""
    for steps in line.steps(visit):
        yield tuple(_attempt(step, visit, rulebook, replaced) for step in steps)


def _attempt(step: Step, visit: Visit, rulebook: Rulebook, replaced: str) -> Attempt:
    if step.ages and visit.age_band not in step.ages:
        return Attempt(step.kind, None, f"Réservé à : {_ages(step.ages)}.")
    if not step.holds(visit):
        wanted = "inscrite" if step.france_travail_registered else "non inscrite"
        told = {None: "non indiqué", True: "inscrite", False: "non inscrite"}[visit.france_travail_registered]
        return Attempt(step.kind, None, f"Réservé à une personne {wanted} à France Travail ; ici : {told}.")
    partner = rulebook.find(step.kind, visit)
    if partner:
        return Attempt(step.kind, partner.id, f"Couvre {_covered(partner, visit)}.{replaced}")
    those = [each for each in rulebook.partners if each.kind == step.kind]
    reasons = list(dict.fromkeys(_refusal(each, visit) for each in those))
    # Whom only the basket's dates exclude is nearer to an answer than whoever is far away.
    reasons.sort(key=lambda reason: "panier" not in reason)
    return Attempt(
        step.kind, None, reasons[0] if reasons else "Aucun partenaire de ce type dans les fichiers de réseau."
    )


def _choice(
    need: ExpressedNeed, line: Line | None, visit: Visit, rulebook: Rulebook, *, overridden: bool
) -> str | None:
    if need.recipient is None:
        return None
    if line and line.urgent:
        return "Choix de l’agent sans effet : cette ligne est une urgence, rien n’est envoyé."
    if overridden:
        return "Choisi par l’agent : passe en premier, la proposition de la table vient à sa suite."
    if rulebook.chosen(need.recipient, visit):
        return "L’agent choisit ce que la table propose."
    partner = next((each for each in rulebook.partners if each.id == need.recipient), None)
    why = _refusal(partner, visit) if partner else "Ce partenaire n’est dans aucun fichier de réseau."
    return f"Choix de l’agent impossible. {why}"


def _refusal(partner: Partner, visit: Visit) -> str:
    """Why a partner cannot receive the person."""
    if partner.covers.isdisjoint((visit.residence, visit.department, EVERYWHERE)):
        return f"Ne couvre ni la commune {visit.residence} ni le département {visit.department}."
    since = f" depuis le {_day(partner.basket_from)}" if partner.basket_from else ""
    until = f" jusqu’au {_day(partner.basket_until)}" if partner.basket_until else ""
    return f"Au panier France services{since}{until} seulement ; la visite est du {_day(visit.day)}."


def _covered(partner: Partner, visit: Visit) -> str:
    if visit.residence in partner.covers:
        return f"la commune {visit.residence}"
    return f"le département {visit.department}" if visit.department in partner.covers else "toute la France"


def _ages(ages: Iterable[AgeBand]) -> str:
    return ", ".join(AGE_BAND_LABELS[each].lower() for each in AgeBand if each in ages)


def _listed(labels: Iterable[str]) -> str:
    return ", ".join(sorted(labels)) or "aucun"


def _day(day: date) -> str:
    return f"{day:%d/%m/%Y}"
