"""Proposing on a real PostgreSQL: what is counted of it, whatever befell the batch."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from services.chassis.app import App, Work
from services.chassis.database import Database
from services.chassis.handling import Handling
from services.chassis.inbox import Received
from services.chassis.migrate import migrate
from services.chassis.settings import Settings
from services.contracts.codes import AgeBand, Channel, Need, Outcome
from services.contracts.envelope import CloudEvent, wrap
from services.contracts.intake import NeedFacts, VisitRecorded
from services.network import load
from services.orientation import handlers
from services.orientation.rules import Rules

NOON = datetime(2026, 11, 20, 11, 0, tzinfo=UTC)
RULES = Rules(load(Path(__file__).parents[3] / "deploy" / "networks"))


@pytest.fixture
def app(databases: Callable[[], dict[str, str]]) -> Iterator[App]:
    """Orientation's own belongings on a fresh, migrated database."""
    database = Database(databases()["orientation"], "test")
    migrate(database, "orientation")
    yield App("orientation", Settings(), database)
    database.close()


def visit(recipient: str | None = None) -> VisitRecorded:
    """A visit to Moreuil about housing; `recipient` is the agent's own choice."""
    need = NeedFacts(code=Need.LOGEMENT, outcome=Outcome.TO_REFER, recipient=recipient)
    return VisitRecorded(
        visit_id=uuid4(),
        case=None,
        site="fs-moreuil",
        charter=None,
        spie=False,
        occurred_at=NOON,
        channel=Channel.DESK,
        age_band=AgeBand.FROM_30,
        department="80",
        needs=(need,),
    )


def receive(app: App, poison: UUID, *visits: VisitRecorded) -> None:
    """Receive these visits as one batch; the handler fails on the poisonous one."""

    def call(events: Sequence[CloudEvent[VisitRecorded]], work: Work) -> None:
        for event in events:
            handlers.propose(event, work, RULES)
            if event.data.visit_id == poison:
                raise ZeroDivisionError

    handling = Handling(app, "orientation.from-intake", {VisitRecorded: call})
    received = Received[VisitRecorded]()
    for each in visits:
        body = wrap(each, id_=str(uuid4()), time=NOON, base_url="https://relais.example", traceparent=None)
        received.add(handling.read(body.encode(), "application/cloudevents+json"))
    handling.handle(received)


def test_each_proposal_is_counted_once_though_its_batch_was_tried_again(app: App) -> None:
    """By rule, and whether the agent chose another: choosing the one proposed is none; what failed is not counted."""
    poison = visit()
    chosen = [visit("departement-80-spie"), visit("cnaf"), visit("departement-80"), visit()]
    receive(app, poison.visit_id, *chosen, poison)
    lines = app.metrics.text().decode().splitlines()
    assert sorted(line for line in lines if line.startswith("relais_proposals_total")) == [
        'relais_proposals_total{overridden="no",rule="16-logement"} 2.0',
        'relais_proposals_total{overridden="yes",rule="16-logement"} 2.0',
    ]
