"""The lives of referrals as their events tell them to reporting, step by step."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from services.chassis.app import App, Work
from services.contracts import referral as events
from services.contracts.codes import (
    AgeBand,
    Category,
    Channel,
    DeclineReason,
    Mode,
    Need,
    Outcome,
    ReferralState,
    Waiting,
)
from services.contracts.envelope import CloudEvent, EventData
from services.contracts.intake import (
    AgreementGiven,
    AgreementWithdrawn,
    CasesMerged,
    CasesUnmerged,
    NeedFacts,
    VisitRecorded,
)
from services.reporting import handlers

NOON = datetime(2026, 11, 20, 11, 0, tzinfo=UTC)
S = ReferralState
Told = tuple[Callable[[CloudEvent[Any], Work], None], CloudEvent[Any]]
_HANDLERS: dict[type[EventData], Any] = {
    VisitRecorded: handlers.count_visit,
    events.ReferralHeld: handlers.hold_referral,
    events.ReferralSent: handlers.count_referral,
    AgreementGiven: handlers.agree,
    AgreementWithdrawn: handlers.disagree,
    CasesMerged: handlers.join,
    CasesUnmerged: handlers.part,
}


def told(data: EventData, days: float = 0) -> Told:
    """An event of so many days after noon, with who handles it."""
    handler = _HANDLERS.get(type(data), handlers.move_referral)
    time = NOON + timedelta(days=days)
    return handler, CloudEvent(data=data, id=str(uuid4()), type=data.TYPE, source=f"/relais/{data.SERVICE}", time=time)


def agreed(case: UUID, recipient: str, days: float, *, sensitive: bool = False) -> Told:
    """The person agreed, so many days after noon."""
    at = NOON + timedelta(days=days)
    return told(AgreementGiven(case=case, recipient=recipient, sensitive=sensitive, at=at), days)


def withdrew(case: UUID, recipient: str, days: float, reason: Any = "withdrawn") -> Told:  # noqa: ANN401 - a Literal
    """The person agrees no more."""
    at = NOON + timedelta(days=days)
    return told(AgreementWithdrawn(case=case, recipient=recipient, at=at, reason=reason), days)


def take(app: App, *letters: Told) -> None:
    """Handle events in one transaction."""
    with app.work() as work:
        for handler, event in letters:
            handler(event, work)


class Life:
    """What is told of one referral, step by step."""

    def __init__(self, case: UUID | None, partner: str = "ml", **sent: Any) -> None:  # noqa: ANN401 - any field
        self.id, self.case, self.state, self.step = uuid4(), case, S.SENT, 1
        facts: dict[str, Any] = {
            "visit_id": uuid4(),
            "need": Need.LOGEMENT,
            "category": Category.LOCAL,
            "site": "hem",
        } | sent
        self.days = facts.pop("days", 0)
        more = {"department": "59", "reason": "r", "due_at": NOON, "step": 1}
        self.sent = events.ReferralSent(referral_id=self.id, case=case, partner=partner, **facts, **more)
        self.letters = [told(self.sent, self.days)]

    @classmethod
    def held(cls, case: UUID, **facts: Any) -> "Life":  # noqa: ANN401 - any field
        """One that waits for the person's agreement."""
        life = cls(case, **facts)
        told_of = {name: getattr(life.sent, name) for name in events.ReferralHeld.model_fields}
        life.letters = [told(events.ReferralHeld(**told_of), life.days)]
        life.state = S.AWAITING_AGREEMENT
        return life

    def left(self, days: float) -> "Life":
        """What waited is sent."""
        self.state, self.step = S.SENT, self.step + 1
        self.letters.append(told(self.sent.model_copy(update={"step": self.step}), days))
        return self

    def then(
        self,
        kind: type[events.ReferralMoved],
        days: float,
        state: ReferralState | None = None,
        **more: Any,  # noqa: ANN401
    ) -> "Life":
        """One step more, so many days after noon; the state stays unless another is given."""
        before, self.state, self.step = self.state, state or self.state, self.step + 1
        ids = {"referral_id": self.id, "case": self.case, "step": self.step}
        self.letters.append(told(kind(**ids, from_state=before, to_state=self.state, **more), days))
        return self

    def declined(self, days: float, reason: str = DeclineReason.NO_CAPACITY) -> "Life":
        """The partner declined."""
        return self.then(events.ReferralDeclined, days, S.DECLINED, reason=reason)

    def handed_on(self, days: float, partner: str, category: Category = Category.OPERATOR) -> "Life":
        """The next recipient has it: the referral that took this one's place."""
        bounces = self.sent.bounces + 1
        kept = {name: getattr(self.sent, name) for name in ("visit_id", "need", "site")}
        following = Life(
            self.case, partner, **kept, category=category, previous=self.id, bounces=bounces, days=days
        )  # fmt: skip
        to: dict[str, Any] = {
            "partner": partner,
            "category": category,
            "next_referral_id": following.id,
            "bounces": bounces,
        }
        self.then(events.ReferralRerouted, days, reason="no-capacity", **to)
        return following


def visit(case: UUID | None, **facts: Any) -> VisitRecorded:  # noqa: ANN401 - any field
    """One visit at noon at Hem."""
    return VisitRecorded.model_validate(
        {
            "visit_id": uuid4(),
            "case": case,
            "site": "hem",
            "charter": None,
            "spie": False,
            "mode": Mode.LIVE,
            "occurred_at": NOON,
            "channel": Channel.DESK,
            "age_band": AgeBand.FROM_30,
            "department": "59",
            "needs": (NeedFacts(code=Need.LOGEMENT, outcome=Outcome.TO_REFER),),
            **facts,
        }
    )


def silent(case: UUID | None, **sent: Any) -> tuple[Life, Life, Life]:  # noqa: ANN401 - any field
    """A referral that nobody answers: reminded, called in, expired, handed on; declined there, and accepted at last."""
    first = Life(case, **sent).then(events.ReferralReminded, 10)
    first.then(events.ReferralEscalated, 20, reason=Waiting.RECEPTION)
    first.then(events.ReferralExpired, 30, S.EXPIRED, reason=Waiting.RECEPTION)
    second = first.handed_on(30, "ft")
    third = second.declined(31).handed_on(31, "plie", Category.LOCAL)
    third.then(events.ReferralAccepted, 33, S.ACCEPTED, appointment_day=date(2026, 12, 28))
    return first, second, third
