"""Whether the broker would take an event now."""

from services.chassis import broker
from services.chassis.settings import Settings


def broker_reachable(settings: Settings) -> bool:
    """Try a connection of its own: an existing one may be dead without knowing."""
    if settings.in_memory:
        return True
    try:
        with broker.connect(settings.broker_url, "readyz"):
            return True
    except broker.BROKER_ERRORS:
        return False
