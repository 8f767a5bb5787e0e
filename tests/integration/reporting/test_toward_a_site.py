"""Counting and telling a partner's referral toward a site, on a real PostgreSQL."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from itertools import permutations
from typing import Any
from uuid import UUID, uuid4

import pytest
from alembic import command
from sqlalchemy import select, text

from services.chassis.app import App, Work
from services.chassis.database import Database
from services.chassis.migrate import config_of, migrate
from services.chassis.settings import Settings
from services.contracts.codes import Category, Need, ReferralOutcome, ReferralState
from services.contracts.envelope import CloudEvent, EventData
from services.contracts.referral import ReferralAccepted, ReferralCompleted, ReferralSent
from services.reporting import cases, handlers, queries, tables
from services.reporting.scope import Scope

NOON = datetime(2026, 11, 20, 11, 0, tzinfo=UTC)
NAMES = {"siavic": "Siavic", "fs-roye": "France services Roye"}
Step = tuple[Callable[[CloudEvent[Any], Work], None], CloudEvent[Any]]


def life(case: UUID | None) -> list[Step]:
    """A referral from Siavic toward Roye, accepted and completed there."""
    id_ = uuid4()
    sent = ReferralSent(
        referral_id=id_,
        visit_id=uuid4() if case else None,
        case=case,
        need=Need.DECLARER_REVENUS,
        partner="fs-roye",
        category=Category.SITE,
        site="fs-roye",
        department="80",
        reason="r",
        due_at=NOON,
        step=1,
        sender="siavic",
    )
    accepted = ReferralAccepted(
        referral_id=id_, case=case, from_state=ReferralState.SENT, to_state=ReferralState.ACCEPTED, step=2
    )
    completed = ReferralCompleted(
        referral_id=id_,
        case=case,
        from_state=ReferralState.ACCEPTED,
        to_state=ReferralState.COMPLETED,
        reason=ReferralOutcome.HELPED,
        step=3,
    )

    def event(data: EventData, minutes: int) -> CloudEvent[Any]:
        time = NOON + timedelta(minutes=minutes)
        return CloudEvent(data=data, id=str(uuid4()), type=data.TYPE, source="/relais/referral", time=time)

    moved = [(handlers.move_referral, event(data, place)) for place, data in enumerate((accepted, completed), 1)]
    return [(handlers.count_referral, event(sent, 0)), *moved]


@pytest.mark.parametrize("known", [True, False], ids=["of a case", "of nobody known"])
def test_it_is_one_referral_in_whatever_order_it_arrives(app: App, *, known: bool) -> None:
    """Counted as sent under the category `site`, standing where its highest step says."""
    orders = list(permutations(range(3)))
    for order in orders:
        steps = life(uuid4() if known else None)
        for each in order:
            handler, event = steps[each]
            with app.work() as work:
                handler(event, work)
    with app.read() as connection:
        scope = Scope(date(2026, 1, 1), date(2026, 12, 31), frozenset({"fs-roye"}))
        found = queries.activity(connection, scope, NAMES, site=None, by=None).totals.referrals
    assert (found.sent, found.by_category, found.by_state) == (6, {"site": 6}, {"completed": 6})


def test_the_timeline_names_the_sender_and_the_site(app: App) -> None:
    """As French sentences, the site's answers as the site's; a referral without a case is in nobody's timeline."""
    case = uuid4()
    with app.work() as work:
        work.insert(
            tables.visits,
            site="fs-moreuil",
            visit_id=uuid4(),
            occurred_at=NOON,
            day=NOON.date(),
            mode="live",
            channel="desk",
            visit_class="emploi",
            spie=False,
            department="80",
            age_band="unknown",
            publics=[],
            case=case,
        )
        for handler, event in (*life(case), *life(None)):
            handler(event, work)
    with app.read() as connection:
        told = cases.case_timeline(connection, case, "fs-moreuil", NAMES)
    assert told.sites == ["fs-moreuil"]
    assert [entry.label for entry in told.timeline[1:]] == [
        "Orientation reçue de Siavic vers le site France services Roye\u00a0: Déclarer ses revenus",
        "Orientation acceptée par le site",
        "Orientation terminée par le site\u00a0: personne aidée",
    ]
    assert {entry.codes["sender"] for entry in told.timeline[1:]} == {"siavic"}


def test_what_the_earlier_release_counted_is_kept(database: Database) -> None:
    """Its referrals have a case and no sender, and one without a case is taken beside them."""
    with database.begin() as connection:
        config = config_of("reporting")
        config.attributes["connection"] = connection
        command.upgrade(config, "0002")
        before = "INSERT INTO referral_steps (referral_id, step, state, at, \"case\") VALUES (:id, 1, 'sent', :at, :id)"
        connection.execute(text(before), {"id": uuid4(), "at": NOON})
    migrate(database, "reporting")
    with App("reporting", Settings(), database).work() as work:
        handler, event = life(None)[0]
        handler(event, work)
    steps = tables.referral_steps
    with database.begin() as connection:
        found = connection.execute(select(steps.c["case"].is_(None), steps.c.sender).order_by(steps.c.sender)).all()
    assert [tuple(row) for row in found] == [(True, "siavic"), (False, None)]
