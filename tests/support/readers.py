"""Who reads stories: referrals as intake hears of them, and partners that ask."""

from collections.abc import Collection
from typing import Any
from uuid import UUID, uuid4

from services.chassis.tokens import Caller
from services.contracts.codes import Category, Need, ReferralState
from services.contracts.consent import deciding
from services.contracts.envelope import CloudEvent, EventData
from services.contracts.referral import ReferralMoved, ReferralProgressed, ReferralSent
from services.intake import agreements, stories
from services.intake.call import Call
from services.intake.case_forms import AgreementPut, StoryView
from services.intake.decided import Standing
from tests.support.counter import SITE, Counter
from tests.support.house import need
from tests.support.office import TRACE, partner

HELPS, ELSE = "mission-locale-santerre", "departement-80"
CATEGORIES = {HELPS: Category.LOCAL, ELSE: Category.DEPARTMENT, "mdph-80": Category.DEPARTMENT}
NEED = Need.FREINS_MULTIPLES
STORY = "Elle a quitté le lycée en mars."


def event(counter: Counter, data: EventData) -> CloudEvent[Any]:
    """An event as it arrives now."""
    now = counter.clock.now()
    return CloudEvent(data=data, id=str(uuid4()), type=data.TYPE, source=f"/relais/{data.SERVICE}", time=now)


def hear(counter: Counter, *told: EventData) -> None:
    """Intake hears of these, in one transaction."""
    with counter.app.work() as work:
        for data in told:
            if isinstance(data, ReferralSent):
                stories.remember_sent(event(counter, data), work)
            else:
                stories.remember_moved(event(counter, data), work)


def sending(case: UUID, visit_id: UUID, to: str = HELPS, **changes: Any) -> ReferralSent:  # noqa: ANN401 - any field
    """A referral that leaves for a partner."""
    facts: dict[str, Any] = {
        "referral_id": uuid4(),
        "visit_id": visit_id,
        "case": case,
        "need": NEED,
        "partner": to,
        "category": CATEGORIES[to],
        "site": SITE,
        "department": "80",
        "reason": "r",
        "due_at": "2026-11-25T23:59:59+01:00",
        "step": 1,
    }
    return ReferralSent.model_validate(facts | changes)


def agrees(standing: Standing, names: Collection[str]) -> bool:
    """Whether whoever has these names, an id and a category, is agreed to."""
    decision = deciding(standing.decisions, names)
    return not standing.stopped and decision is not None and decision.given


def step(sent: ReferralSent, to: ReferralState, number: int = 2) -> ReferralMoved:
    """A step of it; which event it came with makes no difference here."""
    return ReferralProgressed(
        referral_id=sent.referral_id, case=sent.case, from_state=ReferralState.SENT, to_state=to, step=number
    )


def told_by(counter: Counter, **changes: Any) -> tuple[UUID, UUID]:  # noqa: ANN401 - any field
    """A person tells a story at the counter: the case and the visit."""
    needs = [
        need(NEED, obstacles=["mobilite", "sante"], note="La voiture est en panne."),
        need("droits-handicap", note="Dossier MDPH à déposer."),
        need("logement", note="Bail qui finit.", recipient=ELSE),
    ]
    person = {"family_name": "Lefèvre", "given_name": "Zoé", "birth_date": "1984-05-17", "phone": "01 99 00 12 34"}
    told = counter.record(person, **{"needs": needs, "publics": ["rsa", "rqth"], "story": STORY, **changes})
    assert told.case is not None
    return told.case, told.visit_id


def agree(counter: Counter, case: UUID, to: str, *, sensitive: bool = False, site: str = SITE) -> None:
    """The person agrees to a recipient, a moment later."""
    counter.clock.move(minutes=1)
    agreements.give(case, to, AgreementPut(sensitive=sensitive), counter.call(site))


def asked_by(counter: Counter, org: str, role: Any = "partner") -> Call:  # noqa: ANN401 - a role
    """What a partner's call is given."""
    caller = partner(org) if role == "partner" else Caller(role, org, f"{role}:{org}")
    return Call(caller, TRACE, counter.app, counter.network)


def reading(counter: Counter, referral: UUID, org: str = HELPS) -> StoryView | None:
    """What a partner may read at this moment; None when nothing."""
    return stories.entitled(referral, asked_by(counter, org))
