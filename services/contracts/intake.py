"""What intake publishes, and the coded facts of a visit (shared by its form, its event and `simulate`)."""

from datetime import UTC, datetime
from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

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

Identifier = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,64}$")]
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
    quarter: Annotated[str, StringConstraints(max_length=64)] | None = None
    age_band: AgeBand
    sex: Sex | None = None
    publics: tuple[Public, ...] = ()
    france_travail_registered: bool | None = None
    regime: Regime | None = None


class VisitRecorded(VisitFacts, EventData):
    """A site saw a person. `case` is opaque and null for an anonymous visit; `agreed` are categories or partner ids."""

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
    sensitive: bool = False
