"""What site software may ask."""

from datetime import date
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from services.contracts.codes import AgeBand, Category, Need, Obstacle, Public, VisitClass
from services.contracts.free_text import WithoutNir
from services.contracts.intake import NeedFacts, VisitFacts
from services.contracts.orientation import Proposal
from services.contracts.visits import Ignored, Obstacles, Publics, Residence, Undiagnosed, at_most
from services.network import Journey

_STRICT = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, str_strip_whitespace=True)
RulesVersion = Annotated[str, StringConstraints(max_length=200, pattern=r"^[^\x00-\x1f]*$"), WithoutNir]
_UNREAD: Any = Field(None, exclude=True, repr=False, description="Ignoré ; à ne pas envoyer ici.")


class SimulatedNeed(NeedFacts):
    """A need; what the agent wrote about it is not read here."""

    model_config = _STRICT

    obstacles: Obstacles = ()
    note: Ignored = _UNREAD
    override_reason: Ignored = _UNREAD


class SimulateForm(Undiagnosed, VisitFacts):
    """The visit that would be posted. Its personal fields may be there, since it is the same document: never read."""

    model_config = _STRICT

    commune: Residence | None = None
    publics: Publics = ()
    needs: Annotated[tuple[SimulatedNeed, ...], at_most(10)] = Field(min_length=1, max_length=10)
    visit_id: Ignored = _UNREAD
    person: Ignored = _UNREAD
    story: Ignored = _UNREAD
    agreement: Ignored = _UNREAD
    case: Ignored = _UNREAD


class ExplainForm(SimulateForm):
    """A visit to explain: by the rules of `rules_version`, else by those it was oriented by, else by its day's."""

    visit_id: UUID | None = None
    rules_version: RulesVersion | None = None


class CounterForm(BaseModel):
    """What an agent fills in on the page, as a browser sends it: what was left empty is there, and empty.

    `choices` are `need:partner`, or empty where the table's own proposal is kept; `discreet`: no need on the slip.
    """

    model_config = _STRICT

    needs: tuple[Need, ...] = ()
    obstacles: tuple[Obstacle, ...] = ()
    publics: tuple[Public, ...] = ()
    age_band: AgeBand = AgeBand.UNKNOWN
    commune: Annotated[str, StringConstraints(max_length=100), WithoutNir] = ""
    france_travail_registered: Literal["", "yes", "no"] = ""
    regime: Literal["", "general", "msa"] = ""
    day: Annotated[str, StringConstraints(max_length=10)] = ""
    choices: tuple[Annotated[str, StringConstraints(pattern=r"^(?:[a-z-]+:[a-z0-9-]{1,64})?$"), WithoutNir], ...] = ()
    reference: Annotated[str, StringConstraints(max_length=40), WithoutNir] = ""
    discreet: bool = False


class FoundCommune(BaseModel):
    """A commune by its INSEE code, name and département (INSEE code)."""

    code: str
    name: str
    department: str


class Simulation(BaseModel):
    """What the rules propose, for somebody who lives in `residence` (the site's commune where none was told).

    `information` is first-level information for the person, in French; `journeys` the typical journeys that the
    proposals name.
    """

    model_config = ConfigDict(serialize_by_alias=True, populate_by_name=True)

    spie: bool
    class_: VisitClass = Field(alias="class")
    rules_version: str
    residence: FoundCommune
    proposals: tuple[Proposal, ...]
    information: tuple[str, ...] = ()
    journeys: tuple[Journey, ...] = ()


class ExplainedLine(BaseModel):
    """A line that speaks of the need: `unmet` are the conditions that do not hold; the first line without any applies.

    A line below that one may hold as well, and is of no effect.
    """

    id: str
    applies: bool
    unmet: list[str]
    reason: str
    source: str | None


class ExplainedAttempt(BaseModel):
    """A kind of partner to whom the line leads: the partner found, or else none; `note` says why."""

    kind: str
    partner: str | None
    name: str | None
    note: str


class ExplainedNeed(BaseModel):
    """One need of the visit. `recipients` has a list for each referral, of the kinds to try in turn.

    `urgent`: nothing is sent, whatever the agent chooses. `closed` says why a need is not to be referred; `choice` what
    became of the partner that the agent chose.
    """

    need: Need
    label: str
    urgent: bool
    closed: str | None
    choice: str | None
    lines: list[ExplainedLine]
    recipients: list[list[ExplainedAttempt]]
    proposals: list[Proposal]


class Explanation(BaseModel):
    """Why the rules proposed what they did.

    `why_these_rules`: `asked` (by `rules_version`), `recorded` (the visit was oriented by them), `in-use` (when it
    took place), `oldest` (it took place before the oldest that are kept), `later` (today's, since the site was in none
    of that day), `files` (those of the network files).
    """

    rules_version: str
    why_these_rules: Literal["asked", "recorded", "in-use", "oldest", "later", "files"]
    day: date
    charter: str | None
    residence: FoundCommune
    needs: list[ExplainedNeed]


class LookUp(BaseModel):
    """What an agent looks up on the pages, as a browser sends it: what was left empty is there, and empty."""

    model_config = _STRICT

    need: Literal[""] | Need = ""
    public: Literal[""] | Public = ""
    commune: Annotated[str, StringConstraints(max_length=100), WithoutNir] = ""
    after: Annotated[str, StringConstraints(max_length=4000), WithoutNir] = ""


class ContactSheetsQuery(BaseModel):
    """Which contact sheets are looked for; without anything, all of them."""

    model_config = _STRICT

    need: Need | None = None
    commune: Residence | None = None


class FoundSheet(BaseModel):
    """A named direct contact. Without `needs` it is for any; `stale`: not verified for six months, or never."""

    partner: str
    partner_name: str
    category: Category
    needs: list[Need]
    name: str
    role: str | None
    address: str | None
    phone: str | None
    email: str | None
    hours: str | None
    last_verified: date | None
    stale: bool
    example: bool


class ContactSheetsPage(BaseModel):
    """All that suit, the narrowest territory first."""

    contact_sheets: list[FoundSheet]


class ServicesQuery(BaseModel):
    """What is looked for in the service directory. `after` is the `next` of the page before."""

    model_config = _STRICT

    need: Need | None = None
    public: Public | None = None
    commune: Residence | None = None
    within_km: Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)] = 20
    limit: int = Field(20, ge=1, le=100)
    after: Annotated[str, WithoutNir] | None = None


class FoundStructure(BaseModel):
    """Who offers a service."""

    id: str
    name: str
    link: str | None


class Reach(BaseModel):
    """How a service is asked for, `by` whom and `how` in data·inclusion's codes."""

    by: list[str]
    how: list[str]
    link: str | None
    details: str | None


class FoundService(BaseModel):
    """A service, its codes as in data·inclusion v1.

    What it does not say of its address, phone, e-mail and hours is its structure's. `distance_km` is from the middle
    of the commune asked for; `updated` the day of its last change at the source.
    """

    id: str
    name: str
    structure: FoundStructure
    description: str
    thematiques: list[str]
    publics: list[str]
    publics_details: str | None
    conditions: str | None
    fees: str | None
    fees_details: str | None
    address: str | None
    commune: str | None
    phone: str | None
    email: str | None
    opening_hours: str | None
    reach: Reach
    remote: bool
    distance_km: float | None
    source: str
    updated: date
    link: str | None


class ServicesPage(BaseModel):
    """The nearest first, then by name; those at a distance only, last. `next` is null on the last page."""

    services: list[FoundService]
    next: str | None
