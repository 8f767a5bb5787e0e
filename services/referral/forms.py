"""What partners and sites may send, and what they get back."""

import time
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StringConstraints,
)

from services.contracts.codes import DeclineReason, Need, ReferralOutcome, ReferralState, WithdrawReason
from services.contracts.free_text import FreeText, ShortText, WithoutNir, without_nir
from services.contracts.intake import Identifier
from services.contracts.referral import Links

_STRICT = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, str_strip_whitespace=True)


_A_MONTH = 31 * 24 * 3600.0


def _own_id(text: str) -> str:
    """Raises ValueError where it looks like a social security number, unless it is this month in milliseconds."""
    if text.isascii() and text.isdecimal() and abs(int(text) / 1000 - time.time()) < _A_MONTH:
        return text
    return without_nir(text)


AnswerId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.:-]{1,64}$"), AfterValidator(_own_id)]


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

    answer_id: AnswerId
    status: Literal["received", "accepted", "in-progress", "on-hold", "declined", "completed", "failed"]
    reason: DeclineReason | None = None
    outcome: ReferralOutcome | None = None
    appointment: AppointmentForm | None = None
    story_sufficient: bool | None = None
    note: FreeText | None = None

    @property
    def state(self) -> ReferralState:
        """The state that this answer asks for."""
        return ReferralState(self.status)


class PostedAnswer(AnswerForm):
    """The same by AMQP, where no address says which referral it is about."""

    referral_id: UUID


class AnswerTaken(BaseModel):
    """What it is told: the state that the referral is in after this answer."""

    referral_id: UUID
    answer_id: str
    state: ReferralState
    step: int


class WithdrawForm(BaseModel):
    """Why the sender takes a referral back. `entered-in-error`: there should never have been one."""

    model_config = _STRICT

    reason: WithdrawReason


class WithdrawTaken(BaseModel):
    """What it is told: the state that the referral is in now."""

    referral_id: UUID
    state: ReferralState
    step: int


class ReferralsQuery(BaseModel):
    """`after` is the `next` of the page before."""

    model_config = _STRICT

    status: ReferralState | None = None
    after: Annotated[str, WithoutNir] | None = None
    limit: int = Field(100, ge=1, le=1000)


class EventsQuery(BaseModel):
    """`after` is the `next` of the page before."""

    model_config = _STRICT

    after: Annotated[str, WithoutNir] | None = None
    limit: int = Field(100, ge=1, le=1000)


class NextStep(BaseModel):
    """Who owes the next action: a site's or a partner's id, which action, by when; `overdue` when that has passed."""

    owner: str
    action: str
    label: str
    before: datetime | None
    overdue: bool


class AppointmentView(BaseModel):
    """When, where and with whom the person is expected."""

    at: datetime
    place: str | None = None
    contact: str | None = None


class AnswerView(BaseModel):
    """An answer as whoever sent the referral, and whoever gave it, may read it. `reason`: of an end, its outcome."""

    answer_id: str
    status: ReferralState
    at: datetime
    reason: str | None
    story_sufficient: bool | None
    appointment: AppointmentView | None
    note: str | None


class ReferralView(BaseModel):
    """A referral as its reader may see it: `case` and `visit_id` for the visit's site, `links` for who may answer.

    `sender` is the partner that sent it to a site, null for what a site's visit made; `note` is what it wrote.
    `previous`: the referral that this one took the place of, `next_referral`: the one that took its place (both only
    for the visit's site); `bounces`: how many recipients it left behind before this one. `reminders`: how often the
    clock has asked.
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
    sent_at: datetime
    changed_at: datetime
    next: NextStep | None
    answers: list[AnswerView]
    reminders: int
    sender: str | None = None
    note: str | None = None
    case: UUID | None = None
    visit_id: UUID | None = None
    previous: UUID | None = None
    next_referral: UUID | None = None
    bounces: int | None = None
    links: Links | SiteLinks | None = None


class ReferralsPage(BaseModel):
    """Referrals in the order of their last change; ask again with `after=next` for what changed since."""

    referrals: list[ReferralView]
    next: str | None


class EventsPage(BaseModel):
    """The partner's CloudEvents in commit order, the very documents of its queue."""

    events: list[dict[str, object]]
    next: str | None
