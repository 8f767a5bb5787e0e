"""An erased case in referral: its referrals go with all that hangs on them, and who was shown one is told, once."""

from collections.abc import Sequence
from datetime import timedelta
from functools import partial as bound
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.chassis.app import Work
from services.chassis.errors import Rejected
from services.chassis.forgetting import Sweeper
from services.chassis.handling import Handling
from services.chassis.inbox import Received
from services.contracts.codes import Need
from services.contracts.envelope import CloudEvent
from services.contracts.intake import CaseErased
from services.contracts.orientation import OrientationProposed
from services.referral import forgetting, handlers, retention, toward_sites
from services.referral.forms import ReferralForm
from tests.support.databases import dump
from tests.support.office import AGENT, HELPS, SITE, THEN, TRACE, Desk, partner, proposed

NOTE = "canary: call after four"


def erase(desk: Desk, case: UUID) -> None:
    """Intake says that it is erased."""
    data = CaseErased(case=case, opened_at=desk.clock.now() - timedelta(days=9), reason="request", secret=uuid4())
    event = CloudEvent[CaseErased](
        data=data, id=str(uuid4()), type=data.TYPE, source="/relais/intake", time=desk.clock.now()
    )
    with desk.app.work() as work:
        forgetting.forget(event, work)


def tables(desk: Desk, *but: str) -> str:
    """Every row of every table."""
    rows = dump(desk.app.database.engine.url.render_as_string(hide_password=False))
    return "\n".join(text for name, text in rows.items() if name not in but)


def about(desk: Desk, referral: UUID, by: str) -> UUID:
    """A partner sends the person of a referral back to a site; that referral's id."""
    form = ReferralForm(
        referral_id=uuid4(), site=SITE, need=Need.DECLARER_REVENUS, agreed=True, about=referral, note=NOTE
    )
    toward_sites.send(form, partner(by), desk.app, desk.office.network, TRACE)
    return form.referral_id


def erased(desk: Desk, recipient: str) -> list[str]:
    """Which referrals a partner is told to forget."""
    told: list[CloudEvent[dict[str, Any]]] = desk.events(recipient)
    return [str(each.data["referral_id"]) for each in told if each.type == "fr.relais.ReferralErased.v1"]


def test_all_goes_and_every_partner_that_was_shown_one_is_told(desk: Desk) -> None:
    """A referral with an answer, the next recipient's, and one that the partner sent about it; another's stays."""
    proposal, others = proposed(), proposed()
    assert proposal.case is not None
    first, stays = desk.open(proposal), desk.open(others)
    back = about(desk, first, HELPS)
    desk.answer(first, partner(HELPS), "declined", reason="no-capacity", note=NOTE)
    following = desk.row(first).next_id
    erase(desk, proposal.case)
    assert erased(desk, HELPS) == sorted([str(first), str(back)])
    assert erased(desk, THEN) == [str(following)]
    left = tables(desk, "outbox", "forgetting")
    assert not any(str(one) in left for one in (proposal.case, proposal.visit_id, first, following, back))
    assert desk.row(stays).state == "sent"
    with pytest.raises(Rejected) as refused:
        desk.answer(first, partner(HELPS), "accepted")
    assert refused.value.status == 404
    Sweeper(desk.app, forgetting.forget_rows).sweep()
    rows = [row for row in tables(desk, "forgetting").splitlines() if "fr.relais.ReferralErased.v1" not in row]
    assert not any(
        str(one) in row for row in rows for one in (proposal.case, proposal.visit_id, first, following, back)
    )
    assert str(stays) in tables(desk)


def test_who_never_had_it_is_told_nothing(desk: Desk) -> None:
    """It waited for the person's agreement, or ended while it did."""
    waits, ended = proposed(agreed=()), proposed(agreed=())
    assert waits.case is not None
    assert ended.case is not None
    desk.open(waits)
    desk.withdraw(desk.open(ended), AGENT)
    erase(desk, waits.case)
    erase(desk, ended.case)
    assert erased(desk, HELPS) == []
    assert str(waits.case) not in tables(desk, "outbox", "forgetting")


def test_forgotten_twice_is_told_once(desk: Desk) -> None:
    """The second time finds nothing."""
    proposal = proposed()
    assert proposal.case is not None
    first = desk.open(proposal)
    erase(desk, proposal.case)
    erase(desk, proposal.case)
    assert erased(desk, HELPS) == [str(first)]


def test_what_was_opened_meanwhile_goes_with_the_sweep(desk: Desk) -> None:
    """By a transaction that had not seen the tombstone: deleted before its events are swept, and the partner told."""
    proposal = proposed()
    assert proposal.case is not None
    erase(desk, proposal.case)
    late = desk.open(proposal)
    Sweeper(desk.app, forgetting.forget_rows).sweep()
    assert erased(desk, HELPS) == [str(late)]
    assert str(proposal.case) not in tables(desk, "forgetting")


@pytest.mark.parametrize("late", [{"minutes": 6}, {"hours": 1}, {"hours": 30}], ids=str)
def test_what_orientation_proposes_before_it_has_heard_opens_nothing(desk: Desk, late: dict[str, float]) -> None:
    """It was down for longer than clocks differ, or than the secret is kept: no referral, no partner is told."""
    data, sweeper = proposed(), Sweeper(desk.app, forgetting.forget_rows)
    assert data.case is not None
    erase(desk, data.case)
    for _ in range(3):
        sweeper.sweep()
        desk.clock.move(**late)
    told = {"id": "late", "source": "/relais/orientation", "type": data.TYPE, "time": desk.clock.now()}
    event = CloudEvent[OrientationProposed].model_validate({**told, "data": data})
    Handling(desk.app, "q", {OrientationProposed: bound(_opening, desk)}).handle(Received(events=[event]))
    assert desk.told(HELPS) == []
    assert str(data.case) not in tables(desk, "forgetting")
    assert str(data.visit_id) not in tables(desk)


def _opening(desk: Desk, events: Sequence[CloudEvent[OrientationProposed]], work: Work) -> None:
    handlers.open_referrals(events, work, desk.office.network)


def test_a_partners_referral_without_a_case_goes_two_years_after_its_last_step(desk: Desk) -> None:
    """Not a day early, not a day late; its sender is told; what is about a case waits for that."""
    proposal = proposed()
    kept = desk.open(proposal)
    alone = desk.send(HELPS)
    desk.clock.at = desk.clock.at.replace(year=2028, month=11, day=19, hour=22, minute=59)
    assert retention.due(desk.app) == {"referrals_without_case": {}}
    assert retention.run(desk.app) == {"referrals_without_case": {}}
    desk.clock.move(minutes=1)  # midnight in Paris
    assert retention.due(desk.app) == {"referrals_without_case": {"2026-11": 1}}
    assert str(alone) in tables(desk)
    assert retention.run(desk.app) == {"referrals_without_case": {"2026-11": 1}}
    assert str(alone) not in tables(desk, "outbox")
    assert erased(desk, HELPS) == [str(alone)]
    assert desk.row(kept).id == kept
