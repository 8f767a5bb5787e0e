"""Whether the story was enough, and how often it was told again: counted from rows of a real PostgreSQL."""

from datetime import timedelta
from itertools import permutations
from typing import Any
from uuid import uuid4

from services.chassis.app import App
from services.contracts import referral as events
from services.contracts.codes import Category, ReferralState
from services.contracts.envelope import CloudEvent, EventData
from services.contracts.intake import CasesMerged, CasesUnmerged
from services.contracts.paris import paris_day
from services.reporting import forgetting, handlers
from services.reporting.forms import ToldOnce
from services.reporting.scope import Scope
from services.reporting.told_once import told_once
from tests.support.lives import NOON, Life, Told, take, told, visit

S = ReferralState
DAY, SECRET = paris_day(NOON), uuid4()
MONTH = Scope(DAY, DAY + timedelta(days=30))


def tell(data: EventData, days: float) -> Told:
    """Two cases joined or parted."""
    handler: Any = handlers.join if isinstance(data, CasesMerged) else handlers.part
    time = NOON + timedelta(days=days)
    return handler, CloudEvent(data=data, id=str(uuid4()), type=data.TYPE, source="/relais/intake", time=time)


def measured(app: App, scope: Scope = MONTH) -> ToldOnce:
    """Read the measure."""
    with app.read() as connection:
        return told_once(connection, scope, {"hem": "Hem"})


def test_a_referral_counts_once_by_the_last_that_was_said(app: App) -> None:
    """No, then yes; said without a word after it; and one that was only acknowledged is answered, silently."""
    changed = Life(None).then(events.ReferralAccepted, 1, S.ACCEPTED, story_sufficient=False)
    changed.then(events.ReferralCompleted, 2, S.COMPLETED, story_sufficient=True)
    said = Life(None, "ft", category=Category.OPERATOR, site="fs-roye")
    said.then(events.ReferralAccepted, 1, S.ACCEPTED, story_sufficient=False).then(
        events.ReferralProgressed, 2, S.IN_PROGRESS
    )
    silent = Life(None).then(events.ReferralReceived, 1, S.RECEIVED)
    letters = [letter for life in (changed, said, silent) for letter in life.letters]
    take(app, *reversed(letters))
    found = measured(app)
    answers = found.answers
    assert (answers.sufficient, answers.insufficient, answers.silent, answers.answered) == (1, 1, 1, 3)
    assert answers.response_rate == 0.6667
    assert [(each.key, each.sufficient, each.insufficient, each.silent) for each in found.answers_by_category] == [
        ("local", 1, 0, 1),
        ("operator", 0, 1, 0),
    ]
    assert [(each.label, each.answered, each.response_rate) for each in found.answers_by_site] == [
        ("Hem", 2, 0.5),
        ("fs-roye", 1, 1.0),
    ]


def test_what_nobody_answered_is_in_no_rate(app: App) -> None:
    """Silence, reminders, the clock's and the sender's end are no answers; nor are referrals toward a site counted."""
    reminded = Life(None).then(events.ReferralReminded, 1).then(events.ReferralExpired, 2, S.EXPIRED)
    withdrawn = Life(None).then(events.ReferralWithdrawn, 1, S.WITHDRAWN)
    toward = Life(None, sender="ml").then(events.ReferralAccepted, 1, S.ACCEPTED, story_sufficient=True)
    later = Life(None, days=40).then(events.ReferralAccepted, 41, S.ACCEPTED, story_sufficient=True)
    take(app, *[letter for life in (reminded, withdrawn, toward, later) for letter in life.letters])
    found = measured(app)
    assert found.answers.answered == 0
    assert found.answers.response_rate is None
    assert found.answers_by_site == []


def test_retellings_are_counted_with_the_stories(app: App) -> None:
    """A first story, one told again, a visit without a story; at the site and on the day of the visit."""
    take(app, *[told(visit(None, retold=retold)) for retold in (False, False, True, None)])
    take(app, told(visit(None, retold=True, occurred_at=NOON + timedelta(days=60))))
    found = measured(app)
    assert (found.tellings.stories, found.tellings.retold) == (3, 1)
    assert [(each.label, each.stories, each.retold) for each in found.tellings_by_site] == [("Hem", 3, 1)]


def test_a_joining_that_shows_a_retelling_counts_until_it_is_taken_back(app: App) -> None:
    """Joined, parted, joined again: one, whatever the order of arrival; and none when it ends parted."""
    one, two, lone = uuid4(), uuid4(), uuid4()
    letters = [
        tell(CasesMerged(case=one, merged=two, retold=True, site="hem"), 1),
        tell(CasesUnmerged(case=one, merged=two, retold=True), 2),
        tell(CasesMerged(case=one, merged=two, retold=True, site="fs-roye"), 3),
        tell(CasesMerged(case=one, merged=lone, retold=False, site="hem"), 4),
    ]
    for number, order in enumerate(permutations(letters), 1):
        fresh = {each: uuid4() for each in (one, two, lone)}
        take(app, *[_about(letter, fresh) for letter in order])
        assert measured(app).tellings.retold == number
    assert {each.key for each in measured(app).tellings_by_site} == {"fs-roye"}
    take(app, *letters, tell(CasesUnmerged(case=one, merged=two, retold=True), 5))
    assert measured(app).tellings.retold == number
    assert measured(app, Scope(DAY, DAY, frozenset({"hem"}))).tellings.retold == 0


def test_an_erasure_leaves_the_measure_as_it_was(app: App) -> None:
    """Joined, parted and joined again within an hour, at two sites; another parted for good: the same at each site."""
    cases = one, two, lone = uuid4(), uuid4(), uuid4()
    take(
        app,
        tell(CasesMerged(case=one, merged=two, retold=True, site="hem"), 1),
        tell(CasesUnmerged(case=one, merged=two, retold=True), 1.01),
        tell(CasesMerged(case=one, merged=two, retold=True, site="fs-roye"), 1.02),
        tell(CasesMerged(case=one, merged=lone, retold=True, site="hem"), 1.03),
        tell(CasesUnmerged(case=one, merged=lone, retold=True), 1.04),
    )
    before = measured(app)
    for erased in cases:
        with app.work() as work:
            forgetting.forget_rows(work, erased, SECRET)
        assert measured(app) == before
    assert before.tellings.retold == 1


def _about(letter: Told, others: dict[Any, Any]) -> Told:
    handler, event = letter
    names = {name: others[getattr(event.data, name)] for name in ("case", "merged")}
    return handler, event.model_copy(update={"data": event.data.model_copy(update=names)})
