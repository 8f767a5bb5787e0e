"""What was told of a case, opened: identity, stories, notes and coded facts of all its visits."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import select

from services.chassis.app import Work
from services.contracts.intake import VisitRecorded
from services.intake.case_forms import PersonView, Told
from services.intake.queries import unknown_case
from services.intake.tables import cases, visits


class Visited(NamedTuple):
    """A visit with its texts: `story`, `person`, `needs/0/note`, `needs/0/override_reason`."""

    case: UUID
    site: str
    visit_id: UUID
    occurred_at: datetime
    facts: dict[str, Any]
    texts: dict[str, str]

    @property
    def needs(self) -> list[dict[str, Any]]:
        """The coded needs, each with what was written about it."""
        return [
            {**need, **{field: self.texts.get(f"needs/{place}/{field}") for field in ("note", "override_reason")}}
            for place, need in enumerate(self.facts["needs"])
        ]

    def as_told(self, text: str, need: str | None = None) -> Told:
        """One of its texts: where and when it was told, and about which need."""
        return Told(visit_id=self.visit_id, site=self.site, occurred_at=self.occurred_at, text=text, need=need)


def visit_field(site: str, visit_id: UUID) -> str:
    """Under which name a visit's texts are sealed."""
    return f"visit/{site}/{visit_id}"


def identity_of(work: Work, case: UUID) -> PersonView:
    """Who it is, of a case that is held. Raises Rejected (404) where that was never said."""
    sealed = work.execute(select(cases.c.identity_sealed).where(cases.c.id == case)).scalar()
    if sealed is None:
        raise unknown_case()
    return PersonView.model_validate_json(work.key(case).open("identity", sealed))


def visits_of(work: Work, members: Sequence[UUID]) -> list[Visited]:
    """Every visit of cases that are held, the oldest first."""
    order = visits.c.occurred_at, visits.c.recorded_at, visits.c.site, visits.c.visit_id
    rows = work.execute(select(visits).where(visits.c.case_id.in_(members)).order_by(*order)).all()
    return [
        Visited(
            row.case_id,
            row.site,
            row.visit_id,
            row.occurred_at,
            VisitRecorded.model_validate_json(row.facts).model_dump(mode="json"),
            texts_of(work, row.case_id, row.site, row.visit_id, row.free_text_sealed),
        )
        for row in rows
    ]


def texts_of(work: Work, case: UUID, site: str, visit_id: UUID, sealed: bytes | None) -> dict[str, str]:
    """A visit's texts, opened."""
    if sealed is None:
        return {}
    texts: dict[str, str] = json.loads(work.key(case).open(visit_field(site, visit_id), sealed))
    return texts


def stories_of(visited: Sequence[Visited]) -> list[Told]:
    """The stories, as agents read them."""
    return [each.as_told(each.texts["story"]) for each in visited if each.texts.get("story")]


def notes_of(visited: Sequence[Visited]) -> list[Told]:
    """The notes about needs, as agents read them."""
    return [each.as_told(need["note"], need["code"]) for each in visited for need in each.needs if need["note"]]
