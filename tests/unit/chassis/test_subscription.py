"""Which events lead to which method of a service."""

from importlib import import_module
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from nameko.extensions import ENTRYPOINT_EXTENSIONS_ATTR

from services.chassis.subscription import Subscription, subscribe
from services.contracts import topology
from services.contracts.codes import ReferralState
from services.contracts.envelope import CloudEvent
from services.contracts.referral import ReferralExpired, ReferralMoved, ReferralReceived


class Listening:
    """A service that follows two events with one method."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str | None]] = []

    @subscribe(ReferralReceived, ReferralExpired)
    def on_either(self, event: CloudEvent[ReferralMoved], work: Any) -> None:  # noqa: ANN401 - a stand-in
        """Keep its type and the trace that the work was under."""
        self.heard.append((event.type, work.traceparent))


def subscriptions(service: type) -> list[Subscription[Any]]:
    """List the entrypoints for events, as nameko sees them."""
    methods = [getattr(service, name) for name in dir(service)]
    found = [entry for method in methods for entry in getattr(method, ENTRYPOINT_EXTENSIONS_ATTR, ())]
    return [entry for entry in found if isinstance(entry, Subscription)]


def test_a_method_may_follow_several_events() -> None:
    """Each has an entrypoint of its own; what comes from one publisher shares a queue."""
    assert {entry.event for entry in subscriptions(Listening)} == {ReferralReceived, ReferralExpired}
    assert len(subscriptions(Listening)) == 2


def test_each_event_is_handled_under_its_own_trace() -> None:
    """One after the other, in the order of their arrival."""
    moved = {"referral_id": uuid4(), "case": None, "from_state": ReferralState.SENT, "step": 2}
    received = ReferralReceived(**moved, to_state=ReferralState.RECEIVED)
    expired = ReferralExpired(**moved, to_state=ReferralState.EXPIRED)
    facts: dict[str, Any] = {"source": "/relais/referral", "time": "2026-11-20T11:00:00Z"}
    events: list[CloudEvent[Any]] = [
        CloudEvent(id=str(number), type=data.TYPE, data=data, traceparent=f"00-{number}", **facts)
        for number, data in enumerate((expired, received))
    ]
    service = Listening()
    service.on_either(events, SimpleNamespace(traceparent=None))  # type: ignore[arg-type]
    assert service.heard == [(ReferralExpired.TYPE, "00-0"), (ReferralReceived.TYPE, "00-1")]


@pytest.mark.parametrize("name", topology.SERVICES)
def test_a_service_follows_what_the_topology_says(name: str) -> None:
    """A queue that is declared and that nobody reads would grow for ever; each is read once."""
    service = getattr(import_module(f"services.{name}.service"), f"{name.capitalize()}Service")
    followed = [entry.event for entry in subscriptions(service)]
    assert sorted(map(str, followed)) == sorted(map(str, topology.SUBSCRIPTIONS.get(name, ())))


@pytest.mark.parametrize("name", topology.SERVICES)
def test_what_makes_forget_is_handled_last(name: str) -> None:
    """Of what arrives together: else what is told of a case in the same batch would be written after its erasure."""
    for events in topology.taken_from(name).values():
        order = [event.FORGETS for event in events]
        assert order == sorted(order)
