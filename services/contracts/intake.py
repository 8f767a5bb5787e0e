"""What intake publishes, and the coded facts of a visit (shared by its form, its event and `simulate`)."""

from datetime import UTC, datetime
from typing import Annotated, ClassVar, Literal, Self
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from services.contracts.coarse import Pseudonym, noon
from services.contracts.codes import (
    AgeBand,
    Channel,
    Mode,
    Need,
    Obstacle,
    Outcome,
    Public,
    Regime,
    Sex,
)
from services.contracts.envelope import EventData
from services.contracts.free_text import WithoutNir

Identifier = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,64}$"), WithoutNir]
Commune = Annotated[str, StringConstraints(pattern=r"^(?:2[AB]|\d{2})\d{3}$")]
Department = Annotated[str, StringConstraints(pattern=r"^(?:2[AB]|\d{2,3})$")]
# Before this no France services site saw anybody; calendars run out of days before the year 1 and after 9999.
Instant = Annotated[AwareDatetime, Field(ge=datetime(2000, 1, 1, tzinfo=UTC), lt=datetime(2200, 1, 1, tzinfo=UTC))]


class NeedFacts(BaseModel):
    """One need, coded. `recipient` is the partner the agent chose instead of the first proposal."""

    model_config = ConfigDict(frozen=True)

    code: Need
    obstacles: tuple[Obstacle, ...] = ()
    outcome: Outcome
    operator: Identifier | None = None
    recipient: Identifier | None = None
    label: Identifier | None = None


class VisitFacts(BaseModel):
    """What the rules may look at: no identity, no free text."""

    model_config = ConfigDict(frozen=True)

    site: Identifier
    mode: Mode = Mode.LIVE
    occurred_at: Instant
    channel: Channel
    duration_minutes: Annotated[int, Field(ge=0, le=1440)] | None = None
    commune: Commune | None = None
    quarter: Annotated[str, StringConstraints(max_length=64), WithoutNir] | None = None
    age_band: AgeBand
    sex: Sex | None = None
    publics: tuple[Public, ...] = ()
    france_travail_registered: bool | None = None
    regime: Regime | None = None


class VisitRecorded(VisitFacts, EventData):
    """A site saw a person. `case` is opaque and null for an anonymous visit; `agreed` are categories or partner ids.

    `agreed_at`: since when, where it is not since the visit itself.
    `retold`: a story came with it, and the case had one already: the person has told it again; null without a story.
    """

    TYPE: ClassVar[str] = "fr.relais.VisitRecorded.v1"
    SERVICE: ClassVar[str] = "intake"
    model_config = ConfigDict(frozen=True, extra="ignore")

    visit_id: UUID
    case: UUID | None
    charter: str | None
    spie: bool
    department: Department
    needs: tuple[NeedFacts, ...]
    agreed: tuple[str, ...] = ()
    agreed_at: Instant | None = None
    sensitive: bool = False
    retold: bool | None = None

    def subjects(self) -> tuple[UUID, ...]:
        """Whom it is about."""
        return (self.case,) if self.case else ()

    def coarsened(self, pseudonym: Pseudonym) -> Self:
        """A visit to be counted: when, where, which needs, and nothing about who came."""
        needs = tuple(NeedFacts(code=each.code, outcome=each.outcome, operator=each.operator) for each in self.needs)
        return self.model_copy(
            update={
                "visit_id": pseudonym(self.visit_id),
                "case": None,
                "occurred_at": noon(self.occurred_at),
                "duration_minutes": None,
                "commune": None,
                "quarter": None,
                "age_band": AgeBand.UNKNOWN,
                "sex": None,
                "publics": (),
                "france_travail_registered": None,
                "regime": None,
                "needs": needs,
                "agreed": (),
                "agreed_at": None,
                "sensitive": False,
            }
        )


class AgreementGiven(EventData):
    """A person agreed, at `at`, that a recipient gets what is told; `sensitive`: health and disability facts, too.

    `recipient`: a category or a partner id. It counts for every visit of the case until it is taken back.
    """

    TYPE: ClassVar[str] = "fr.relais.AgreementGiven.v1"
    SERVICE: ClassVar[str] = "intake"

    case: UUID
    recipient: str
    sensitive: bool
    at: AwareDatetime

    def subjects(self) -> tuple[UUID, ...]:
        """Whom it is about."""
        return (self.case,)


class AgreementWithdrawn(EventData):
    """A person agrees no more, from `at` on, or objects, or has the processing restricted (RGPD, art. 7, 21, 18).

    Of decisions for a partner and for its category, the latest counts.
    """

    TYPE: ClassVar[str] = "fr.relais.AgreementWithdrawn.v1"
    SERVICE: ClassVar[str] = "intake"

    case: UUID
    recipient: str
    at: AwareDatetime
    reason: Literal["withdrawn", "objection", "restriction"]

    def subjects(self) -> tuple[UUID, ...]:
        """Whom it is about."""
        return (self.case,)


class CasesMerged(EventData):
    """An agent found that `merged` is of the same person as `case`, which it is read with from now on.

    `retold`: both had a story, so that the person has told it twice. `site`: whose agent found it.
    """

    TYPE: ClassVar[str] = "fr.relais.CasesMerged.v1"
    SERVICE: ClassVar[str] = "intake"

    case: UUID
    merged: UUID
    retold: bool = False
    site: str | None = None

    def subjects(self) -> tuple[UUID, ...]:
        """Whom it is about: a single person, or two."""
        return (self.case, self.merged)

    def coarsened(self, pseudonym: Pseudonym) -> Self | None:
        """That a story was told twice is counted still."""
        cut = {"case": pseudonym(self.case), "merged": pseudonym(self.merged)}
        return self.model_copy(update=cut) if self.retold else None


class CasesUnmerged(EventData):
    """They are two persons after all."""

    TYPE: ClassVar[str] = "fr.relais.CasesUnmerged.v1"
    SERVICE: ClassVar[str] = "intake"

    case: UUID
    merged: UUID
    retold: bool = False

    def subjects(self) -> tuple[UUID, ...]:
        """Whom it is about: a single person, or two."""
        return (self.case, self.merged)

    def coarsened(self, pseudonym: Pseudonym) -> Self | None:
        """That a story was told twice is counted still."""
        cut = {"case": pseudonym(self.case), "merged": pseudonym(self.merged)}
        return self.model_copy(update=cut) if self.retold else None


class CaseErased(EventData):
    """A case is to be forgotten: its id cut and its facts coarsened, in tables and ledgers. `opened_at`: not before.

    `secret`: random; by it every service puts the same other ids in the place of those that lead to the person.
    """

    TYPE: ClassVar[str] = "fr.relais.CaseErased.v1"
    SERVICE: ClassVar[str] = "intake"
    FORGETS: ClassVar[bool] = True

    case: UUID
    opened_at: AwareDatetime
    reason: Literal["request", "retention"]
    secret: UUID
