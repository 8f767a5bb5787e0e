"""Referrals that come back, on a real PostgreSQL: each step told and bounces counted, in any order."""

import random
from datetime import date
from itertools import permutations
from uuid import UUID, uuid4

from alembic import command
from sqlalchemy import text

from services.chassis.app import App
from services.chassis.database import Database
from services.chassis.migrate import config_of, migrate
from services.chassis.settings import Settings
from services.contracts import referral as events
from services.contracts.codes import Category, DeclineReason, Need, Waiting, WithdrawReason
from services.reporting import cases, queries
from services.reporting.case_forms import CaseTimeline
from services.reporting.forms import ActivityReport
from services.reporting.scope import Scope
from tests.support.lives import NOON, Life, S, silent, take, told, visit

YEAR = Scope(date(2026, 1, 1), date(2026, 12, 31))
NAMES = {"ml": "Mission locale", "ft": "France Travail", "plie": "PLIE"}


def timeline(app: App, case: UUID) -> CaseTimeline:
    """Read a case's timeline for Hem."""
    with app.read() as connection:
        return cases.case_timeline(connection, case, "hem", NAMES)


def report(app: App, scope: Scope = YEAR) -> ActivityReport:
    """Read the report without breakdown."""
    with app.read() as connection:
        return queries.activity(connection, scope, {}, site=None, by=None)


def test_the_whole_trail_of_a_silent_partner_is_told(app: App) -> None:
    """Reminder, call, expiry, rerouting, refusal, acceptance: in this order, whatever arrives first; two bounces."""
    seed = random.randrange(10**6)  # noqa: S311 - told when it fails
    case = uuid4()
    letters = [each for life in silent(case) for each in life.letters]
    random.Random(seed).shuffle(letters)  # noqa: S311 - repeatable
    take(app, told(visit(case)))
    for each in letters:
        take(app, each)
    found = timeline(app, case)
    assert [entry.label for entry in found.timeline[1:]] == [
        "Orientation envoyée à Mission locale\u00a0: Se loger ou garder son logement",
        "Relance envoyée à Mission locale",
        "Contact désigné de Mission locale appelé\u00a0: pas d’accusé de réception",
        "Orientation expirée sans réponse de Mission locale",
        "Réorientée vers France Travail, sans redemander son histoire à la personne",
        "Orientation envoyée à France Travail, à la suite de Mission locale\u00a0: Se loger ou garder son logement",
        "Orientation déclinée par le partenaire\u00a0: plus de place",
        "Réorientée vers PLIE, sans redemander son histoire à la personne",
        "Orientation envoyée à PLIE, à la suite de France Travail\u00a0: Se loger ou garder son logement",
        "Orientation acceptée par le partenaire, rendez-vous le 28 décembre 2026",
    ], seed
    assert [entry.kind.removeprefix("referral-") for entry in found.timeline[1:]] == [
        *("sent", "reminded", "escalated", "expired", "rerouted", "sent", "declined", "rerouted", "sent", "accepted")
    ]
    assert found.bounces == 2


def test_codes_say_who_followed_whom(app: App) -> None:
    """The old referral names the next one, the new one the one before; each how many were left behind."""
    case = uuid4()
    first, second, third = silent(case)
    take(app, told(visit(case)), *first.letters, *second.letters, *third.letters)
    entries = timeline(app, case).timeline
    sent = [entry.codes for entry in entries if entry.kind == "referral-sent"]
    rerouted = [entry.codes for entry in entries if entry.kind == "referral-rerouted"]
    assert [each["bounces"] for each in sent] == [0, 1, 2]
    assert [each["previous"] for each in sent] == [None, str(first.id), str(second.id)]
    assert [each["previous_partner"] for each in sent] == [None, "ml", "ft"]
    followed = [(each["partner"], each["next_partner"], each["next_category"], each["bounces"]) for each in rerouted]
    assert followed == [("ml", "ft", "operator", 1), ("ft", "plie", "local", 2)]
    assert [each["next_referral_id"] for each in rerouted] == [str(second.id), str(third.id)]


def test_bounces_are_counted_whatever_arrives_first(app: App) -> None:
    """Declined, handed on and sent again, in each of six orders: one bounce, rerouted, of two referrals."""
    for order in permutations(range(3)):
        first = Life(uuid4())
        following = first.declined(1).handed_on(1, "ft")
        letters = [first.letters[1], first.letters[2], following.letters[0]]
        for place in order:
            take(app, letters[place])
        take(app, first.letters[0])
    found = report(app).totals.referrals
    assert (found.sent, found.by_state) == (12, {"declined": 6, "sent": 6})
    assert (found.bounces, found.rerouted) == (6, 6)
    assert found.bounces_by_category == {"local": 6}
    assert found.bounces_by_need == {"logement": 6}


def test_what_is_a_bounce(app: App) -> None:
    """Declined or expired once sent; not withdrawn, failed, a mistake taken back, nor what was never sent."""
    case = uuid4()
    declined = Life(case, need=Need.ENDETTEMENT, category=Category.OPERATOR).declined(1)
    expired = Life(case).then(events.ReferralExpired, 30, S.EXPIRED, reason=Waiting.ANSWER)
    withdrawn = Life(case).then(events.ReferralWithdrawn, 1, S.WITHDRAWN, reason=WithdrawReason.PERSON)
    failed = Life(case).then(events.ReferralFailed, 3, S.FAILED, reason=DeclineReason.PERSON_ABSENT)
    mistaken = Life(case).declined(1)
    mistaken.handed_on(1, "ft")
    mistaken.then(events.ReferralVoided, 2, S.ENTERED_IN_ERROR)
    never_sent = Life(case)
    never_sent.state, never_sent.letters = S.AWAITING_AGREEMENT, []
    never_sent.then(events.ReferralExpired, 30, S.EXPIRED)
    lives = (declined, expired, withdrawn, failed, mistaken, never_sent)
    take(app, told(visit(case)), *(each for life in lives for each in life.letters))
    found = report(app).totals.referrals
    assert (found.sent, found.bounces, found.rerouted) == (5, 2, 0)
    assert found.bounces_by_category == {"local": 1, "operator": 1}
    assert found.bounces_by_need == {"endettement": 1, "logement": 1}
    assert timeline(app, case).bounces == 2
    with app.read() as connection:
        assert queries.overview(connection, YEAR, {}).bounces == {("endettement", False): 1, ("logement", False): 1}
    assert report(app, Scope(YEAR.first, YEAR.last, frozenset({"fs-roye"}))).totals.referrals.bounces == 0


def test_the_earlier_release_may_go_on_beside_this_one(database: Database) -> None:
    """What it wrote before and writes after the migration is read: who followed whom is known by the rerouting."""
    with database.begin() as connection:
        config = config_of("reporting")
        config.attributes["connection"] = connection
        command.upgrade(config, "0003")
    case = uuid4()
    first = Life(case).declined(1)
    second = first.handed_on(1, "ft")

    def as_before(life: Life, step: int) -> None:
        """Write a step as the earlier release does: without the new columns."""
        data = life.letters[step - 1][1].data
        known = {"id": life.id, "step": step, "case": case, "at": life.letters[step - 1][1].time}
        if step == 1:
            more = {"state": "sent", "day": NOON.date(), "partner": data.partner, "reason": None}
        else:
            more = {"state": data.to_state, "day": None, "partner": None, "reason": data.reason}
        insert = (
            'INSERT INTO referral_steps (referral_id, step, state, at, "case", reason, sent_day, site, visit_id, need,'
            " partner, category) VALUES (:id, :step, :state, :at, :case, :reason, :day, 'hem', :id, 'logement',"
            " :partner, 'local')"
        )
        with database.begin() as connection:
            connection.execute(text(insert), known | more)

    as_before(first, 1)
    migrate(database, "reporting")
    as_before(first, 2)
    as_before(second, 1)
    app = App("reporting", Settings(), database)
    take(app, told(visit(case)), first.letters[2])
    found = timeline(app, case)
    assert [entry.label for entry in found.timeline[1:]] == [
        "Orientation envoyée à Mission locale\u00a0: Se loger ou garder son logement",
        "Orientation déclinée par le partenaire\u00a0: plus de place",
        "Réorientée vers France Travail, sans redemander son histoire à la personne",
        "Orientation envoyée à France Travail, à la suite de Mission locale\u00a0: Se loger ou garder son logement",
    ]
    assert found.timeline[-1].codes["bounces"] == 1
    assert found.bounces == 1
    assert report(app).totals.referrals.rerouted == 1
