"""Visits as they wait in intake's outbox: the JSON that `Work.emit` makes of a `VisitRecorded`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

from services.chassis.clock import Ids
from services.contracts.codes import AgeBand, Channel, Mode, Need, Obstacle, Outcome, Public, Sex
from services.contracts.envelope import wrap
from services.contracts.intake import NeedFacts, VisitRecorded
from tests.bench.ground import Plot

SITE: Final = "fs-moreuil"
PARTNER: Final = "mission-locale-santerre"
_URL = "http://127.0.0.1:8001"
_ids = Ids()
_YOUNG = NeedFacts(code=Need.JEUNE_SANS_EMPLOI_NI_FORMATION, obstacles=(Obstacle.MOBILITE,), outcome=Outcome.TO_REFER)


@dataclass(frozen=True, slots=True)
class Seed:
    """A visit that is recorded and not yet published."""

    case: UUID
    time: datetime
    body: str


def visits(number: int) -> list[Seed]:
    """As many visits of one need, each of which leads to one referral sent to one partner."""
    return [_seed() for _ in range(number)]


def of_every_kind() -> list[Seed]:
    """Visits that lead to several referrals, to waiting ones, to proposals alone, or to nothing."""
    housing = NeedFacts(code=Need.LOGEMENT, outcome=Outcome.TO_REFER)
    child = NeedFacts(code=Need.ATTENDRE_UN_ENFANT, outcome=Outcome.TO_REFER)
    debt = NeedFacts(code=Need.ENDETTEMENT, outcome=Outcome.TO_REFER, recipient="departement-80")
    kinds: tuple[dict[str, Any], ...] = (
        {},
        {"needs": (_YOUNG, housing)},
        {"needs": (child,), "commune": None, "quarter": None},
        {"needs": (debt,), "agreed": ()},
        {"needs": (_YOUNG,), "sensitive": False, "agreed": ("state",)},
        {"needs": (housing.model_copy(update={"outcome": Outcome.RESOLVED}),)},
        {"needs": (_YOUNG,), "case": None, "agreed": ()},
        {"mode": Mode.HISTORY, "sex": None, "publics": ()},
        {"needs": (_YOUNG, debt), "agreed_at": datetime(2026, 3, 14, 8, 30, tzinfo=UTC), "retold": True},
        {"needs": (child,), "retold": False},
    )
    return [_seed(**changes) for changes in kinds for _ in range(3)]


def fill(plot: Plot, seeds: Sequence[Seed]) -> None:
    """Commit events to intake's outbox, all at once."""
    with (
        plot.database("intake").cursor() as cursor,
        cursor.copy("COPY outbox (type, routing_key, body, created_at) FROM STDIN") as rows,
    ):
        for seed in seeds:
            rows.write_row((VisitRecorded.TYPE, VisitRecorded.name(), seed.body, seed.time))


def _seed(**changes: Any) -> Seed:  # noqa: ANN401 - a field's value is of any type
    case, now = _ids.new(), datetime.now(UTC)
    facts: dict[str, Any] = {
        "site": SITE,
        "occurred_at": now.replace(microsecond=0) - timedelta(hours=1),
        "channel": Channel.DESK,
        "duration_minutes": 20,
        "commune": "80570",
        "age_band": AgeBand.FROM_18,
        "sex": Sex.F,
        "publics": (Public.NEET,),
        "visit_id": uuid4(),
        "case": case,
        "charter": "spie-somme-santerre",
        "spie": True,
        "department": "80",
        "needs": (_YOUNG,),
        "agreed": ("department", "operator", PARTNER),
        "sensitive": True,
    }
    visit = VisitRecorded(**facts | changes)
    body = wrap(visit, id_=str(_ids.new()), time=now, base_url=_URL, traceparent=_ids.new_trace())
    return Seed(case, now, body)
