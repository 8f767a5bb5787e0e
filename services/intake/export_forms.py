"""All that is held of a person, as it is handed over (RGPD, art. 15)."""

from datetime import date
from typing import Annotated, Any
from uuid import UUID

from pydantic import AwareDatetime, BaseModel

from services.contracts.free_text import WithoutNir
from services.intake.case_forms import AccessView, PersonView


class ExportQuery(BaseModel):
    """`json` or `pdf`, whatever `Accept` says; anything else is 406."""

    format: Annotated[str, WithoutNir] | None = None


class HeldCase(BaseModel):
    """One case; a person has several where sites did not know that it was the same."""

    case: UUID
    reference: str
    opened_at: AwareDatetime
    site: str
    site_name: str
    person: PersonView | None
    objected_at: AwareDatetime | None
    restricted_at: AwareDatetime | None
    kept_until: date


class HeldVisit(BaseModel):
    """One visit: coded facts, needs with what was written about them, the story, and who was said to come."""

    case: UUID
    site: str
    site_name: str
    visit_id: UUID
    occurred_at: AwareDatetime
    facts: dict[str, Any]
    needs: list[dict[str, Any]]
    story: str | None
    person: PersonView | None


class HeldAgreement(BaseModel):
    """The last decision for a recipient; `basis`: what lets data go there, as the network's files say.

    `given_at` is null where it was refused without having been given.
    """

    case: UUID
    recipient: str
    name: str
    basis: list[str]
    sensitive: bool
    given_at: AwareDatetime | None
    form: str
    by: str
    withdrawn_at: AwareDatetime | None
    withdrawn_for: str | None


class HeldReferral(BaseModel):
    """A referral as far as intake has heard of it."""

    referral_id: UUID
    case: UUID
    need: str | None
    recipient: str | None
    recipient_name: str | None
    sender: str | None
    sent_at: AwareDatetime | None
    state: str
    changed_at: AwareDatetime


class HeldMerge(BaseModel):
    """Two cases that an agent found to be one person's, and that still are."""

    case: UUID
    merged: UUID
    at: AwareDatetime
    org: str
    name: str


class Export(BaseModel):
    """What intake holds; `elsewhere` and `kept` say in French what others hold, and for how long all of it is kept."""

    exported_at: AwareDatetime
    person: PersonView
    cases: list[HeldCase]
    visits: list[HeldVisit]
    agreements: list[HeldAgreement]
    referrals: list[HeldReferral]
    merges: list[HeldMerge]
    accesses: list[AccessView]
    kept: list[str]
    elsewhere: list[str]
