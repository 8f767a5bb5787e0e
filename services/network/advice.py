"""What a network file has for people to read: contact sheets, first-level information, typical journeys."""

from datetime import date

from pydantic import Field

from services.contracts.codes import Need, Public
from services.contracts.intake import Identifier
from services.network.months import later
from services.network.vocabulary import EVERYWHERE, Covers, FileTable, NeedOrGroup, Text, spelt_out

SHEET_MONTHS = 6


class ContactSheet(FileTable):
    """`[[contact_sheets]]`: a named direct contact, for the visitor (charter, art. 3).

    Without `needs` it holds for all of them. `example` marks details that are made up.
    """

    partner: Identifier
    needs: frozenset[Need] = frozenset()
    covers: Covers = EVERYWHERE
    name: Text
    role: Text | None = None
    address: Text | None = None
    phone: Text | None = None
    email: Text | None = None
    hours: Text | None = None
    last_verified: date | None = None
    example: bool = False

    def stale(self, day: date) -> bool:
        """Tell if it is to be verified again on that day."""
        return to_verify(self.last_verified, day)


def to_verify(last_verified: date | None, day: date) -> bool:
    """Tell if a sheet is to be verified again: it never was, or more than six calendar months before that day."""
    return last_verified is None or last_verified < later(day, -SHEET_MONTHS)


class Information(FileTable):
    """`[[information]]`: a first-level text for the visitor, on the agent's screen (charter, art. 1).

    Told for a visit with one of `needs`, to who declares one of `publics` if there are any, and with `charter` only
    where the site's charter is in force.
    """

    text: Text
    needs: tuple[NeedOrGroup, ...] = Field(min_length=1)
    publics: frozenset[Public] = frozenset()
    charter: bool = False
    source: Text

    @property
    def all_needs(self) -> frozenset[Need]:
        """The needs with groups spelt out."""
        return spelt_out(self.needs)


class JourneyStep(FileTable):
    """One step of a journey: who does what, and by when. In French."""

    who: Text
    what: Text
    within: Text | None = None


class Journey(FileTable):
    """`[[journeys]]`: a typical journey (charter, art. 3), for the agent to follow; lines name it by `id`.

    `version` tells whoever has seen an earlier wording that this is another.
    """

    id: Identifier
    version: Text
    name: Text
    steps: tuple[JourneyStep, ...] = Field(min_length=1)
    source: Text

    @property
    def reference(self) -> str:
        """What a proposal calls it."""
        return f"{self.id}@{self.version}"
