"""Forgetting a case in a service's own database: its ledger, what is parked, what comes late; never another's."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import delete, insert, select, text

from services.chassis import erased, forgetting, inbox, outbox
from services.chassis.app import App, Work
from services.chassis.clock import Clock
from services.chassis.database import Database
from services.chassis.forgetting import Sweeper
from services.chassis.handling import Handling
from services.chassis.relay import INSIDE
from services.chassis.settings import Settings
from services.chassis.tables import failures, webhook_deliveries
from services.chassis.tables import forgetting as work_left
from services.chassis.tables import outbox as ledger
from services.contracts.coarse import digest, pseudonyms
from services.contracts.envelope import CONTENT_TYPE, CloudEvent, wrap
from services.contracts.intake import AgreementGiven, CaseErased, VisitRecorded
from services.contracts.referral import PartnerReferralErased, ReferralAccepted
from services.contracts.reporting import CaseRead
from tests.support.lives import visit

NOW = datetime(2026, 11, 20, 8, 30, tzinfo=UTC)
CASE, OTHER, REFERRAL, SECRET = uuid4(), uuid4(), uuid4(), uuid4()
VISIT, OTHERS = visit(CASE, commune="80570"), visit(OTHER, commune="80570")
QUEUE = "reporting.from-intake"


class Moved(Clock):
    """Stands still until it is moved."""

    at = NOW

    def now(self) -> datetime:
        """The moment it was moved to."""
        return self.at


@pytest.fixture
def app(database: Database) -> App:
    """Make the App of a service that keeps secrets for a day."""
    return App("referral", Settings(erasure_hours=24), database, clock=Moved())


@pytest.fixture
def sweeper(app: App) -> Sweeper:
    """Make its sweeper, for a service with no rows of its own."""
    return Sweeper(app, lambda *_: ())


def told(data: Any, id_: str = "") -> str:  # noqa: ANN401 - any event
    """Write an event down as its publisher does."""
    return wrap(data, id_=id_ or str(uuid4()), time=NOW, base_url="http://x", traceparent="00-aa-bb-01")


def emit(app: App, *told: tuple[Any, str | None]) -> None:
    """Commit events, each to everyone inside or to a partner."""
    with app.work() as work:
        for data, recipient in told:
            work.emit(data, recipient=recipient)


def erase(app: App, needles: Sequence[UUID] = ()) -> None:
    """Have the case forgotten, whose rows had these ids."""
    with app.work() as work:
        forgetting.begin(work, CASE, SECRET, NOW - timedelta(days=1), lambda *_: needles)


def bodies(app: App) -> list[dict[str, Any]]:
    """What the ledger says, in order."""
    with app.read() as connection:
        return [json.loads(body) for body in connection.scalars(select(ledger.c.body).order_by(ledger.c.position))]


def parked(app: App) -> list[str]:
    """What waits or is parked."""
    with app.read() as connection:
        return [body.decode() for body in connection.scalars(select(failures.c.body).order_by(failures.c.number))]


def waiting(app: App) -> list[tuple[bool, bool]]:
    """Of each case that is being forgotten: (whether its horizon is known, whether it was swept)."""
    with app.read() as connection:
        rows = connection.execute(select(work_left)).all()
    return [(row.horizon is not None, row.swept_at is not None) for row in rows]


def publish(app: App) -> None:
    """Have the relay say that all is published."""
    with app.database.begin() as connection:
        outbox.move(connection, INSIDE, 1_000_000)


def move(app: App, **by: float) -> None:
    """Let time pass."""
    assert isinstance(app.clock, Moved)
    app.clock.at += timedelta(**by)


def test_events_inside_are_coarsened_and_those_of_partners_deleted(app: App, sweeper: Sweeper) -> None:
    """In their places, with the ids that others give them, too; another's are as they were."""
    moved = ReferralAccepted(referral_id=REFERRAL, case=CASE, from_state="sent", to_state="accepted", step=2)
    agreement = AgreementGiven(case=CASE, recipient="local", sensitive=False, at=NOW)
    emit(app, (VISIT, None), (OTHERS, None), (moved, None), (moved, "ml"), (agreement, None))
    emit(app, (PartnerReferralErased(referral_id=REFERRAL), "ml"))
    before = bodies(app)
    with app.database.begin() as connection:
        row = {
            "position": 4,
            "recipient": "ml",
            "event": "e",
            "tries": 1,
            "reason": "r",
            "first_at": NOW,
            "due_at": NOW,
        }
        connection.execute(insert(webhook_deliveries).values(row))
    erase(app, [REFERRAL])
    assert sweeper.sweep() == 1
    after = bodies(app)
    assert [each["type"].split(".")[2] for each in after] == [
        "VisitRecorded", "VisitRecorded", "ReferralAccepted", "ReferralErased",
    ]  # fmt: skip
    assert after[1] == before[1]
    other = pseudonyms(SECRET)
    assert after[0]["data"]["visit_id"] == str(other(VISIT.visit_id))
    assert (after[0]["data"]["case"], after[0]["data"]["commune"]) == (None, None)
    assert (after[0]["id"], after[0]["time"]) == (before[0]["id"], "2026-11-20T11:00:00Z")
    assert "traceparent" not in after[0]
    assert after[2]["data"]["referral_id"] == str(other(REFERRAL))
    with app.read() as connection:
        assert connection.execute(select(webhook_deliveries)).all() == []
    assert sweeper.sweep() == 0


def test_the_secret_goes_when_its_time_is_over(app: App, sweeper: Sweeper) -> None:
    """And with it the news of the erasure, once published; what came in between is cut then."""
    emit(app, (CaseErased(case=CASE, opened_at=NOW, reason="request", secret=SECRET), None))
    erase(app)
    sweeper.sweep()
    assert waiting(app) == [(True, True)]
    assert str(SECRET) in str(bodies(app))
    emit(app, (VISIT, None))
    move(app, hours=23)
    assert sweeper.sweep() == 0
    move(app, hours=1)
    assert sweeper.sweep() == 1
    assert waiting(app) == [(True, True)]  # not published yet
    assert str(CASE) in str(bodies(app))
    publish(app)
    assert sweeper.sweep() == 1
    assert waiting(app) == []
    assert [each["data"]["case"] for each in bodies(app)] == [None]
    with app.read() as connection:
        assert erased.among(connection, [CASE, OTHER]).keys() == {CASE}


def test_nothing_is_swept_while_an_older_transaction_may_add_to_it(app: App, sweeper: Sweeper) -> None:
    """An event that is committed after the tombstone, by who did not see it, is coarsened all the same."""
    with app.work() as late:
        late.execute(text("INSERT INTO inbox (source, id) VALUES ('x', 'y')"))
        erase(app)
        assert sweeper.sweep() == 0
        late.emit(VISIT)
    assert str(CASE) in str(bodies(app))
    assert sweeper.sweep() == 1
    assert str(CASE) not in str(bodies(app))


def test_the_services_own_rows_are_forgotten_again_before_the_sweep(app: App) -> None:
    """With the needles that only then are known."""
    again: list[UUID] = []

    def forget(_work: Work, case: UUID, _secret: UUID) -> Sequence[UUID]:
        again.append(case)
        return [REFERRAL]

    emit(app, (PartnerReferralErased(referral_id=REFERRAL).model_copy(), "ml"))
    moved = ReferralAccepted(referral_id=REFERRAL, case=None, from_state="sent", to_state="accepted", step=2)
    emit(app, (moved, "ml"))
    erase(app)
    assert Sweeper(app, forget).sweep() == 1
    assert again == [CASE]
    assert [each["type"] for each in bodies(app)] == [PartnerReferralErased.TYPE]


@pytest.fixture
def handling(app: App) -> tuple[Handling[VisitRecorded], list[VisitRecorded]]:
    """Make what consumes visits, and what its handler saw; it fails for a visit at Roye."""
    seen: list[VisitRecorded] = []

    def handle(events: Sequence[CloudEvent[VisitRecorded]], _work: Work) -> None:
        if any(event.data.site == "fs-roye" for event in events):
            reason = "not Roye"
            raise ValueError(reason)
        seen.extend(event.data for event in events)

    return Handling(app, QUEUE, {VisitRecorded: handle}), seen


Consuming = tuple[Handling[VisitRecorded], list[VisitRecorded]]


def test_what_comes_late_is_coarsened_before_its_handler_sees_it(app: App, handling: Consuming) -> None:
    """With the ids that the service's own rows have got; others of the same batch are as they were."""
    handler, seen = handling
    erase(app)
    handler.handle(handler.read(f"[{told(VISIT)},{told(OTHERS)}]".encode(), "application/cloudevents-batch+json"))
    assert [each.case for each in seen] == [None, OTHER]
    assert seen[0].visit_id == pseudonyms(SECRET)(VISIT.visit_id)
    assert seen[1] == OTHERS


def test_late_is_late_however_many_were_erased_since(app: App, handling: Consuming) -> None:
    """An event of before the erasure of two thousand others; one of after an erasure is of nobody erased by then."""
    handler, seen = handling
    erase(app)
    with app.database.begin() as connection:
        many = "INSERT INTO erased SELECT sha256(uuid_send(gen_random_uuid())), :now FROM generate_series(1, 2000)"
        connection.execute(text(many), {"now": NOW})
    handler.handle(handler.read(f"[{told(OTHERS)},{told(VISIT)}]".encode(), "application/cloudevents-batch+json"))
    assert [each.case for each in seen] == [OTHER, None]


def test_what_comes_after_the_secret_is_gone_has_ids_that_nobody_knows(
    app: App, handling: Consuming, sweeper: Sweeper
) -> None:
    """It is counted, and leads nowhere."""
    handler, seen = handling
    erase(app)
    sweeper.sweep()
    move(app, hours=24)
    sweeper.sweep()
    handler.handle(handler.read(told(VISIT).encode(), CONTENT_TYPE))
    assert (seen[0].case, seen[0].commune) == (None, None)
    assert seen[0].visit_id not in {VISIT.visit_id, pseudonyms(SECRET)(VISIT.visit_id)}


def test_of_what_leaves_nothing_the_handler_hears_nothing(app: App) -> None:
    """It counts as handled."""
    handler: Handling[AgreementGiven] = Handling(app, "referral.from-intake", {AgreementGiven: _never})
    erase(app)
    body = told(AgreementGiven(case=CASE, recipient="local", sensitive=False, at=NOW), "one").encode()
    handler.handle(handler.read(body, CONTENT_TYPE))
    with app.read() as connection:
        assert inbox.unhandled(connection, handler.read(body, CONTENT_TYPE).events) == []


@pytest.mark.parametrize("told_after", [timedelta(minutes=6), timedelta(hours=1), timedelta(days=400)])
def test_what_others_make_of_an_erased_case_is_late_whenever_they_tell_it(app: App, told_after: timedelta) -> None:
    """A service that has not heard of the erasure tells of the case after it: its time proves nothing."""
    seen: list[Any] = []
    erase(app)
    with app.database.begin() as connection:
        connection.execute(delete(work_left))
    data = ReferralAccepted(referral_id=REFERRAL, case=CASE, from_state="sent", to_state="accepted", step=2)
    read = CaseRead(case=CASE, referral_id=None, org="ml", role="partner", subject="x")
    for each in (data, data.model_copy(update={"case": OTHER}), read):
        handler: Handling[Any] = Handling(app, "intake.any", {type(each): lambda events, _: seen.extend(events)})
        body = wrap(each, id_=str(uuid4()), time=NOW + told_after, base_url="http://x")
        handler.handle(handler.read(body.encode(), CONTENT_TYPE))
    assert [event.data.case for event in seen] == [None, OTHER]
    assert seen[0].data.referral_id != REFERRAL


def _never(_events: Sequence[CloudEvent[AgreementGiven]], _work: Work) -> None:
    raise AssertionError


def test_parked_events_are_coarsened_or_dropped(app: App, handling: Consuming) -> None:
    """What can be read stays in its coarsened form and what cannot goes; another's stay, and what makes forget."""
    handler, _ = handling
    poison = VISIT.model_copy(update={"site": "fs-roye"})
    notice = told(CaseErased(case=CASE, opened_at=NOW, reason="request", secret=SECRET))
    handler.handle(handler.read(told(poison).encode(), CONTENT_TYPE))
    for body in (f'{{"broken": "{CASE}"', f'{{"broken": "{OTHER}"', notice):
        handler.park_message(body.encode(), CONTENT_TYPE, "unreadable")
    erase(app)
    first, second, third = parked(app)
    assert json.loads(first)["data"]["visit_id"] == str(pseudonyms(SECRET)(VISIT.visit_id))
    assert json.loads(first)["data"]["case"] is None
    assert str(OTHER) in second
    assert third == notice


def test_what_fails_after_the_erasure_is_not_kept_as_it_came(app: App, handling: Consuming) -> None:
    """Neither what its handler refuses nor what cannot be read."""
    handler, _ = handling
    erase(app)
    handler.handle(handler.read(told(VISIT.model_copy(update={"site": "fs-roye"})).encode(), CONTENT_TYPE))
    handler.park_message(f'{{"broken": "{CASE}"'.encode(), CONTENT_TYPE, "unreadable")
    (kept,) = parked(app)
    assert str(CASE) not in kept
    assert str(VISIT.visit_id) not in kept


def test_erased_again_before_it_is_over_it_is_swept_again(app: App, sweeper: Sweeper) -> None:
    """With the ids of the first time: its rows have them already."""
    erase(app)
    sweeper.sweep()
    emit(app, (VISIT, None))
    with app.work() as work:
        forgetting.begin(work, CASE, uuid4(), NOW - timedelta(days=1), lambda *_: [REFERRAL])
    assert waiting(app) == [(False, False)]
    assert sweeper.sweep() == 1
    assert bodies(app)[0]["data"]["visit_id"] == str(pseudonyms(SECRET)(VISIT.visit_id))


def test_two_replicas_do_not_sweep_at_once(app: App, sweeper: Sweeper) -> None:
    """The other leaves it to the one that is at it."""
    erase(app)
    with app.database.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": forgetting._LOCK})  # noqa: SLF001
        with pytest.raises(forgetting._Elsewhere):  # noqa: SLF001
            sweeper.sweep()
    assert sweeper.sweep() == 1


def test_many_cases_are_swept_in_one_go(app: App, sweeper: Sweeper, tell: Callable[[str], None]) -> None:
    """300 cases of 6,000 events: the ledger is read once."""
    cases = [uuid4() for _ in range(300)]
    emit(app, *((visit(cases[number % 300] if number % 5 else None), None) for number in range(6_000)))
    with app.work() as work:
        for case in cases:
            forgetting.begin(work, case, SECRET, NOW - timedelta(days=1), lambda *_: ())
    began = datetime.now(UTC)
    assert sweeper.sweep() == 300
    took = (datetime.now(UTC) - began).total_seconds()
    tell(f"6,000 events of the ledger swept for 300 erased cases, 4,800 rewritten: {took:.1f} s")
    assert not any(each["data"]["case"] for each in bodies(app))


def test_a_restored_database_is_searched_whole(app: App) -> None:
    """Ids in columns and in events, of those that the journal names and no others."""
    emit(app, (VISIT, None), (OTHERS, None))
    with app.database.begin() as connection:
        connection.execute(text("CREATE TABLE seen (one uuid)"))
        connection.execute(text("INSERT INTO seen VALUES (:one)"), {"one": REFERRAL})
        assert erased.held(connection, {digest(CASE), digest(REFERRAL), digest(uuid4())}) == {CASE, REFERRAL}
