"""What an agent may send about a case, and what comes back."""

from datetime import date
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, PastDate, StringConstraints, model_validator

from services.contracts.free_text import Story, WithoutNir
from services.intake.forms import Name

_STRICT = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, str_strip_whitespace=True)


class SoughtPerson(BaseModel):
    """Whom an agent looks for."""

    model_config = _STRICT

    family_name: Name
    given_name: Name
    birth_date: PastDate


class SearchForm(BaseModel):
    """A printed reference, or a person: one of them."""

    model_config = _STRICT

    reference: Annotated[str, StringConstraints(max_length=40), WithoutNir] | None = None
    person: SoughtPerson | None = None

    @model_validator(mode="after")
    def _one(self) -> "SearchForm":
        if (self.reference is None) == (self.person is None):
            reason = "Donnez soit « reference », soit « person »."
            raise ValueError(reason)
        return self


class Match(BaseModel):
    """A case that may be the person's, as far as deciding needs it: how it matches, where and when it was last met.

    `why`: French, and never another site's spelling of a name or a date. `last_visit`: a month, `2026-11`.
    """

    case: UUID
    kind: Literal["reference", "exact", "near"]
    why: list[str]
    sites: list[str]
    last_visit: str | None
    known: bool


class Matches(BaseModel):
    """What a search found, the nearest first; the agent decides."""

    matches: list[Match]


class JoinForm(BaseModel):
    """The other case of the same person."""

    model_config = _STRICT

    case: UUID


class Joined(BaseModel):
    """`case` is the one that both are read with."""

    case: UUID
    merged: UUID
    joined: bool


class AgreementPut(BaseModel):
    """An agreement for one recipient; `by`: who gave it. Before 15 years of age it is a guardian's to give."""

    model_config = _STRICT

    sensitive: bool = False
    given_at: AwareDatetime | None = None
    form: Literal["oral", "written"] = "oral"
    by: Literal["person", "guardian"] = "person"


class AgreementView(BaseModel):
    """The last decision for a recipient, with the basis by which the network's files let data go to it."""

    recipient: str
    name: str
    basis: Literal["mission", "agreement"] | None
    given: bool
    sensitive: bool
    given_at: AwareDatetime | None = Field(description="Null for who was refused without ever having been agreed to.")
    form: str
    by: str
    withdrawn_at: AwareDatetime | None
    withdrawn_for: str | None


class AgreementsView(BaseModel):
    """Every recipient that the person was asked about. `objected`, `restricted`: nothing goes anywhere meanwhile."""

    case: UUID
    objected: bool
    restricted: bool
    agreements: list[AgreementView]


class PersonView(BaseModel):
    """Who came, as told at a counter."""

    family_name: str
    given_name: str
    birth_date: date
    phone: str | None = None
    email: str | None = None


class Told(BaseModel):
    """A story, or a note about a need, as it was told: at which site and when.

    To a partner `visit_id` is null and `occurred_at` the first instant of the day, in Paris: by what is common and not
    told by the person, two partners could match their files.
    """

    visit_id: UUID | None = None
    site: str
    occurred_at: AwareDatetime
    text: str
    need: str | None = None


class StoryView(BaseModel):
    """What a reader is entitled to: identity, stories (oldest first), notes and declared facts.

    `sensitive`: whether health and disability facts are among them; `withheld`: in French, what is not shown, and why.
    """

    case: UUID | None = Field(None, description="Null for a partner, which never learns it.")
    referral_id: UUID | None = None
    person: PersonView
    stories: list[Told]
    notes: list[Told]
    facts: dict[str, object]
    sensitive: bool
    withheld: list[str]


class StoryPut(BaseModel):
    """A story put right by the site that wrote it down (RGPD, art. 16)."""

    model_config = _STRICT

    story: Annotated[Story, Field(min_length=1)]


class AccessView(BaseModel):
    """Who looked or acted, when and what for."""

    at: AwareDatetime
    org: str
    name: str
    role: str
    action: str
    label: str
    referral_id: UUID | None


class AccessesView(BaseModel):
    """The exchange trace of a case, newest first; the person's to see (CRPA, R. 114-9-1 and following)."""

    case: UUID
    accesses: list[AccessView]


class Erased(BaseModel):
    """What is gone. `partners` are those that are told to erase it, too (RGPD, art. 19)."""

    erased: bool
    partners: list[str]
