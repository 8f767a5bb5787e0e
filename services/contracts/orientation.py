"""What orientation publishes."""

from typing import ClassVar, Self
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict

from services.contracts.coarse import Pseudonym, noon
from services.contracts.codes import Category, Need
from services.contracts.envelope import EventData


class Recipient(BaseModel):
    """A partner as addressed for one person: `department` is the person's."""

    model_config = ConfigDict(frozen=True)

    partner: str
    category: Category
    department: str


class ContactSheet(BaseModel):
    """A named direct contact, for the visitor to take away (charter, art. 3)."""

    model_config = ConfigDict(frozen=True)

    partner: str
    name: str
    role: str | None = None
    address: str | None = None
    phone: str | None = None
    email: str | None = None
    hours: str | None = None
    last_verified: str | None = None
    example: bool = False


class Proposal(BaseModel):
    """One referral to open: the first recipient, then its fallbacks.

    `desk_first` means that nothing is to be sent: `reason` tells the agent what to do at the desk.
    `chosen` is the partner that the agent picked instead of the first proposal, null where the two agree. `unmet`
    marks a demand for which no partner remained. `sensitive` says that the referral itself would reveal a health or
    disability fact. `source` is what the rule rests on, in French; `journey` the typical journey that begins here, as
    `id@version`.
    """

    model_config = ConfigDict(frozen=True)

    need: Need
    recipients: tuple[Recipient, ...] = ()
    rule: str
    reason: str
    desk_first: bool = False
    unmet: bool = False
    sensitive: bool = False
    contact_sheet: ContactSheet | None = None
    chosen: str | None = None
    source: str | None = None
    journey: str | None = None


class OrientationProposed(EventData):
    """Whom the person should meet. `agreed`, `agreed_at` and `sensitive` are those of the visit, carried along."""

    TYPE: ClassVar[str] = "fr.relais.OrientationProposed.v1"
    SERVICE: ClassVar[str] = "orientation"

    orientation_id: UUID
    visit_id: UUID
    site: str
    occurred_at: AwareDatetime
    case: UUID | None
    spie: bool
    rules_version: str
    proposals: tuple[Proposal, ...]
    agreed: tuple[str, ...] = ()
    agreed_at: AwareDatetime | None = None
    sensitive: bool = False

    def subjects(self) -> tuple[UUID, ...]:
        """Whom it is about."""
        return (self.case,) if self.case else ()

    def coarsened(self, pseudonym: Pseudonym) -> Self:
        """Proposals to be counted: the rule and its first recipient, and nothing that was said of the person."""
        cut = {"reason": "", "sensitive": False, "contact_sheet": None, "source": None, "journey": None}
        return self.model_copy(
            update={
                "orientation_id": pseudonym(self.orientation_id),
                "visit_id": pseudonym(self.visit_id),
                "case": None,
                "occurred_at": noon(self.occurred_at),
                "proposals": tuple(
                    each.model_copy(update={**cut, "recipients": each.recipients[:1]}) for each in self.proposals
                ),
                "agreed": (),
                "agreed_at": None,
                "sensitive": False,
            }
        )
