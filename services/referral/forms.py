"""What partners and sites may send, and what they get back."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, StringConstraints

from services.contracts.codes import DeclineReason, Need, ReferralOutcome, ReferralState
from services.contracts.free_text import FreeText, ShortText
from services.contracts.intake import Identifier
from services.contracts.referral import Links

_STRICT = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, str_strip_whitespace=True)


class SenderLinks(BaseModel):
    """Where a partner reads what became of the referrals that it sent."""

    referrals: str


class SiteLinks(BaseModel):
    """Where a site answers a referral: Relais holds no story for it to fetch."""

    answers: str


class AppointmentForm(BaseModel):
    """When, where and with whom the person is expected."""

    model_config = _STRICT

    at: AwareDatetime
    place: ShortText | None = None
    contact: ShortText | None = None


def _said_yes(value: object) -> object:
    if value is not True:
        reason = "true attendu : rien n’est envoyé à un site sans l’accord de la personne."
        raise ValueError(reason)
    return value


class ReferralForm(BaseModel):
    """A partner orients a person toward a site, which is told no identity: there is no field for one.

    `referral_id` is the partner's own; `about` the referral by which the person came to it. `sensitive`: the person
    agreed explicitly that the site learns a health or disability fact (RGPD, art. 9).
    """

    model_config = _STRICT

    referral_id: UUID
    site: Identifier
    need: Need
    about: UUID | None = None
    note: FreeText | None = None
    agreed: Annotated[Literal[True], BeforeValidator(_said_yes)]
    sensitive: StrictBool = False


class ReferralTaken(BaseModel):
    """What the sending partner is told, the same each time: its referral was sent, and where its state is read."""

    referral_id: UUID
    site: str
    need: Need
    state: ReferralState
    links: SenderLinks


class AnswerForm(BaseModel):
    """The answer of the partner or site that a referral is addressed to.

    `story_sufficient` says whether the person's story had not to be asked again.
    """

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
    """What it is told: the state that the referral is in after this answer."""

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
    """A referral as its reader may see it: `case` and `visit_id` for the visit's site, `links` for who may answer.

    `sender` is the partner that sent it to a site, null for what a site's visit made.
    """

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
    sender: str | None = None
    case: UUID | None = None
    visit_id: UUID | None = None
    links: Links | SiteLinks | None = None


class ReferralsPage(BaseModel):
    """Referrals in the order of their last change; ask again with `after=next` for what changed since."""

    referrals: list[ReferralView]
    next: str | None


class EventsPage(BaseModel):
    """The partner's CloudEvents in commit order, the very documents of its queue."""

    events: list[dict[str, object]]
    next: str | None
