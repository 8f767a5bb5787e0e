"""A visit as the rules see it: coded facts, with no identity, no free text and no sex."""

from dataclasses import dataclass
from datetime import date

from services.contracts.codes import AgeBand, Need, Obstacle, Outcome, Public, Regime, department_of


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
