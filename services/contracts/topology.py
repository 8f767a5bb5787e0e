"""Who publishes what, and who listens: the whole internal broker, as data.

Every service declares all of it before it publishes anything, because a publisher confirm does not mean that
each queue which should have taken an event exists.
"""

from services.contracts.envelope import EventData
from services.contracts.intake import (
    AgreementGiven,
    AgreementWithdrawn,
    CaseErased,
    CasesMerged,
    CasesUnmerged,
    VisitRecorded,
)
from services.contracts.orientation import OrientationProposed
from services.contracts.referral import FOR_PARTNERS, MOVED, ReferralHeld, ReferralSent
from services.contracts.reporting import CaseRead

SERVICES = ("intake", "orientation", "referral", "reporting")

CASES: tuple[type[EventData], ...] = (AgreementGiven, AgreementWithdrawn, CasesMerged, CasesUnmerged, CaseErased)
REFERRALS: tuple[type[EventData], ...] = (ReferralSent, *MOVED)
PUBLISHED: tuple[type[EventData], ...] = (
    VisitRecorded,
    *CASES,
    OrientationProposed,
    ReferralHeld,
    *REFERRALS,
    CaseRead,
)

# What makes others forget: the last to be forgotten.
NOTICES = frozenset(event.TYPE for event in (*PUBLISHED, *FOR_PARTNERS) if event.FORGETS)

# In the order in which a transaction handles what arrived together: what makes forget comes last.
SUBSCRIPTIONS: dict[str, tuple[type[EventData], ...]] = {
    "intake": (*REFERRALS, CaseRead),
    "orientation": (VisitRecorded, CaseErased),
    "referral": (OrientationProposed, *CASES),
    "reporting": (VisitRecorded, *CASES, OrientationProposed, ReferralHeld, *REFERRALS),
}

# These publish of what they hear. Intake and reporting publish of what people and programs do there.
PASS_ON = frozenset({"orientation", "referral"})


def exchange_of(service: str) -> str:
    """The topic exchange a service publishes to."""
    return f"{service}.events"


def queue_of(service: str, publisher: str) -> str:
    """The queue of one consumer for all that it takes from one publisher: `orientation.from-intake`."""
    return f"{service}.from-{publisher}"


def taken_from(service: str) -> dict[str, list[type[EventData]]]:
    """What a service takes, by publisher."""
    taken: dict[str, list[type[EventData]]] = {}
    for event in SUBSCRIPTIONS[service]:
        taken.setdefault(event.SERVICE, []).append(event)
    return taken
