"""What partners and sites may send, and what they get back."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from services.contracts.codes import DeclineReason, ReferralOutcome, ReferralState
from services.contracts.free_text import FreeText, ShortText
from services.contracts.referral import Links

_STRICT = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, str_strip_whitespace=True)


class AppointmentForm(BaseModel):
    """When, where and with whom the person is expected."""

    model_config = _STRICT

    at: AwareDatetime
    place: ShortText | None = None
    contact: ShortText | None = None


class AnswerForm(BaseModel):
    """A partner's answer. `story_sufficient` says whether the person's story had not to be asked again."""

    model_config = _STRICT

    answer_id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.:-]{1,64}$")]
    status: Literal["received", "accepted", "declined", "completed"]
    reason: DeclineReason | None = None
    outcome: ReferralOutcome | None = None
    appointment: AppointmentForm | None = None
    story_sufficient: bool | None = None
    note: FreeText | None = None

    @property
    def state(self) -> ReferralState:
        """The state that this answer asks for."""
        return ReferralState(self.status)


class AnswerTaken(BaseModel):
    """What the partner is told: the state that the referral is in after this answer."""

    referral_id: UUID
    answer_id: str
    state: ReferralState
    step: int


class ReferralsQuery(BaseModel):
    """`after` is the `next` of the page before."""

    model_config = _STRICT

    status: ReferralState | None = None
    after: str | None = None
    limit: int = Field(100, ge=1, le=1000)


class EventsQuery(BaseModel):
    """`after` is the `next` of the page before."""

    model_config = _STRICT

    after: str | None = None
    limit: int = Field(100, ge=1, le=1000)


class ReferralView(BaseModel):
    """A referral as its reader may see it: `case` and `visit_id` for the sender, `links` for the partner."""

    referral_id: UUID
    need: str
    partner: str
    category: str
    department: str
    site: str
    reason: str
    state: ReferralState
    due_at: datetime | None
    changed_at: datetime
    case: UUID | None = None
    visit_id: UUID | None = None
    links: Links | None = None


class ReferralsPage(BaseModel):
    """Referrals in the order of their last change; ask again with `after=next` for what changed since."""

    referrals: list[ReferralView]
    next: str | None


class EventsPage(BaseModel):
    """The partner's CloudEvents in commit order, the very documents of its queue."""

    events: list[dict[str, object]]
    next: str | None
