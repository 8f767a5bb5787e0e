"""To whom a person agrees, over its life at several counters: the last decision counts, and each is written down."""

from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import event as sql

from services.chassis.errors import Rejected
from services.chassis.tokens import Caller
from services.contracts.codes import Category
from services.intake import agreements, handlers
from services.intake.decided import standing_of
from services.intake.forms import VisitForm
from services.intake.tables import accesses
from services.intake.tables import agreements as table
from tests.support import readers
from tests.support.counter import OTHER, SITE, Counter, somebody
from tests.support.decisions import agreed, agreement, delete, given, put, yeses
from tests.support.office import TRACE

HELPS, THEN = "mission-locale-santerre", "france-travail"
CHILD = somebody(birth_date="2013-05-17")


def actions(counter: Counter) -> list[str]:
    """What the log says was done to agreements."""
    rows = sorted(counter.rows(accesses), key=lambda row: row.number)
    return [row.action for row in rows if row.action not in {"found", "confirmed", "merged"}]


def refused(counter: Counter, case: UUID, recipient: str = HELPS, **form: Any) -> tuple[int, str]:  # noqa: ANN401
    """(status, pointer) of an agreement that is not taken."""
    with pytest.raises(Rejected) as caught:
        put(counter, case, recipient, **form)
    return caught.value.status, caught.value.errors[0]["pointer"] if caught.value.errors else ""


def test_an_agreement_is_given_listed_and_withdrawn(counter: Counter) -> None:
    """Each step once, however often it is asked for: in the log, as an event, with its moment and its basis."""
    case = counter.opened(agreement=agreement("operator"))
    view = put(counter, case, HELPS, sensitive=True, form="written")
    assert put(counter, case, HELPS, sensitive=True, form="written") == view
    shown = {each.recipient: each for each in view.agreements}
    assert (shown[HELPS].name, shown[HELPS].basis) == ("Mission locale du Santerre", "mission")
    assert (shown["operator"].name, shown["operator"].basis) == ("Opérateur", None)
    counter.clock.move(minutes=5)
    after = delete(counter, case, HELPS)
    assert delete(counter, case, HELPS) == after == agreements.listed(case, counter.call())
    assert given(after) == {"operator": True, HELPS: False}
    (row,) = (each for each in after.agreements if each.recipient == HELPS)
    assert (row.withdrawn_for, row.withdrawn_at, row.form) == ("withdrawn", counter.clock.now(), "written")
    assert actions(counter) == ["agreement-given", "agreement-withdrawn", "agreements-read"]
    (yes,), (no,) = yeses(counter), counter.told("AgreementWithdrawn")
    assert yes[:3] == (case, HELPS, True)
    assert (no.data["recipient"], no.data["reason"]) == (HELPS, "withdrawn")
    assert datetime.fromisoformat(no.data["at"]) > yes[3]


def test_a_refusal_counts_against_the_category(counter: Counter) -> None:
    """What was never agreed to can be refused: the person says yes to all of a category but one."""
    case = counter.opened(agreement=agreement("operator"))
    view = delete(counter, case, THEN)
    assert next(each.given_at for each in view.agreements if each.recipient == THEN) is None
    with counter.app.read() as connection:
        standing = standing_of(connection, case)
    assert readers.agrees(standing, ("cpam", "operator"))
    assert not readers.agrees(standing, (THEN, "operator"))
    put(counter, case, "operator")
    with counter.app.read() as connection:
        assert readers.agrees(standing_of(connection, case), (THEN, "operator"))
    delete(counter, case, THEN)  # said before, and agreed to since: it is said anew
    assert len(counter.told("AgreementWithdrawn")) == 2


def test_what_is_not_taken(counter: Counter) -> None:
    """An unknown recipient, a time to come or long before the first visit, what was decided since; 404 elsewhere."""
    case, now = counter.opened(), counter.clock.now()
    assert refused(counter, case, "mission-lokale") == (422, "/recipient")
    assert refused(counter, case, given_at=(now + timedelta(minutes=6)).isoformat()) == (422, "/given_at")
    assert refused(counter, case, given_at=(now - timedelta(days=32)).isoformat()) == (422, "/given_at")
    put(counter, case, HELPS, given_at=(now - timedelta(days=30)).isoformat())
    delete(counter, case, HELPS)
    assert refused(counter, case, given_at=now.isoformat()) == (409, "")
    with pytest.raises(Rejected) as caught:
        delete(counter, case, "mission-lokale")
    assert caught.value.status == 422
    call = counter.call(OTHER)
    for ask in (
        partial(put, counter, case, HELPS, OTHER),
        partial(delete, counter, case, HELPS, OTHER),
        partial(agreements.listed, case, call),
        partial(agreements.stop, case, "objection", call),
        partial(agreements.resume, case, "objection", call),
        partial(delete, counter, uuid4(), HELPS),
    ):
        with pytest.raises(Rejected) as caught:
            ask()
        unknown = "Aucun dossier de ce numéro n’est connu de votre site."
        assert (caught.value.status, caught.value.detail) == (404, unknown)


def test_an_objection_ends_every_agreement(counter: Counter) -> None:
    """One withdrawal for each category, and for each partner agreed to; no agreement is noted until it is lifted.

    A visit meanwhile tells of none, and lifting gives none back.
    """
    case = counter.opened(agreement=agreement("operator", HELPS))
    for kind, label in (("objection", "oppose"), ("restriction", "limitation")):
        view = agreements.stop(case, kind, counter.call())
        assert agreements.stop(case, kind, counter.call()) == view
        assert (view.objected, view.restricted) == (kind == "objection", kind == "restriction")
        assert set(given(view).values()) == {False}
        told = [event.data for event in counter.told("AgreementWithdrawn") if event.data["reason"] == kind]
        assert {each["recipient"] for each in told} == {*Category, HELPS}
        with pytest.raises(Rejected) as caught:
            put(counter, case, HELPS)
        assert caught.value.status == 409
        assert label in caught.value.detail
        counter.clock.move(minutes=1)
        counter.record(case=str(case), agreement=agreement("operator", HELPS))
        assert agreed(counter)[-1] == []
        counter.clock.move(minutes=1)
        view = agreements.resume(case, kind, counter.call())
        assert agreements.resume(case, kind, counter.call()) == view
        assert (view.objected, view.restricted, set(given(view).values())) == (False, False, {False})
        assert given(put(counter, case, HELPS))[HELPS]
        put(counter, case, "operator")
        counter.clock.move(minutes=1)
    steps = ["agreement-given", "agreement-given"]
    assert actions(counter) == ["objection", "objection-ended", *steps, "restriction", "restriction-ended", *steps]


def test_a_withdrawal_is_later_than_a_visit_whose_clock_was_ahead(counter: Counter) -> None:
    """Terminals may be five minutes ahead: whoever compares moments must still find the withdrawal the latest."""
    ahead = counter.clock.now() + timedelta(minutes=4)
    case = counter.opened(occurred_at=ahead.isoformat(), agreement=agreement(HELPS))
    delete(counter, case, HELPS)
    put(counter, case, HELPS)
    (no,), (yes,) = counter.told("AgreementWithdrawn"), counter.told("AgreementGiven")
    assert ahead.isoformat() < no.data["at"] < yes.data["at"]
    assert given(agreements.listed(case, counter.call()))[HELPS]


def test_before_fifteen_a_guardian_agrees(counter: Counter) -> None:
    """At a visit, live or of history, whether the person comes with it or is known; and afterwards."""
    alone, together = agreement(HELPS), agreement(HELPS, by="guardian")
    for mode in ("live", "history"):
        with pytest.raises(Rejected) as caught:
            counter.record(CHILD, mode=mode, agreement=alone)
        (problem,) = caught.value.errors
        assert problem["pointer"] == "/agreement/by"
        assert "loi 78-17, art. 45" in problem["detail"]
    counter.record(CHILD, agreement=agreement())  # to nobody: nothing to agree to
    case = counter.opened(CHILD, agreement=together)
    for band in ("<16", "unknown"):
        with pytest.raises(Rejected):
            counter.record(case=str(case), age_band=band, agreement=alone)
    counter.record(case=str(case), age_band="<16", agreement=together)
    assert refused(counter, case) == (422, "/by")
    assert next(each.by for each in put(counter, case, HELPS, by="guardian").agreements) == "guardian"
    grown = counter.opened(somebody(birth_date="2011-11-20"), agreement=alone)
    assert given(agreements.listed(grown, counter.call())) == {HELPS: True}


@pytest.mark.parametrize(
    ("person", "band"),
    [
        pytest.param(None, "30-54", id="another age band"),
        pytest.param(somebody("Lefèvre", "Sa mère", "1980-01-02"), "unknown", id="an adult who came with it"),
    ],
)
def test_what_a_visit_says_does_not_make_a_child_older(
    counter: Counter, person: dict[str, Any] | None, band: str
) -> None:
    """Whoever is named beside the case: of the stored and the told birth date the younger decides."""
    case, grown = counter.opened(CHILD), counter.opened()
    for named, told in ((case, person), (grown, CHILD)):
        with pytest.raises(Rejected) as caught:
            counter.record(told, case=str(named), age_band=band if named == case else "<16", agreement=agreement(HELPS))
        assert [problem["pointer"] for problem in caught.value.errors] == ["/agreement/by"]
    assert counter.rows(table) == []
    counter.record(person, case=str(case), age_band=band, agreement=agreement(HELPS, by="guardian"))
    counter.record(person, case=str(case), age_band=band)
    assert [row.by for row in counter.rows(table)] == ["guardian"]


def test_a_stranger_does_not_learn_that_it_is_a_child(counter: Counter) -> None:
    """Who may not name the case is told that alone, also in one batch with who may."""
    case = counter.opened(CHILD)
    bodies = [counter.body(case=str(case), site=site, agreement=agreement(HELPS)) for site in (SITE, OTHER)]
    forms = [VisitForm.model_validate(body) for body in bodies]
    posted = [handlers.Posted(form, Caller("site", form.site, f"site:{form.site}"), TRACE) for form in forms]
    results = handlers.record_visits(posted, counter.app, counter.network)
    assert [[one["pointer"] for one in result.errors] for result in results if isinstance(result, Rejected)] == [
        ["/agreement/by"],
        ["/case"],
    ]


@pytest.mark.parametrize(("by", "asked"), [("person", 1), ("guardian", 0)])
def test_birth_dates_are_asked_for_once_a_batch(counter: Counter, by: str, asked: int) -> None:
    """However many cases are named, and only where the person alone agrees."""
    named = [counter.opened(somebody("Martin", f"Paul{'a' * number}")) for number in range(4)]
    bodies = [counter.body(case=str(case), agreement=agreement(HELPS, by=by)) for case in named]
    posted = [
        handlers.Posted(VisitForm.model_validate(body), Caller("site", SITE, f"site:{SITE}"), TRACE) for body in bodies
    ]
    said: list[str] = []
    listener = lambda *told: said.append(told[2])  # noqa: E731 - SQLAlchemy tells the statement third
    sql.listen(counter.app.database.engine, "before_cursor_execute", listener)
    handlers.record_visits(posted, counter.app, counter.network)
    sql.remove(counter.app.database.engine, "before_cursor_execute", listener)
    assert sum("identity_sealed" in statement.partition("FROM")[0] for statement in said) == asked
