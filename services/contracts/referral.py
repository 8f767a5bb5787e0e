"""What referral publishes: inside with the case id, to partners without it."""

from datetime import date, datetime
from typing import Annotated, ClassVar, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from services.contracts.coarse import Pseudonym, noon
from services.contracts.codes import Category, Need, ReferralState
from services.contracts.envelope import EventData


class ReferralSent(EventData):
    """A referral left for a partner, or from a partner (`sender`) for a site. `due_at`: when silence is overdue.

    Toward a site, `partner` and `site` are that site, and `visit_id` and `case` those of the referral it is about,
    maybe another site's; both are null when it is about none: then the person is not known to Relais.
    `previous` is the referral that ended before this one took its place, `bounces` how many did.
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
    previous: UUID | None = None
    bounces: int = 0

    def routing_key(self) -> str:
        """`ReferralSent.<category>.<partner>.<department>`."""
        return f"{self.name()}.{self.category}.{self.partner}.{self.department}"

    def subjects(self) -> tuple[UUID, ...]:
        """Whom it is about."""
        return (self.case,) if self.case else ()

    def coarsened(self, pseudonym: Pseudonym) -> Self:
        """A referral to be counted."""
        return self.model_copy(
            update={
                "referral_id": pseudonym(self.referral_id),
                "visit_id": self.visit_id and pseudonym(self.visit_id),
                "case": None,
                "reason": "",
                "due_at": noon(self.due_at),
                "previous": self.previous and pseudonym(self.previous),
            }
        )


class ReferralHeld(EventData):
    """A referral waits for the person's agreement. Nobody outside hears of it; `ReferralSent` may follow."""

    TYPE: ClassVar[str] = "fr.relais.ReferralHeld.v1"
    SERVICE: ClassVar[str] = "referral"

    referral_id: UUID
    visit_id: UUID
    case: UUID
    need: Need
    partner: str
    category: Category
    site: str
    department: str
    step: int

    def subjects(self) -> tuple[UUID, ...]:
        """Whom it is about."""
        return (self.case,)


class ReferralMoved(EventData):
    """A referral took a step: into another state, or in its own. `step` counts them, so that readers can order them.

    `reason` is a code: of a refusal or a failure, of an end, of a withdrawal, of what was waited for too long.
    `story_sufficient` is what the answer says of the story, if it says so.
    """

    SERVICE: ClassVar[str] = "referral"

    referral_id: UUID
    case: UUID | None
    from_state: ReferralState
    to_state: ReferralState
    reason: str | None = None
    appointment_day: date | None = None
    step: int
    story_sufficient: bool | None = None

    def subjects(self) -> tuple[UUID, ...]:
        """Whom it is about."""
        return (self.case,) if self.case else ()

    def coarsened(self, pseudonym: Pseudonym) -> Self:
        """A step to be counted; its codes stay."""
        return self.model_copy(update={"referral_id": pseudonym(self.referral_id), "case": None})


class ReferralReceived(ReferralMoved):
    """The partner has it."""

    TYPE: ClassVar[str] = "fr.relais.ReferralReceived.v1"


class ReferralAccepted(ReferralMoved):
    """The partner takes the person on."""

    TYPE: ClassVar[str] = "fr.relais.ReferralAccepted.v1"


class ReferralProgressed(ReferralMoved):
    """The partner has news: it is at work (`in-progress`), or waits for something (`on-hold`)."""

    TYPE: ClassVar[str] = "fr.relais.ReferralProgressed.v1"


class ReferralDeclined(ReferralMoved):
    """The partner does not take the person on; `reason` is a `DeclineReason`."""

    TYPE: ClassVar[str] = "fr.relais.ReferralDeclined.v1"


class ReferralCompleted(ReferralMoved):
    """The partner is done; `reason` is a `ReferralOutcome`."""

    TYPE: ClassVar[str] = "fr.relais.ReferralCompleted.v1"


class ReferralFailed(ReferralMoved):
    """The partner had accepted and could not go on; `reason` is a `DeclineReason`."""

    TYPE: ClassVar[str] = "fr.relais.ReferralFailed.v1"


class ReferralExpired(ReferralMoved):
    """Nobody answered in time; `reason` is what was `Waiting`, or null where the agreement was."""

    TYPE: ClassVar[str] = "fr.relais.ReferralExpired.v1"


class ReferralWithdrawn(ReferralMoved):
    """The sender took it back; `reason` is a `WithdrawReason`."""

    TYPE: ClassVar[str] = "fr.relais.ReferralWithdrawn.v1"


class ReferralVoided(ReferralMoved):
    """There should never have been one (`entered-in-error`)."""

    TYPE: ClassVar[str] = "fr.relais.ReferralVoided.v1"


class ReferralReminded(ReferralMoved):
    """The partner was reminded that an answer is waited for; the state stays."""

    TYPE: ClassVar[str] = "fr.relais.ReferralReminded.v1"


class ReferralEscalated(ReferralMoved):
    """The partner's named contact was called in; the state stays, `reason` is what was `Waiting`."""

    TYPE: ClassVar[str] = "fr.relais.ReferralEscalated.v1"


class ReferralRerouted(ReferralMoved):
    """After a refusal or silence the next recipient that the person agreed to has it, as `next_referral_id`.

    `reason` is that of the refusal, `bounces` how many recipients have been left behind by now. The state stays.
    """

    TYPE: ClassVar[str] = "fr.relais.ReferralRerouted.v1"

    next_referral_id: UUID
    partner: str
    category: Category
    bounces: int

    def coarsened(self, pseudonym: Pseudonym) -> Self:
        """As any step; the next referral is coarsened, too."""
        cut = {"next_referral_id": pseudonym(self.next_referral_id)}
        return super().coarsened(pseudonym).model_copy(update=cut)


MOVED: tuple[type[ReferralMoved], ...] = (
    ReferralReceived,
    ReferralAccepted,
    ReferralProgressed,
    ReferralDeclined,
    ReferralCompleted,
    ReferralFailed,
    ReferralExpired,
    ReferralWithdrawn,
    ReferralVoided,
    ReferralReminded,
    ReferralEscalated,
    ReferralRerouted,
)
# What tells of a step into each state, but into those before and at the sending.
EVENT_INTO: dict[ReferralState, type[ReferralMoved]] = {
    ReferralState.RECEIVED: ReferralReceived,
    ReferralState.ACCEPTED: ReferralAccepted,
    ReferralState.IN_PROGRESS: ReferralProgressed,
    ReferralState.ON_HOLD: ReferralProgressed,
    ReferralState.DECLINED: ReferralDeclined,
    ReferralState.COMPLETED: ReferralCompleted,
    ReferralState.FAILED: ReferralFailed,
    ReferralState.EXPIRED: ReferralExpired,
    ReferralState.WITHDRAWN: ReferralWithdrawn,
    ReferralState.ENTERED_IN_ERROR: ReferralVoided,
}


class Links(BaseModel):
    """Where a partner goes from here, on its own token."""

    model_config = ConfigDict(frozen=True)

    story: str
    case: str
    answers: str


class PartnerEvent(EventData):
    """What goes to one partner: no case id, so that two partners cannot match their files."""

    SERVICE: ClassVar[str] = "referral"
    AUDIENCE: ClassVar[Literal["partner"]] = "partner"

    @classmethod
    def schema_path(cls) -> str:
        """Beside the internal one."""
        return f"/schemas/partner/{cls.TYPE.removeprefix('fr.relais.')}.json"


class PartnerReferralSent(PartnerEvent):
    """A partner's own view of `ReferralSent`."""

    TYPE: ClassVar[str] = "fr.relais.ReferralSent.v1"

    referral_id: UUID
    need: Need
    site: str
    department: str
    reason: str
    due_at: datetime
    links: Links


class PartnerReferralMoved(PartnerEvent):
    """A partner's own view of a step of a referral that it got, or that it sent to a site.

    `due_at` is by when the next step is waited for, null when none is. `reason` as in the internal event.
    """

    referral_id: UUID
    need: Need
    site: str
    department: str
    from_state: ReferralState
    to_state: ReferralState
    reason: str | None
    appointment_day: date | None
    due_at: datetime | None
    step: int
    links: Links


class RefusedField(BaseModel):
    """Where an answer was wrong, and what would be right."""

    model_config = ConfigDict(frozen=True)

    pointer: str
    detail: str


class PartnerAnswerRefused(PartnerEvent):
    """An answer that the partner wrote to the exchange `answers` was not taken: what a caller over HTTP is told.

    `referral_id` and `answer_id` are null where they could not be read.
    """

    TYPE: ClassVar[str] = "fr.relais.AnswerRefused.v1"

    referral_id: UUID | None
    answer_id: str | None
    status: int
    type: str
    title: str
    detail: str
    errors: Annotated[tuple[RefusedField, ...], Field(default=())]


class PartnerReferralErased(PartnerEvent):
    """The person's case is erased (RGPD, art. 17 and 19): this referral is to be forgotten, there too."""

    TYPE: ClassVar[str] = "fr.relais.ReferralErased.v1"
    FORGETS: ClassVar[bool] = True

    referral_id: UUID


def _seen_by_partners(event: type[ReferralMoved]) -> type[PartnerReferralMoved]:
    words = {"TYPE": event.TYPE, "__doc__": event.__doc__, "__module__": __name__}
    return type(f"Partner{event.__name__}", (PartnerReferralMoved,), words)


# Of each step's event the view that partners get; to whom a person went on is told to nobody outside.
SEEN_BY_PARTNERS = {event: _seen_by_partners(event) for event in MOVED if event is not ReferralRerouted}
FOR_PARTNERS: tuple[type[PartnerEvent], ...] = (
    PartnerReferralSent,
    *SEEN_BY_PARTNERS.values(),
    PartnerAnswerRefused,
    PartnerReferralErased,
)
