"""What is left of each event when its case is erased: nothing that leads to the person, and all that is counted."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.contracts import topology
from services.contracts.coarse import digest, noon, pseudonyms
from services.contracts.envelope import EventData
from services.contracts.intake import CaseErased, CasesMerged, VisitRecorded
from services.contracts.orientation import OrientationProposed
from services.contracts.referral import PartnerReferralErased, ReferralMoved, ReferralRerouted, ReferralSent

GOLDEN = Path(__file__).parents[2] / "golden"
ID = re.compile("[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
SECRET = UUID("6f1c6c0e-5d0b-4a43-9a0a-0f6f3f7f2b1d")
# What partners call a referral, and what is counted of it by day.
COUNTED = {"site", "need", "partner", "category", "department", "sender", "step", "bounces", "from_state", "to_state"}
TOLD = {
    event: json.loads((GOLDEN / f"{event.name()}.v1.json").read_text(encoding="utf-8"))["data"]
    for event in topology.PUBLISHED
}
every_event = pytest.mark.parametrize("event", [pytest.param(event, id=event.name()) for event in TOLD])


def whole(event: type[EventData]) -> EventData:
    """Tell the golden event, of a known case."""
    data: dict[str, Any] = dict(TOLD[event])
    if "case" in event.model_fields and data.get("case") is None:
        data["case"] = str(uuid4())
    return event.model_validate(data)


@every_event
def test_whatever_names_a_case_says_so(event: type[EventData]) -> None:
    """A field for a case is among the subjects, or the event is what makes others forget."""
    told = whole(event)
    named = {getattr(told, name) for name in ("case", "merged") if name in event.model_fields}
    assert named
    assert set(told.subjects()) == (set() if event.FORGETS else named)


@every_event
def test_no_id_is_left(event: type[EventData]) -> None:
    """Every id in it is another one afterwards, at any depth, or gone."""
    told = whole(event)
    before = set(ID.findall(told.model_dump_json()))
    left = told.coarsened(pseudonyms(SECRET))
    assert before
    if left is not None:
        assert isinstance(left, event)
        assert before.isdisjoint(ID.findall(left.model_dump_json()))
        assert event.model_validate_json(left.model_dump_json()) == left
        assert getattr(left, "case", None) is None or isinstance(left, CasesMerged) or "merged" in event.model_fields


@every_event
def test_what_is_left_is_no_less_when_it_is_coarsened_again(event: type[EventData]) -> None:
    """A sweep that was cut off begins anew: facts that were cut stay cut, and no event vanishes."""
    once = whole(event).coarsened(pseudonyms(SECRET))
    if once is not None:
        twice = once.coarsened(pseudonyms(SECRET))
        assert twice is not None
        ids = {name for name, value in once if isinstance(value, UUID)}
        assert twice.model_dump(exclude=ids) == once.model_dump(exclude=ids)


def test_of_decisions_and_reads_nothing_is_left() -> None:
    """They are counted nowhere; that two cases were joined only where the story was told twice."""
    names = {event.name() for event in TOLD if whole(event).coarsened(pseudonyms(SECRET)) is None}
    assert {"AgreementGiven", "AgreementWithdrawn", "CaseErased", "CaseRead"} <= names
    joined = CasesMerged(case=uuid4(), merged=uuid4(), retold=False)
    assert joined.coarsened(pseudonyms(SECRET)) is None
    told_twice = joined.model_copy(update={"retold": True}).coarsened(pseudonyms(SECRET))
    assert told_twice is not None
    assert told_twice.retold


def test_a_visit_keeps_what_is_counted_by_site_and_need() -> None:
    """When, where, how and what for; of who came, nothing."""
    told = whole(VisitRecorded)
    assert isinstance(told, VisitRecorded)
    left = told.coarsened(pseudonyms(SECRET)).model_dump()
    for name in ("site", "mode", "channel", "charter", "spie", "department", "retold"):
        assert left[name] == getattr(told, name)
    assert [(each["code"], each["outcome"], each["operator"]) for each in left["needs"]] == [
        (each.code, each.outcome, each.operator) for each in told.needs
    ]
    assert all(
        each["obstacles"] == () and each["recipient"] is None and each["label"] is None for each in left["needs"]
    )
    assert {left[name] for name in ("commune", "quarter", "sex", "duration_minutes", "regime")} == {None}
    assert left["france_travail_registered"] is None
    assert (left["publics"], left["agreed"], left["sensitive"], left["age_band"]) == ((), (), False, "unknown")
    assert (left["occurred_at"].hour, left["occurred_at"].minute) == (12, 0)


def test_proposals_keep_their_rule_and_first_recipient() -> None:
    """By which they are counted; what was said of the person goes."""
    told = whole(OrientationProposed)
    assert isinstance(told, OrientationProposed)
    left = told.coarsened(pseudonyms(SECRET))
    for before, after in zip(told.proposals, left.proposals, strict=True):
        assert (after.need, after.rule, after.desk_first, after.unmet, after.chosen) == (
            before.need, before.rule, before.desk_first, before.unmet, before.chosen,
        )  # fmt: skip
        assert after.recipients == before.recipients[:1]
        assert (after.reason, after.contact_sheet, after.source, after.journey) == ("", None, None, None)


@pytest.mark.parametrize(
    "event",
    [event for event in TOLD if issubclass(event, ReferralSent | ReferralMoved)],
    ids=lambda event: event.name(),
)
def test_referrals_keep_their_codes(event: type[EventData]) -> None:
    """All by which they are counted."""
    told = whole(event)
    left = told.coarsened(pseudonyms(SECRET))
    assert left is not None
    assert left.model_dump(include=COUNTED) == told.model_dump(include=COUNTED)


def test_ids_stay_together() -> None:
    """With one secret a referral and its steps, in whichever service, still are one; with another they are not."""
    sent, moved = whole(ReferralSent), whole(ReferralRerouted)
    assert isinstance(sent, ReferralSent)
    assert isinstance(moved, ReferralRerouted)
    moved = moved.model_copy(update={"referral_id": sent.referral_id})
    one, other = pseudonyms(SECRET), pseudonyms(uuid4())
    assert sent.coarsened(one).referral_id == moved.coarsened(one).referral_id
    assert sent.coarsened(one).referral_id != sent.coarsened(other).referral_id


def test_only_what_makes_others_forget_is_kept_to_the_last() -> None:
    """The event inside, and the one for partners."""
    assert {CaseErased.TYPE, PartnerReferralErased.TYPE} == topology.NOTICES


@pytest.mark.parametrize(
    ("instant", "day"),
    [
        pytest.param(datetime(2026, 3, 28, 23, 30, tzinfo=UTC), "2026-03-29T12:00:00+02:00", id="the clock goes on"),
        pytest.param(datetime(2026, 10, 24, 22, 30, tzinfo=UTC), "2026-10-25T12:00:00+01:00", id="the clock goes back"),
        pytest.param(datetime(2026, 11, 20, 23, 30, tzinfo=UTC), "2026-11-21T12:00:00+01:00", id="late in the evening"),
    ],
)
def test_noon_is_that_of_paris(instant: datetime, day: str) -> None:
    """The day stays what reports have counted it as."""
    assert noon(instant).isoformat() == day


def test_a_digest_is_of_the_ids_bytes() -> None:
    """As PostgreSQL's sha256(uuid_send(id))."""
    case = UUID("4030f7a6-77d3-4b54-bb15-f3d62a6dd4c2")
    assert len(digest(case)) == 32
    assert digest(case) == digest(UUID(str(case).upper()))
