"""The shapes of a case, as an agent reads it and as the addressed partner does."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field

_STORY = "Identité, récits et notes tels qu’intake les donne à ce lecteur (voir son StoryView) ; null s’ils manquent."
_MISSING = "Ce qui manque et pourquoi ; null si rien ne manque."


class TimelineEntry(BaseModel):
    """One thing that happened: codes for programs, one French sentence for people."""

    at: datetime
    kind: str
    site: str | None
    label: str
    codes: dict[str, Any]


class Waiting(BaseModel):
    """An open referral: who owes what, since when. `due_at` is null once the recipient has answered at all."""

    referral_id: UUID
    need: str
    partner: str
    state: str
    since: datetime
    due_at: datetime | None
    appointment_day: date | None
    label: str = Field(description="En français : qui doit faire quoi, et avant quand.")


class Ended(BaseModel):
    """A referral that has come to its end: where it was tried, and how it ended."""

    referral_id: UUID
    need: str
    partner: str
    category: str
    state: str
    reason: str | None
    at: datetime
    label: str


class CaseTimeline(BaseModel):
    """A case as its sites may see it, oldest first; `cases` are all that were joined to it, `case` their head."""

    case: UUID
    cases: list[UUID] = []
    sites: list[str]
    bounces: int = Field(
        0, description="Renvois : orientations de ce dossier qui, une fois envoyées, ont été déclinées ou ont expiré."
    )
    waiting: list[Waiting] = []
    tried: list[Ended] = []
    timeline: list[TimelineEntry]
    story: dict[str, Any] | None = Field(None, description=_STORY)
    missing: str | None = Field(None, description=_MISSING)


class TriedBefore(BaseModel):
    """What was tried for this need before: at which category of partner, and how it ended. Never at whom."""

    category: str
    state: str
    reason: str | None
    label: str


class ReferralCase(BaseModel):
    """A case as the addressed partner may see it: its own referral, and no other's. Times are told to the minute."""

    referral_id: UUID
    need: str
    site: str
    state: str
    waiting: str = Field(description="En français : ce que vous devez faire, et avant quand.")
    tried: list[TriedBefore]
    timeline: list[TimelineEntry]
    story: dict[str, Any] | None = Field(None, description=_STORY)
    missing: str | None = Field(None, description=_MISSING)
