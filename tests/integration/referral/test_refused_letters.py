"""What is kept of answers by AMQP that were refused."""

import pytest
from sqlalchemy import func, select
from structlog.testing import capture_logs

from services.chassis.letters import Letter
from services.chassis.tables import outbox
from services.referral import letters
from services.referral.letters import PER_HOUR, Budget, take_answer
from tests.support.office import HELPS, THEN, Desk, partner


def kept(desk: Desk) -> int:
    """How many events are in the ledger."""
    with desk.app.read() as connection:
        return int(connection.scalar(select(func.count()).select_from(outbox)) or 0)


def test_a_client_that_sends_again_whatever_is_refused_does_not_fill_the_ledger(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond its budget a refusal is only counted, and the log says so once; an hour later it is told of some again."""
    monkeypatch.setattr(letters, "BURST", 3)
    budget, letter = Budget(), Letter(partner(HELPS), b"{}", "")
    with capture_logs() as logged:
        outcomes = [take_answer(letter, desk.office, budget).outcome for _ in range(10)]
    assert (outcomes, kept(desk)) == (["refused"] * 10, 3)
    assert [(line["event"], line["sender"]) for line in logged] == [("refusals no longer told", HELPS)]
    take_answer(Letter(partner(THEN), b"{}", ""), desk.office, budget)
    assert kept(desk) == 4
    desk.clock.move(hours=1 / PER_HOUR)
    for _ in range(5):
        take_answer(letter, desk.office, budget)
    assert kept(desk) == 5
