"""What the agent's page is about: what was filled in, what is wrong with it, and what the rules answer."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Generic, TypeVar

from services.contracts.codes import Channel, Need, Outcome, Regime
from services.contracts.orientation import ContactSheet, Proposal
from services.contracts.references import REFERENCE_LENGTH, normalised_reference, shown_reference
from services.network import Partner, Site, communes
from services.network.communes import Commune
from services.orientation.forms import CounterForm, Explanation, LookUp, SimulatedNeed, SimulateForm, Simulation

F = TypeVar("F")
_MOST_NEEDS = 10  # of a visit
_OLDEST = date(2020, 1, 1)  # the year the France services label began


@dataclass(frozen=True)
class Problem:
    """What is wrong with a field, in French. `communes` are those that a name may mean."""

    field: str
    text: str
    communes: tuple[Commune, ...] = ()


@dataclass(frozen=True)
class Asked:
    """A form without a problem that matters."""

    form: CounterForm
    commune: str | None
    day: date
    reference: str | None

    def visit(self, site: str, occurred_at: datetime) -> SimulateForm:
        """The visit that would be posted; each need is to be referred, obstacles go with several obstacles only."""
        form = self.form
        chosen = dict(each.split(":") for each in form.choices if each)
        return SimulateForm(
            site=site,
            occurred_at=occurred_at,
            channel=Channel.DESK,
            commune=self.commune,
            age_band=form.age_band,
            publics=form.publics,
            france_travail_registered={"yes": True, "no": False}.get(form.france_travail_registered),
            regime=Regime(form.regime) if form.regime else None,
            needs=tuple(
                SimulatedNeed(
                    code=need,
                    outcome=Outcome.TO_REFER,
                    obstacles=form.obstacles if need is Need.FREINS_MULTIPLES else (),
                    recipient=chosen.get(need),
                )
                for need in dict.fromkeys(form.needs)
            ),
        )


@dataclass(frozen=True)
class Consultation:
    """All that the page shows. Without `simulation` there is nothing to propose yet, or `problems` say why not.

    `told` is first-level information for the needs that stay at the desk; `with_sheets` is false for rules of the past.
    """

    form: CounterForm
    site: Site
    day: date
    problems: tuple[Problem, ...] = ()
    simulation: Simulation | None = None
    explanation: Explanation | None = None
    partners: tuple[Partner, ...] = ()
    sheets: Mapping[tuple[Need, str], ContactSheet] = field(default_factory=dict)
    told: Mapping[Need, tuple[str, ...]] = field(default_factory=dict)
    reference: str | None = None
    with_sheets: bool = True

    @property
    def status(self) -> int:
        """The page's HTTP status."""
        return 422 if self.problems else 200

    @property
    def urgent_first(self) -> list[Proposal]:
        """What is proposed, with what cannot wait before all else."""
        urgent = {each.need for each in self.explanation.needs if each.urgent} if self.explanation else set()
        return sorted(self.proposals, key=lambda each: each.need not in urgent)

    @property
    def proposals(self) -> tuple[Proposal, ...]:
        """What is proposed."""
        return self.simulation.proposals if self.simulation else ()


@dataclass(frozen=True)
class LookedUp(Generic[F]):
    """What was looked up, and what was found around the commune; or what is wrong with it."""

    asked: LookUp
    found: F | None = None
    problem: Problem | None = None

    @property
    def status(self) -> int:
        """The page's HTTP status."""
        return 422 if self.problem else 200


def read(form: CounterForm, today: date) -> tuple[Asked | None, tuple[Problem, ...]]:
    """What a form asks, unless a problem stands in the way. A mistyped reference is one that does not."""
    problems = []
    if not form.needs:
        problems.append(Problem("needs", "Cochez au moins un besoin."))
    if len(form.needs) > _MOST_NEEDS:
        problems.append(Problem("needs", f"{_MOST_NEEDS} besoins à la fois au plus : décochez-en."))
    if form.obstacles and Need.FREINS_MULTIPLES not in form.needs:
        problems.append(
            Problem("obstacles", "Ces freins ne comptent qu’avec le besoin « Plusieurs freins » : cochez-le.")
        )
    commune, doubt = meant(form.commune)
    if doubt:
        problems.append(doubt)
    day = _day(form.day, today)
    if day is None:
        problems.append(Problem("day", f"Une date passée est attendue, du 1er janvier {_OLDEST.year} à aujourd’hui."))
    reference = normalised_reference(form.reference) if form.reference else None
    asked = None
    if day and not problems:
        asked = Asked(form, commune, day, shown_reference(reference) if reference else None)
    if form.reference and reference is None:
        problems.append(Problem("reference", _mistyped(form.reference)))
    return asked, tuple(problems)


def _mistyped(text: str) -> str:
    number = sum(character.isalnum() for character in text)
    if number != REFERENCE_LENGTH:
        return f"Une référence a {REFERENCE_LENGTH} lettres et chiffres ; celle-ci en a {number}."
    return "Une lettre ou un chiffre de cette référence est faux : comparez-la à celle de votre logiciel."


def meant(text: str) -> tuple[str | None, Problem | None]:
    """The commune of today that a name or code means, or why none: a name that several have is never guessed at."""
    if not text:
        return None, None
    found = communes.named(text)
    if len(found) == 1 and text.isdigit():
        told = f"{text} est le code INSEE de {found[0].name}. Si c’est un code postal, tapez le nom de la commune."
        return None, Problem("commune", told, tuple(found))
    if len(found) == 1:
        return found[0].current, None
    if found:
        return None, Problem("commune", "Plusieurs communes portent ce nom : choisissez la bonne.", tuple(found))
    return None, Problem("commune", "Aucune commune n’a ce nom ni ce code INSEE. Le code postal ne convient pas.")


def told_commune(code: str | None) -> str:
    """A commune as the form has it once it is certain: `80685 Roye`."""
    found = communes.commune(code) if code else None
    return f"{found.code} {found.name}" if found else ""


def _day(text: str, today: date) -> date | None:
    try:
        day = datetime.strptime(text, "%Y-%m-%d").date() if text else today  # noqa: DTZ007 - a day has no zone
    except ValueError:
        return None
    return day if _OLDEST <= day <= today else None
