"""What site software may ask."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from services.contracts.codes import VisitClass
from services.contracts.intake import NeedFacts, VisitFacts
from services.contracts.orientation import Proposal

_STRICT = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, str_strip_whitespace=True)
_UNREAD: Any = Field(None, exclude=True, repr=False, description="Ignoré ; à ne pas envoyer ici.")


class SimulatedNeed(NeedFacts):
    """A need; what the agent wrote about it is not read here."""

    model_config = _STRICT

    note: Any = _UNREAD
    override_reason: Any = _UNREAD


class SimulateForm(VisitFacts):
    """The visit that would be posted. Its personal fields may be there, since it is the same document: never read."""

    model_config = _STRICT

    needs: tuple[SimulatedNeed, ...] = Field(min_length=1, max_length=10)
    visit_id: Any = _UNREAD
    person: Any = _UNREAD
    story: Any = _UNREAD
    agreement: Any = _UNREAD
    case: Any = _UNREAD


class Simulation(BaseModel):
    """What the rules propose; `information` is first-level information for the person, in French."""

    model_config = ConfigDict(serialize_by_alias=True, populate_by_name=True)

    spie: bool
    class_: VisitClass = Field(alias="class")
    rules_version: str
    proposals: tuple[Proposal, ...]
    information: tuple[str, ...] = ()
