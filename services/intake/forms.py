"""What a client may send. Unknown fields are refused; an error never quotes what was sent."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    EmailStr,
    Field,
    PastDate,
    StringConstraints,
    model_validator,
)

from services.contracts.codes import Need
from services.contracts.free_text import FreeText, Story, WithoutNir
from services.contracts.intake import Identifier, NeedFacts, VisitFacts
from services.contracts.visits import Obstacles, Publics, Residence, Undiagnosed, at_most

_STRICT = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, str_strip_whitespace=True)


Name = Annotated[str, StringConstraints(min_length=1, max_length=100), WithoutNir]
Phone = Annotated[str, StringConstraints(pattern=r"^[+\d][\d .\-()]{5,24}$"), WithoutNir]
Email = Annotated[EmailStr, WithoutNir]


class NeedForm(NeedFacts):
    """A need with what the agent wrote about it."""

    model_config = _STRICT

    obstacles: Obstacles = ()
    override_reason: FreeText | None = None
    note: FreeText | None = None

    @model_validator(mode="after")
    def _consistent(self) -> "NeedForm":
        if self.label and self.code is not Need.AUTRE:
            reason = "label n’accompagne que le besoin « autre »."
            raise ValueError(reason)
        return self


class PersonForm(BaseModel):
    """Who came. Stored encrypted, in intake only."""

    model_config = _STRICT

    family_name: Name
    given_name: Name
    birth_date: PastDate
    phone: Phone | None = None
    email: Email | None = None


class AgreementForm(BaseModel):
    """To whom the person agreed: categories or partner ids; `sensitive` for health and disability facts.

    `by`: who agreed. Before 15 years of age it is not the person's alone to do (loi 78-17, art. 45).
    """

    model_config = _STRICT

    recipients: Annotated[tuple[Identifier, ...], at_most(50)] = Field(max_length=50)
    sensitive: bool = False
    given_at: AwareDatetime | None = None
    form: Literal["oral", "written"] = "oral"
    by: Literal["person", "guardian"] = "person"


class VisitForm(Undiagnosed, VisitFacts):
    """A visit as site software sends it."""

    model_config = _STRICT

    visit_id: UUID
    commune: Residence | None = None
    publics: Publics = ()
    needs: Annotated[tuple[NeedForm, ...], at_most(10)] = Field(min_length=1, max_length=10)
    person: PersonForm | None = None
    story: Story | None = None
    agreement: AgreementForm | None = None
    case: UUID | None = None


class VisitAnswer(BaseModel):
    """What the site learns: the case, the reference to print for the person, how many cases may be the same's."""

    visit_id: UUID
    case: UUID | None
    reference: str | None
    possible_matches: int
    links: dict[str, str]
