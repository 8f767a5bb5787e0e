"""A case as its sites and the addressed partner may see it, from rows of a real PostgreSQL."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from itertools import permutations
from uuid import UUID, uuid4

import pytest

from services.chassis.app import App
from services.chassis.errors import Rejected
from services.contracts import referral as events
from services.contracts.codes import Need, ReferralState
from services.contracts.intake import CasesMerged, CasesUnmerged
from services.reporting.case_forms import CaseTimeline, ReferralCase
from services.reporting.cases import case_timeline
from services.reporting.referral_case import referral_case
from tests.support.lives import NOON, Life, Told, agreed, silent, take, told, visit, withdrew

S = ReferralState
NAMES = {"ml": "Mission locale", "ft": "France Travail", "hem": "Hem", "fs-roye": "Roye"}


def read(app: App, case: UUID, site: str = "hem", *, vouched: bool = False) -> CaseTimeline:
    """As an agent of a site."""
    with app.read() as connection:
        return case_timeline(connection, case, site, NAMES, vouched=vouched)


def seen(app: App, referral: UUID, partner: str = "ml", *, reveals_health: bool = False) -> ReferralCase | None:
    """As a partner; whose name may tell a health fact."""
    with app.read() as connection:
        found = referral_case(connection, referral, partner, NAMES, reveals_health=reveals_health)
    return found[1] if found else None


def labels(view: CaseTimeline | ReferralCase) -> list[str]:
    """What the timeline says."""
    return [entry.label for entry in view.timeline]


def test_what_the_person_decided_is_in_the_timeline(app: App) -> None:
    """Given with health facts, withdrawn, objected: each at the time of the decision, in French."""
    case = uuid4()
    told_all = [
        told(visit(case)),
        agreed(case, "ml", 1, sensitive=True),
        withdrew(case, "operator", 2),
        withdrew(case, "ml", 3, "objection"),
    ]
    take(app, *reversed(told_all))
    assert labels(read(app, case))[1:] == [
        "Accord de la personne pour Mission locale, faits de santé et de handicap compris",
        "Accord retiré\u00a0: plus rien n’est transmis (les opérateurs)",
        "Opposition de la personne\u00a0: plus rien n’est transmis (Mission locale)",
    ]


def test_what_waits_says_for_whom_since_when_and_until_when(app: App) -> None:
    """The due day is known until the first answer; an appointment once it is told."""
    case = uuid4()
    first, second = Life(case), Life(case, "ft", need=Need.CHERCHER_UN_EMPLOI, days=1)
    second.then(events.ReferralAccepted, 2, S.ACCEPTED, appointment_day=date(2026, 12, 1))
    second.then(events.ReferralReminded, 3)
    take(app, told(visit(case)), *first.letters, *second.letters)
    one, two = read(app, case).waiting
    assert (one.partner, one.since, one.due_at) == ("ml", NOON, NOON)
    assert one.label == "Mission locale\u00a0: accuser réception, au plus tard le 20 novembre 2026"
    assert (two.since, two.due_at, two.state) == (NOON + timedelta(days=2), None, S.ACCEPTED)
    assert two.label == "France Travail\u00a0: commencer, fixer un rendez-vous (rendez-vous le 1er décembre 2026)"


def test_what_waits_for_the_agreement_is_shown_and_was_not_tried(app: App) -> None:
    """At every site that knows the case, until it leaves or ends; the partner's view begins with the sending."""
    case = uuid4()
    waits, gone, left = (Life.held(case, need=need) for need in (Need.LOGEMENT, Need.ENDETTEMENT, Need.CHEQUE_ENERGIE))
    gone.then(events.ReferralExpired, 30, S.EXPIRED)
    left.left(1)
    take(app, told(visit(case)), *waits.letters, *gone.letters, *reversed(left.letters))
    view = read(app, case)
    assert [(each.need, each.state, each.due_at) for each in view.waiting] == [
        (Need.LOGEMENT, S.AWAITING_AGREEMENT, None),
        (Need.CHEQUE_ENERGIE, S.SENT, NOON),
    ]
    wanted = "Le site où vient la personne\u00a0: demander son accord, rien n’est envoyé à Mission locale"
    assert view.waiting[0].label == wanted
    assert (view.tried, view.bounces) == ([], 0)
    need = "Se loger ou garder son logement"
    assert f"Orientation vers Mission locale en attente de l’accord de la personne\u00a0: {need}" in labels(view)
    assert "Orientation expirée avant son envoi\u00a0: pas d’accord de la personne" in labels(view)
    shown = seen(app, left.id)
    assert shown
    assert labels(shown) == ["Orientation envoyée à Mission locale\u00a0: Chèque énergie"]
    assert (seen(app, waits.id), seen(app, gone.id)) == (None, None)


def test_what_was_tried_says_where_and_how_it_ended(app: App) -> None:
    """Expired here, declined there, at work at last: two were tried; a mistake was not."""
    case = uuid4()
    mistake = Life(case, days=1).then(events.ReferralVoided, 2, S.ENTERED_IN_ERROR, reason="entered-in-error")
    lives = silent(case)
    take(app, told(visit(case)), *[letter for life in (*lives, mistake) for letter in life.letters])
    view = read(app, case)
    assert [each.label for each in view.tried] == [
        "Se loger ou garder son logement, Mission locale\u00a0: expirée (pas d’accusé de réception)",
        "Se loger ou garder son logement, France Travail\u00a0: déclinée (plus de place)",
    ]
    assert [each.partner for each in view.waiting] == ["plie"]


def test_joined_cases_are_read_as_one_by_whoever_knows_either(app: App) -> None:
    """Whichever is asked for and in whatever order it was heard; parted again, each is itself, and says so."""
    mine, other = uuid4(), uuid4()
    life = Life(other, site="fs-roye")
    letters = [
        told(visit(mine)),
        told(visit(other, site="fs-roye"), 1),
        *life.letters,
        told(CasesMerged(case=mine, merged=other), 2),
    ]
    for order in list(permutations(letters))[::5]:
        ids = {mine: uuid4(), other: uuid4()}
        take(app, *[_renamed(letter, ids) for letter in order])
        for asked, site in ((ids[mine], "fs-roye"), (ids[other], "hem")):
            view = read(app, asked, site)
            assert (view.case, view.sites) == (ids[mine], ["fs-roye", "hem"])
            assert len(view.waiting) == 1
    take(app, *letters, told(CasesUnmerged(case=mine, merged=other), 3))
    assert read(app, mine).waiting == []
    assert "Dossiers séparés\u00a0: ce n’était pas la même personne" in labels(read(app, mine))
    assert str(other) not in read(app, mine).model_dump_json()
    with pytest.raises(Rejected):
        read(app, other, "hem")


def _renamed(letter: Told, ids: dict[UUID, UUID]) -> Told:
    """The same about other people, with ids of its own."""
    handler, event = letter
    data = event.data
    names = {name: ids[value] for name, value in data if isinstance(value, UUID) and value in ids}
    fresh = {name: uuid4() for name in ("visit_id", "referral_id") if name in type(data).model_fields}
    return handler, event.model_copy(update={"data": data.model_copy(update=names | fresh)})


def test_a_site_that_never_met_the_person_gets_what_an_unknown_case_gets(app: App) -> None:
    """Word for word; unless intake has just said that it may."""
    case = uuid4()
    take(app, told(visit(case)))
    refusals = []
    for asked in (case, uuid4()):
        with pytest.raises(Rejected) as caught:
            read(app, asked, "fs-roye")
        refusals.append((caught.value.status, caught.value.detail))
    assert refusals[0] == refusals[1]
    assert read(app, case, "fs-roye", vouched=True).sites == ["hem"]


def test_a_partner_sees_its_own_referral_and_what_was_tried_by_category(app: App) -> None:
    """No other partner, no case, no visit, no other need, no exact time of what two partners have in common."""
    case = uuid4()
    first, second, third = silent(case)
    elsewhere = Life(case, "caf", need=Need.ENDETTEMENT).declined(1)
    take(app, told(visit(case)), *[letter for life in (first, second, third, elsewhere) for letter in life.letters])
    view = seen(app, third.id, "plie")
    assert view
    assert [each.label for each in view.tried] == [
        "Partenaire local\u00a0: expirée (pas d’accusé de réception)",
        "Opérateur\u00a0: déclinée (plus de place)",
    ]
    assert labels(view) == [
        "Orientation envoyée à plie\u00a0: Se loger ou garder son logement",
        "Orientation acceptée par le partenaire, rendez-vous le 28 décembre 2026",
    ]
    text = view.model_dump_json()
    hidden = {str(case), str(third.sent.visit_id), str(first.id), str(second.id), '"ml"', '"ft"', "endettement", "caf"}
    assert not {word for word in hidden if word in text}


def test_times_are_told_to_a_partner_to_the_minute(app: App) -> None:
    """Microseconds would let two partners match their files."""
    life = Life(uuid4())
    handler, sent = life.letters[0]
    exact = datetime(2026, 11, 20, 11, 0, 17, 123456, tzinfo=UTC)
    take(app, (handler, sent.model_copy(update={"time": exact})))
    view = seen(app, life.id)
    assert view
    assert [entry.at for entry in view.timeline] == [NOON]


REFUSED: dict[str, Callable[[UUID], tuple[Life, list[Told]]]] = {
    "another's": lambda case: (Life(case, "ft"), []),
    "ended": lambda case: (Life(case).declined(1), []),
    "withdrawn": lambda case: (Life(case).then(events.ReferralWithdrawn, 1, S.WITHDRAWN, reason="person"), []),
    "agreement to it withdrawn": lambda case: (Life(case), [withdrew(case, "ml", 1)]),
    "agreement to its category withdrawn": lambda case: (Life(case), [withdrew(case, "local", 1)]),
    "given to the category before it was withdrawn": lambda case: (
        Life(case),
        [agreed(case, "local", 1), withdrew(case, "ml", 2)],
    ),
    "objected": lambda case: (Life(case), [withdrew(case, "ml", 1, "objection")]),
}


def test_a_partner_sees_nothing_where_it_may_not(app: App) -> None:
    """One nothing for all reasons; without that reason it would see it."""
    for reason, told_of in REFUSED.items():
        case = uuid4()
        life, decisions = told_of(case)
        take(app, told(visit(case)), *life.letters, *decisions)
        assert seen(app, life.id) is None, reason
    allowed = Life(uuid4())
    take(app, *allowed.letters)
    assert seen(app, allowed.id)


def test_what_was_agreed_anew_is_open_again(app: App) -> None:
    """The latest decision counts; one from before the sending is in the sending."""
    case = uuid4()
    life = Life(case, days=2)
    take(app, told(visit(case)), withdrew(case, "ml", 1), *life.letters)
    assert seen(app, life.id)
    take(app, withdrew(case, "ml", 3), agreed(case, "local", 4))
    assert seen(app, life.id)


def test_what_tells_health_closes_with_an_agreement_that_no_longer_says_so(app: App) -> None:
    """By the partner's name or by the need; what tells nothing of it stays open, and so does what is agreed to anew."""
    for need, reveals_health, closes in (
        (Need.LOGEMENT, False, False),
        (Need.LOGEMENT, True, True),
        (Need.DROITS_HANDICAP, False, True),
    ):
        case = uuid4()
        life = Life(case, need=need)
        take(app, told(visit(case)), *life.letters, agreed(case, "local", 1))
        assert (seen(app, life.id, reveals_health=reveals_health) is None) == closes
        take(app, agreed(case, "ml", 2, sensitive=True))
        assert seen(app, life.id, reveals_health=reveals_health)


def test_an_agreement_withdrawn_on_the_joined_case_closes_both(app: App) -> None:
    """A person is one, whichever case the decision was written to."""
    case, other = uuid4(), uuid4()
    life = Life(case)
    take(app, told(visit(case)), *life.letters, told(CasesMerged(case=other, merged=case), 1), withdrew(other, "ml", 2))
    assert seen(app, life.id) is None


def test_nothing_is_shown_of_a_referral_whose_sending_is_not_here_yet(app: App) -> None:
    """Steps may come first; and one about nobody known has no case to show."""
    life = Life(uuid4()).then(events.ReferralReceived, 1, S.RECEIVED)
    take(app, *life.letters[1:])
    assert seen(app, life.id) is None
    unknown = Life(None)
    take(app, *unknown.letters)
    assert seen(app, unknown.id) is None
