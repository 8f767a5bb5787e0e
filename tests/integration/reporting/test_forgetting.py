"""An erased case in reporting: the same counts, and the very rows that coarsened events would have made."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.chassis.app import App
from services.chassis.database import Database
from services.chassis.migrate import migrate
from services.chassis.settings import Settings
from services.contracts.coarse import noon, pseudonyms
from services.contracts.codes import Category, Need, Outcome, Public, ReferralState
from services.contracts.envelope import CloudEvent, EventData
from services.contracts.intake import AgreementGiven, CaseErased, CasesMerged, NeedFacts, VisitRecorded
from services.contracts.orientation import OrientationProposed, Proposal, Recipient
from services.contracts.referral import ReferralAccepted
from services.reporting import forgetting, handlers, queries
from services.reporting.domain.figures import By
from services.reporting.scope import Scope
from tests.support import lives
from tests.support.tables import read

CASE, OTHER, SECRET = uuid4(), uuid4(), uuid4()
LATE = datetime(2026, 11, 20, 23, 30, tzinfo=UTC)
SCOPE = Scope(date(2026, 1, 1), date(2027, 12, 31))
PASSING = {"erased", "forgetting", "alembic_version"}
Handle = Callable[[CloudEvent[Any], Any], None]


@pytest.fixture
def apart(databases: Callable[[], dict[str, str]]) -> Iterator[App]:
    """Make another database, in which the case was never known."""
    database = Database(databases()["reporting"], "test")
    migrate(database, "reporting")
    yield App("reporting", Settings(), database)
    database.close()


def letter(handler: Handle, data: EventData, at: datetime = LATE) -> lives.Told:
    """An event with who handles it."""
    return handler, CloudEvent(data=data, id=str(uuid4()), type=data.TYPE, source=f"/relais/{data.SERVICE}", time=at)


def whole_life(case: UUID) -> list[lives.Told]:
    """A visit late in the evening with everything told, its orientation, three referrals, agreements, a merge."""
    need = NeedFacts(code=Need.AUTRE, outcome=Outcome.TO_REFER, label="velo")
    visit = lives.visit(
        case, occurred_at=LATE, commune="59299", quarter="Longchamp", sex="F", publics=(Public.RSA,), needs=(need,),
        retold=True,
    )  # fmt: skip
    recipient = Recipient(partner="ml", category=Category.LOCAL, department="59")
    proposal = Proposal(need=Need.LOGEMENT, recipients=(recipient, recipient), rule="16", reason="parce que")
    oriented = OrientationProposed(
        orientation_id=uuid4(), visit_id=visit.visit_id, site="hem", occurred_at=LATE, case=case, spie=False,
        rules_version="1", proposals=(proposal,),
    )  # fmt: skip
    return [
        letter(handlers.count_visit, visit),
        letter(handlers.count_proposals, oriented),
        *(one for life in lives.silent(case, visit_id=visit.visit_id) for one in life.letters),
        *lives.Life.held(case, visit_id=visit.visit_id).left(1).letters,
        *lives.Life.held(case).letters,
        letter(handlers.agree, AgreementGiven(case=case, recipient="local", sensitive=True, at=LATE)),
        letter(handlers.join, CasesMerged(case=OTHER, merged=case, retold=True)),
        letter(handlers.join, CasesMerged(case=OTHER, merged=case, retold=False)),
    ]


def coarsened(letters: list[lives.Told]) -> list[lives.Told]:
    """The same letters as they would come, had the case been erased before."""
    left = []
    for handler, event in letters:
        if CASE not in event.data.subjects():
            left.append((handler, event))
        elif (data := event.data.coarsened(pseudonyms(SECRET))) is not None:
            left.append((handler, event.model_copy(update={"data": data, "time": noon(event.time)})))
    return left


def erase(app: App, case: UUID) -> None:
    """Have it forgotten."""
    told = CaseErased(case=case, opened_at=LATE - timedelta(days=1), reason="request", secret=SECRET)
    with app.work() as work:
        forgetting.forget(letter(handlers.agree, told)[1], work)


def counted(app: App) -> dict[str, Any]:
    """All that reports say, but for how long answers took and by what of the person."""
    with app.read() as connection:
        found: dict[str, Any] = {}
        for by in (By.SITE, By.NEED, By.DAY, By.WEEK, By.OUTCOME, By.CHANNEL, By.MODE, By.CLASS, By.DEPARTMENT):
            report = queries.activity(connection, SCOPE, {}, site=None, by=by)
            found[by] = report.model_dump(exclude={"delays"})
        return {**found, "appointments": report.delays.visit_to_appointment}


def rows(app: App) -> dict[str, list[str]]:
    """Every row, whatever its order or number."""
    tables = read(str(app.database.engine.url.render_as_string(hide_password=False)))
    return {
        name: sorted(str({key: value for key, value in row.items() if key != "number"}) for row in kept)
        for name, kept in tables.items()
        if name not in PASSING
    }


def test_reports_say_the_same_and_no_row_names_it(app: App) -> None:
    """Each total by site, need, day…; another's case is untouched."""
    lives.take(app, *whole_life(CASE), *whole_life(OTHER))
    before = counted(app)
    mine = {str(CASE)}
    assert any(str(CASE) in row for kept in rows(app).values() for row in kept)
    others = [row for kept in rows(app).values() for row in kept if str(OTHER) in row and str(CASE) not in row]
    erase(app, CASE)
    assert counted(app) == before
    after = [row for kept in rows(app).values() for row in kept]
    assert not any(one in row for row in after for one in mine)
    assert all(row in after for row in others)


def test_the_rows_are_those_that_coarsened_events_make(app: App, apart: App) -> None:
    """So that a ledger that was rewritten rebuilds what is there, row by row."""
    letters = [*whole_life(CASE), *whole_life(OTHER)]
    lives.take(app, *letters)
    erase(app, CASE)
    lives.take(apart, *coarsened(letters))
    for table, kept in rows(app).items():
        assert kept == rows(apart)[table], table


def test_erasing_in_any_order_and_twice_is_erasing_once(app: App, apart: App) -> None:
    """A transaction of before the tombstone may commit after it: the second time cuts what it left."""
    letters = whole_life(CASE)
    erase(app, CASE)
    lives.take(app, *letters[:3])
    erase(app, CASE)
    lives.take(app, *letters[3:])
    erase(app, CASE)
    lives.take(apart, *coarsened(letters))
    for table, kept in rows(app).items():
        assert kept == rows(apart)[table], table


def test_an_answer_that_came_after_the_erasure_still_is_that_referrals(app: App) -> None:
    """Coarsened with the same secret, it moves the same referral."""
    life = lives.Life(CASE)
    lives.take(app, *life.letters)
    erase(app, CASE)
    handler, event = life.then(ReferralAccepted, 1, ReferralState.ACCEPTED).letters[-1]
    lives.take(app, *coarsened([(handler, event)]))
    with app.read() as connection:
        report = queries.activity(connection, SCOPE, {}, site=None, by=None)
    assert report.totals.referrals.by_state == {"accepted": 1}


def test_a_visit_without_a_case_stays_as_it_was(app: App) -> None:
    """Nobody's case is null, and null is nobody's to erase."""
    lives.take(app, letter(handlers.count_visit, lives.visit(None, occurred_at=LATE, commune="59299")))
    before = rows(app)
    erase(app, CASE)
    assert rows(app) == before
    assert VisitRecorded.TYPE not in str(before)
