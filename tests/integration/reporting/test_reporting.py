"""Counting on a real PostgreSQL: handlers write, queries read, in whatever order events arrive."""

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import permutations
from typing import Any
from uuid import UUID, uuid4

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from services.chassis.app import App, Work
from services.chassis.errors import Rejected
from services.chassis.migrate import migrate
from services.contracts.codes import Category, Need, Outcome, Public, ReferralState
from services.contracts.envelope import CloudEvent, EventData
from services.contracts.intake import NeedFacts, VisitRecorded
from services.contracts.orientation import OrientationProposed, Proposal, Recipient
from services.contracts.referral import ReferralAccepted, ReferralDeclined, ReferralReceived, ReferralSent
from services.reporting import cases, handlers, queries, tables
from services.reporting.domain.figures import By
from services.reporting.forms import ActivityReport, Row
from services.reporting.scope import Scope
from tests.support import lives

NOON = datetime(2026, 11, 20, 11, 0, tzinfo=UTC)
YEAR = Scope(date(2026, 1, 1), date(2026, 12, 31))
Handle = Callable[[CloudEvent[Any], Work], None]


def event(data: EventData, at: datetime = NOON) -> CloudEvent[Any]:
    """Wrap data as it would arrive."""
    return CloudEvent(data=data, id=str(uuid4()), type=data.TYPE, source=f"/relais/{data.SERVICE}", time=at)


def handle(app: App, *pairs: tuple[Handle, CloudEvent[Any]]) -> None:
    """Handle events in one transaction."""
    with app.work() as work:
        for handler, one in pairs:
            handler(one, work)


def need(code: Need, outcome: Outcome = Outcome.RESOLVED) -> NeedFacts:
    """One need."""
    return NeedFacts(code=code, outcome=outcome)


def visit(*needs: NeedFacts, case: UUID | None = None, **facts: Any) -> VisitRecorded:  # noqa: ANN401 - any field
    """One visit at noon, with what matters to a test changed."""
    return lives.visit(case, needs=needs, **facts)


def count(app: App, visits: Sequence[VisitRecorded]) -> None:
    """Count visits."""
    handle(app, *[(handlers.count_visit, event(each)) for each in visits])


def rows(app: App, by: By, scope: Scope = YEAR) -> dict[str | None, Row]:
    """Read a breakdown by key."""
    with app.read() as connection:
        return {row.key: row for row in queries.breakdown(connection, scope, by, {})}


def report(app: App, scope: Scope = YEAR) -> ActivityReport:
    """Read the report without breakdown."""
    with app.read() as connection:
        return queries.activity(connection, scope, {}, site=None, by=None)


def test_the_migration_makes_the_tables_that_the_code_uses(app: App) -> None:
    """Migrating twice is migrating once, and nothing differs from `tables`."""
    migrate(app.database, "reporting")
    own = set(tables.metadata.tables)
    with app.read() as connection:
        options = {"include_name": lambda name, kind, _parents: kind != "table" or name in own}
        context = MigrationContext.configure(connection, opts={"compare_type": True, **options})
        assert compare_metadata(context, tables.metadata) == []


def test_hems_split_is_exact(app: App) -> None:
    """7,623 visits about employment and 866 others in 2023: one class per visit, however many needs it has."""
    employment = [
        visit(need(Need.CHERCHER_UN_EMPLOI), need(Need.NUMERIQUE), occurred_at=NOON.replace(year=2023))
        for _ in range(7623)
    ]
    others = [visit(need(Need.LOGEMENT), occurred_at=NOON.replace(year=2023)) for _ in range(866)]
    count(app, employment + others)
    totals = report(app, Scope(date(2023, 1, 1), date(2023, 12, 31), frozenset({"hem"}))).totals
    assert (totals.visits, totals.emploi, totals.complementaire) == (8489, 7623, 866)
    assert totals.needs == 2 * 7623 + 866


def test_an_empty_period_is_all_zeros(app: App) -> None:
    """No visit is a report too."""
    totals = report(app).totals
    assert (totals.visits, totals.needs, totals.proposals.total, totals.referrals.sent) == (0, 0, 0, 0)


def test_days_are_parisian_and_both_ends_are_in(app: App) -> None:
    """23:30 UTC in summer is the next day; weeks are ISO weeks."""
    count(app, [visit(need(Need.LOGEMENT), occurred_at=datetime(2026, 6, 30, 23, 30, tzinfo=UTC))])
    assert set(rows(app, By.DAY)) == {"2026-07-01"}
    assert set(rows(app, By.MONTH)) == {"2026-07"}
    assert set(rows(app, By.WEEK)) == {"2026-W27"}
    day = date(2026, 7, 1)
    assert report(app, Scope(day, day)).totals.visits == 1
    assert report(app, Scope(day - timedelta(days=1), day - timedelta(days=1))).totals.visits == 0


def test_every_breakdown_counts_every_visit(app: App) -> None:
    """One class of rows per dimension; a visit with two needs or publics is in both rows, once in each."""
    count(
        app,
        [
            visit(need(Need.LOGEMENT), need(Need.LOGEMENT), need(Need.ENDETTEMENT, Outcome.TO_REFER), spie=True),
            visit(need(Need.CHERCHER_UN_EMPLOI), site="fs-roye", publics=(Public.RSA, Public.RQTH), quarter="Beaumont"),
        ],
    )
    for by in set(By) - {By.NEED, By.OUTCOME, By.PUBLIC}:
        assert sum(row.visits for row in rows(app, by).values()) == 2, by
        assert sum(row.needs for row in rows(app, by).values()) == 4, by
    by_need = rows(app, By.NEED)
    assert {key: (row.visits, row.needs) for key, row in by_need.items()} == {
        "logement": (1, 2),
        "endettement": (1, 1),
        "chercher-un-emploi": (1, 1),
    }
    assert by_need["endettement"].spie == 1
    assert {key: row.visits for key, row in rows(app, By.OUTCOME).items()} == {"resolved": 2, "to-refer": 1}
    assert {key: row.visits for key, row in rows(app, By.PUBLIC).items()} == {None: 1, "rsa": 1, "rqth": 1}
    assert {key: row.visits for key, row in rows(app, By.QUARTER).items()} == {None: 1, "Beaumont": 1}
    assert {key: row.emploi for key, row in rows(app, By.SITE).items()} == {"hem": 0, "fs-roye": 1}
    assert report(app).totals.by_outcome == {"resolved": 3, "to-refer": 1}


def test_two_sites_may_use_the_same_visit_id(app: App) -> None:
    """A visit id is unique per site only."""
    first = visit(need(Need.LOGEMENT))
    count(app, [first, visit(need(Need.NUMERIQUE), site="fs-roye", visit_id=first.visit_id)])
    assert {key: row.visits for key, row in rows(app, By.NEED).items()} == {"logement": 1, "numerique": 1}


def orientation(case: UUID | None, *proposals: Proposal, site: str = "hem") -> OrientationProposed:
    """What was proposed for a visit at noon."""
    return OrientationProposed(
        orientation_id=uuid4(),
        visit_id=uuid4(),
        site=site,
        occurred_at=NOON,
        case=case,
        spie=False,
        rules_version="1",
        proposals=proposals,
    )


def proposal(code: Need, category: Category | None = None, **facts: Any) -> Proposal:  # noqa: ANN401
    """One proposal."""
    first = (Recipient(partner="p", category=category, department="59"),) if category else ()
    return Proposal.model_validate({"need": code, "recipients": first, "rule": "1", "reason": "r"} | facts)


def test_each_proposal_is_counted_in_one_place(app: App) -> None:
    """Proposed to a category, answered at the desk, or unmet: which is also counted by need."""
    made = orientation(
        None,
        proposal(Need.LOGEMENT, Category.DEPARTMENT),
        proposal(Need.NUMERIQUE, desk_first=True),
        proposal(Need.DROITS_HANDICAP, desk_first=True, unmet=True),
    )
    handle(app, (handlers.count_proposals, event(made)))
    found = report(app).totals.proposals
    assert (found.total, found.desk_first, found.unmet) == (3, 1, 1)
    assert found.by_category == {"department": 1}
    assert found.unmet_by_need == {"droits-handicap": 1}


def test_the_rule_that_agents_override_comes_first(app: App) -> None:
    """Of each rule how many proposals, and how many of them the agent led elsewhere; another site's are another's."""
    made = [
        proposal(Need.LOGEMENT, Category.DEPARTMENT, rule="16-logement"),
        proposal(Need.LOGEMENT, Category.LOCAL, rule="16-logement", chosen="p"),
        proposal(Need.LOGEMENT, Category.LOCAL, rule="03-rsa", chosen="p"),
        proposal(Need.LOGEMENT, Category.LOCAL, rule="03-rsa", chosen="q"),
        *[proposal(Need.LOGEMENT, Category.DEPARTMENT, rule="03-rsa") for _ in range(4)],
        proposal(Need.NUMERIQUE, desk_first=True, rule="20-numerique"),
    ]
    elsewhere = orientation(None, proposal(Need.LOGEMENT, Category.STATE, rule="x", chosen="p"), site="fs-roye")
    handle(app, *[(handlers.count_proposals, event(each)) for each in (orientation(None, *made), elsewhere)])
    overrides = report(app, Scope(YEAR.first, YEAR.last, frozenset({"hem"}))).overrides
    assert [each.model_dump() for each in overrides] == [
        {"rule": "03-rsa", "proposals": 6, "overridden": 2, "rate": 0.3333},
        {"rule": "16-logement", "proposals": 2, "overridden": 1, "rate": 0.5},
        {"rule": "20-numerique", "proposals": 1, "overridden": 0, "rate": 0},
    ]


def referral(case: UUID, referral_id: UUID, *, site: str = "hem") -> list[tuple[Handle, CloudEvent[Any]]]:
    """Return the life of a referral up to its acceptance, in order."""
    sent = ReferralSent(
        referral_id=referral_id,
        visit_id=uuid4(),
        case=case,
        need=Need.LOGEMENT,
        partner="departement-59",
        category=Category.DEPARTMENT,
        site=site,
        department="59",
        reason="r",
        due_at=NOON,
        step=1,
    )
    moved = {"referral_id": referral_id, "case": case}
    received = ReferralReceived(**moved, from_state=ReferralState.SENT, to_state=ReferralState.RECEIVED, step=2)
    accepted = ReferralAccepted(
        **moved,
        from_state=ReferralState.RECEIVED,
        to_state=ReferralState.ACCEPTED,
        appointment_day=date(2026, 12, 1),
        step=3,
    )
    return [
        (handlers.count_referral, event(sent, NOON + timedelta(minutes=1))),
        (handlers.move_referral, event(received, NOON + timedelta(minutes=2))),
        (handlers.move_referral, event(accepted, NOON + timedelta(minutes=3))),
    ]


def test_a_referral_is_where_its_highest_step_says(app: App) -> None:
    """Whatever the order of arrival, together or one by one: the same figures."""
    orders = list(permutations(range(3)))
    for number, order in enumerate(orders):
        life = referral(uuid4(), uuid4())
        if number % 2:
            handle(app, *[life[each] for each in order])
        else:
            for each in order:
                handle(app, life[each])
    found = report(app).totals.referrals
    assert (found.sent, found.by_category, found.by_state) == (6, {"department": 6}, {"accepted": 6})


def test_what_was_not_sent_yet_is_not_counted(app: App) -> None:
    """A reception that overtook its sending waits for it."""
    life = referral(uuid4(), uuid4())
    handle(app, life[1])
    assert report(app).totals.referrals.sent == 0
    handle(app, life[0])
    assert report(app).totals.referrals.by_state == {"received": 1}


def test_the_report_is_of_the_asked_sites_only(app: App) -> None:
    """Visits, proposals and referrals of another site are another's."""
    count(app, [visit(need(Need.LOGEMENT)), visit(need(Need.LOGEMENT), site="fs-roye")])
    made = orientation(None, proposal(Need.LOGEMENT, Category.STATE), site="fs-roye")
    handle(app, (handlers.count_proposals, event(made)), *referral(uuid4(), uuid4(), site="fs-roye"))
    totals = report(app, Scope(YEAR.first, YEAR.last, frozenset({"hem"}))).totals
    assert (totals.visits, totals.by_outcome) == (1, {"resolved": 1})
    assert (totals.proposals.total, totals.referrals.sent) == (0, 0)


def test_a_case_is_told_in_order_to_the_sites_that_know_it(app: App) -> None:
    """Oldest first, with codes and French sentences; another site gets the same 404 as for no case at all."""
    case = uuid4()
    seen = visit(need(Need.LOGEMENT, Outcome.TO_REFER), case=case)
    made = orientation(case, proposal(Need.LOGEMENT, Category.DEPARTMENT))
    life = referral(case, uuid4())
    handle(app, *reversed(life), (handlers.count_proposals, event(made)), (handlers.count_visit, event(seen)))
    with app.read() as connection:
        told = cases.case_timeline(connection, case, "hem", {"departement-59": "Département du Nord"})
        assert [entry.kind for entry in told.timeline] == [
            "visit",
            "orientation",
            "referral-sent",
            "referral-received",
            "referral-accepted",
        ]
        assert told.sites == ["hem"]
        assert (
            told.timeline[2].label == "Orientation envoyée à Département du Nord\u00a0: Se loger ou garder son logement"
        )
        assert told.timeline[4].codes["appointment_day"] == "2026-12-01"
        for unknown in ((case, "fs-roye"), (uuid4(), "hem")):
            with pytest.raises(Rejected) as refused:
                cases.case_timeline(connection, *unknown, {})
            assert refused.value.status == 404


def test_an_anonymous_visit_leaves_no_timeline(app: App) -> None:
    """It is counted, and that is all."""
    handle(app, (handlers.count_visit, event(visit(need(Need.LOGEMENT)))))
    handle(app, (handlers.count_proposals, event(orientation(None, proposal(Need.LOGEMENT, Category.STATE)))))
    with app.read() as connection:
        for table in (tables.visits, tables.proposals):
            assert [row.case for row in connection.execute(table.select())] == [None]


def test_a_declined_referral_keeps_its_reason(app: App) -> None:
    """The sender always sees why."""
    case, referral_id = uuid4(), uuid4()
    declined = ReferralDeclined(
        referral_id=referral_id,
        case=case,
        from_state=ReferralState.SENT,
        to_state=ReferralState.DECLINED,
        reason="no-capacity",
        step=2,
    )
    seen = visit(need(Need.LOGEMENT), case=case)
    handle(app, (handlers.count_visit, event(seen)), (handlers.move_referral, event(declined)))
    with app.read() as connection:
        told = cases.case_timeline(connection, case, "hem", {})
    assert told.timeline[-1].label.endswith("plus de place")
