"""Who publishes what, and who listens: the whole internal broker, as data.

Every service declares all of it before it publishes anything, because a publisher confirm does not mean that
each queue which should have taken an event exists.
"""

from services.contracts.envelope import EventData
from services.contracts.intake import VisitRecorded
from services.contracts.orientation import OrientationProposed
from services.contracts.referral import MOVED, ReferralSent

SERVICES = ("intake", "orientation", "referral", "reporting")

PUBLISHED: tuple[type[EventData], ...] = (VisitRecorded, OrientationProposed, ReferralSent, *MOVED)

SUBSCRIPTIONS: dict[str, tuple[type[EventData], ...]] = {
    "orientation": (VisitRecorded,),
    "referral": (OrientationProposed,),
    "reporting": PUBLISHED,
}


def exchange_of(service: str) -> str:
    """The topic exchange a service publishes to."""
    return f"{service}.events"


def queue_of(service: str, event: type[EventData]) -> str:
    """The queue of one consumer for one event: `orientation.VisitRecorded`."""
    return f"{service}.{event.name()}"
