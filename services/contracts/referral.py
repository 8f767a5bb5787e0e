"""What referral publishes: inside with the case id, to partners without it."""

from datetime import date, datetime
from typing import ClassVar, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from services.contracts.codes import Category, Need, ReferralState
from services.contracts.envelope import EventData


class ReferralSent(EventData):
    """A referral left for a partner, or from a partner (`sender`) for a site. `due_at`: when silence is overdue.

    Toward a site, `partner` and `site` are that site, and `visit_id` and `case` those of the referral it is about,
    maybe another site's; both are null when it is about none: then the person is not known to Relais.
    """

    TYPE: ClassVar[str] = "fr.relais.ReferralSent.v1"
    SERVICE: ClassVar[str] = "referral"

    referral_id: UUID
    visit_id: UUID | None
    case: UUID | None
    need: Need
    partner: str
    category: Category
    site: str
    department: str
    reason: str
    due_at: datetime
    step: int
    sender: str | None = None

    def routing_key(self) -> str:
        """`ReferralSent.<category>.<partner>.<department>`."""
        return f"{self.name()}.{self.category}.{self.partner}.{self.department}"


class _ReferralMoved(EventData):
    """A referral changed state. `step` counts its states, so that readers can order what they received unordered."""

    SERVICE: ClassVar[str] = "referral"

    referral_id: UUID
    case: UUID | None
    from_state: ReferralState
    to_state: ReferralState
    reason: str | None = None
    appointment_day: date | None = None
    step: int


class ReferralReceived(_ReferralMoved):
    """The partner has it."""

    TYPE: ClassVar[str] = "fr.relais.ReferralReceived.v1"


class ReferralAccepted(_ReferralMoved):
    """The partner takes the person on."""

    TYPE: ClassVar[str] = "fr.relais.ReferralAccepted.v1"


class ReferralDeclined(_ReferralMoved):
    """The partner does not take the person on; `reason` is a `DeclineReason`."""

    TYPE: ClassVar[str] = "fr.relais.ReferralDeclined.v1"


class ReferralCompleted(_ReferralMoved):
    """The partner is done; `reason` is a `ReferralOutcome`."""

    TYPE: ClassVar[str] = "fr.relais.ReferralCompleted.v1"


class Links(BaseModel):
    """Where a partner goes from here, on its own token."""

    model_config = ConfigDict(frozen=True)

    story: str
    case: str
    answers: str


class PartnerReferralSent(EventData):
    """A partner's own view of `ReferralSent`: no case id, so that two partners cannot match their files."""

    TYPE: ClassVar[str] = "fr.relais.ReferralSent.v1"
    SERVICE: ClassVar[str] = "referral"
    AUDIENCE: ClassVar[Literal["partner"]] = "partner"

    referral_id: UUID
    need: Need
    site: str
    department: str
    reason: str
    due_at: datetime
    links: Links

    @classmethod
    def schema_path(cls) -> str:
        """Beside the internal one."""
        return f"/schemas/partner/{cls.TYPE.removeprefix('fr.relais.')}.json"


MOVED = (ReferralReceived, ReferralAccepted, ReferralDeclined, ReferralCompleted)
