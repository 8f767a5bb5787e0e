"""What site software may ask."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from services.contracts.codes import VisitClass
from services.contracts.intake import NeedFacts, VisitFacts
from services.contracts.orientation import Proposal
from services.contracts.visits import Ignored, Residence, Undiagnosed

_STRICT = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, str_strip_whitespace=True)
_UNREAD: Any = Field(None, exclude=True, repr=False, description="Ignoré ; à ne pas envoyer ici.")


class SimulatedNeed(NeedFacts):
    """A need; what the agent wrote about it is not read here."""

    model_config = _STRICT

    note: Ignored = _UNREAD
    override_reason: Ignored = _UNREAD


class SimulateForm(Undiagnosed, VisitFacts):
    """The visit that would be posted. Its personal fields may be there, since it is the same document: never read."""

    model_config = _STRICT

    commune: Residence | None = None
    needs: tuple[SimulatedNeed, ...] = Field(min_length=1, max_length=10)
    visit_id: Ignored = _UNREAD
    person: Ignored = _UNREAD
    story: Ignored = _UNREAD
    agreement: Ignored = _UNREAD
    case: Ignored = _UNREAD


class Simulation(BaseModel):
    """What the rules propose; `information` is first-level information for the person, in French."""

    model_config = ConfigDict(serialize_by_alias=True, populate_by_name=True)

    spie: bool
    class_: VisitClass = Field(alias="class")
    rules_version: str
    proposals: tuple[Proposal, ...]
    information: tuple[str, ...] = ()
