"""How long things took, measured on a real PostgreSQL."""

from datetime import UTC, date, datetime
from uuid import uuid4

from services.chassis.app import App
from services.contracts import referral as events
from services.contracts.codes import Category, Waiting
from services.reporting.delays import delays
from services.reporting.forms import Delay, Delays
from services.reporting.scope import Scope
from tests.support.lives import Life, S, silent, take, told, visit

YEAR = Scope(date(2026, 1, 1), date(2026, 12, 31))


def measured(app: App, scope: Scope = YEAR) -> Delays:
    """Measure the delays of a scope."""
    with app.read() as connection:
        return delays(connection, scope)


def test_delays_are_exact(app: App) -> None:
    """Median and 90th percentile, interpolated, of those that came so far; only what was reminded counts as such."""
    for days in (1, 2, 3, 4):
        life = Life(uuid4()).then(events.ReferralReceived, days, S.RECEIVED)
        take(
            app,
            *life.letters,
            *([] if days > 2 else life.then(events.ReferralAccepted, days + 5, S.ACCEPTED).letters[2:]),
        )
    reminded = Life(uuid4()).then(events.ReferralReminded, 10).then(events.ReferralAccepted, 12.5, S.ACCEPTED)
    ignored = Life(uuid4()).then(events.ReferralReminded, 10)
    take(app, *reminded.letters, *ignored.letters, *Life(uuid4()).letters)
    found = measured(app)
    assert found.sent_to_received == Delay(count=5, median=3.0, p90=9.1)
    assert found.sent_to_accepted == Delay(count=3, median=7.0, p90=11.4)
    assert found.sent_to_decided_with_reminders == Delay(count=1, median=12.5, p90=12.5)
    assert found.visit_to_appointment == Delay(count=0, median=None, p90=None)


def test_a_step_that_stays_answers_nothing(app: App) -> None:
    """A reminder of what was received, or of what another clock says was answered before it was sent, changes none."""
    life = Life(uuid4()).then(events.ReferralReceived, -0.2, S.RECEIVED)
    life.then(events.ReferralReminded, 10).then(events.ReferralEscalated, 20, reason=Waiting.ANSWER)
    take(app, *life.letters)
    found = measured(app)
    assert found.sent_to_received == Delay(count=1, median=0.0, p90=0.0)
    assert found.sent_to_accepted.count == found.sent_to_decided_with_reminders.count == 0


def test_a_visit_waits_for_its_first_appointment(app: App) -> None:
    """The earliest day that any of its referrals named, over all bounces, counted from the visit's day in Paris."""
    case = uuid4()
    late = datetime(2026, 11, 19, 23, 30, tzinfo=UTC)  # the 20th in Paris
    seen = visit(case, occurred_at=late)
    trail = silent(case, visit_id=seen.visit_id)
    sooner = Life(case, visit_id=seen.visit_id).then(
        events.ReferralAccepted, 1, S.ACCEPTED, appointment_day=date(2026, 11, 24)
    )
    sooner.then(events.ReferralProgressed, 3, S.IN_PROGRESS, appointment_day=date(2026, 11, 30))
    wrong = Life(case, visit_id=seen.visit_id).then(
        events.ReferralAccepted, 1, S.ACCEPTED, appointment_day=date(2026, 11, 19)
    )
    other, elsewhere = visit(uuid4()), visit(uuid4(), site="fs-roye")
    theirs = Life(other.case, visit_id=other.visit_id).then(
        events.ReferralAccepted, 1, S.ACCEPTED, appointment_day=date(2026, 11, 20)
    )
    toward = Life(None, site="fs-roye", visit_id=elsewhere.visit_id, sender="ml", category=Category.SITE).then(
        events.ReferralAccepted, 1, S.ACCEPTED, appointment_day=date(2026, 11, 30)
    )
    lives = (*trail, sooner, wrong, theirs, toward)
    take(app, *(each for life in lives for each in life.letters), told(seen), told(other), told(elsewhere))
    assert measured(app).visit_to_appointment == Delay(count=2, median=2.0, p90=3.6)
    hem_alone = Scope(date(2026, 11, 20), date(2026, 11, 20), frozenset({"hem"}))
    assert measured(app, hem_alone).visit_to_appointment.count == 2
    before = Scope(date(2026, 11, 19), date(2026, 11, 19))
    assert measured(app, before).visit_to_appointment.count == 0
