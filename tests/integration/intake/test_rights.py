"""What a person may have seen and put right, on a real PostgreSQL."""

from concurrent.futures import ThreadPoolExecutor
from datetime import date
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import Executable, delete, exc, update

from services.chassis.errors import Rejected
from services.intake import agreements, rights, stories
from services.intake.case_forms import AgreementPut, StoryPut
from services.intake.decided import standing_of, standings_of
from services.intake.forms import PersonForm
from services.intake.tables import accesses, visits
from services.intake.tables import agreements as table
from tests.support import readers
from tests.support.counter import OTHER, SITE, Counter, somebody
from tests.support.readers import HELPS, STORY


def test_who_looked_is_told_newest_first_in_french(counter: Counter) -> None:
    """By the names of the network's files, with the referral by which a partner read; then this look is logged, too."""
    case, visit = readers.told_by(counter)
    readers.agree(counter, case, "local")
    sent = readers.sending(case, visit)
    readers.hear(counter, sent)
    counter.clock.move(minutes=1)
    readers.reading(counter, sent.referral_id)
    told = rights.accesses_of(case, counter.call()).accesses
    assert [(one.name, one.label, one.referral_id) for one in told] == [
        ("Mission locale du Santerre", "a lu le récit", sent.referral_id),
        ("France services Moreuil", "a noté un accord", None),
    ]
    assert rights.accesses_of(case, counter.call()).accesses[0].action == "accesses-read"


def test_every_action_that_is_logged_has_its_words() -> None:
    """No English code in what the person is handed."""
    assert all(label.startswith("a ") for label in rights.ACTION_LABELS.values())


@pytest.mark.parametrize("statement", [update(accesses).values(org="nobody"), delete(accesses)])
def test_the_log_only_grows(counter: Counter, statement: Executable) -> None:
    """PostgreSQL itself refuses to change or delete what was logged."""
    case, _ = readers.told_by(counter)
    stories.of_case(case, counter.call())
    with pytest.raises(exc.DBAPIError) as refused, counter.app.work() as work:
        work.execute(statement)
    assert isinstance(refused.value.orig, psycopg.errors.RaiseException)
    assert len(counter.rows(accesses)) == 1


def test_an_identity_put_right_is_found_by_its_new_spelling(counter: Counter) -> None:
    """And not by the old one; the story shows it, the log says who did it."""
    case, _ = readers.told_by(counter)
    form = PersonForm.model_validate({**somebody("Lefebvre", "Zoé", "1984-05-18"), "email": "zoe@exemple.fr"})
    assert rights.correct_person(case, form, counter.call()).birth_date == date(1984, 5, 18)
    assert [one.kind for one in counter.found(somebody("Lefebvre", "Zoé", "1984-05-18"))] == ["exact"]
    assert all(one.kind != "exact" for one in counter.found(somebody("Lefèvre", "Zoé", "1984-05-17")))
    assert stories.of_case(case, counter.call()).person.email == "zoe@exemple.fr"
    assert counter.rows(accesses, action="person-corrected")


def test_who_turns_out_to_be_a_child_has_agreed_to_nothing_alone(counter: Counter) -> None:
    """A birth date put right to under 15 on the day of agreeing: withdrawn, told, logged; a guardian's yes stands."""
    case = counter.opened(somebody(birth_date="2000-05-17"), agreement={"recipients": ["operator"]})
    agreements.give(case, "local", AgreementPut(), counter.call())
    agreements.give(case, "state", AgreementPut(by="guardian"), counter.call())
    counter.clock.move(days=30)
    for birth_date, ended in (("2011-11-20", set()), ("2011-12-19", {"local", "operator"})):
        form = PersonForm.model_validate(somebody(birth_date=birth_date))
        rights.correct_person(case, form, counter.call())
        told = [event.data for event in counter.told("AgreementWithdrawn")]
        assert {(one["recipient"], one["reason"]) for one in told} == {(each, "withdrawn") for each in ended}
        assert len(counter.rows(accesses, action="agreement-withdrawn")) == bool(ended)
    with counter.app.read() as connection:
        standing = standing_of(connection, case)
    assert [readers.agrees(standing, [name]) for name in ("local", "operator", "state")] == [False, False, True]


def test_an_agreement_and_a_birth_date_put_right_at_once(counter: Counter) -> None:
    """Whichever comes first: a visit that is being recorded is waited for, and what it noted is withdrawn."""
    case = counter.opened(somebody(birth_date="2000-05-17"))
    form = PersonForm.model_validate(somebody(birth_date="2014-05-17"))
    with ThreadPoolExecutor(1) as pool:
        with counter.app.work() as work:
            standings_of(work.connection, [case], hold=True)  # as each batch of visits does
            corrected = pool.submit(rights.correct_person, case, form, counter.call())
            with pytest.raises(TimeoutError):
                corrected.result(timeout=0.5)
            work.insert(
                table, case_id=case, recipient="local", sensitive=False, given_at=work.now, form="oral", by="person"
            )
        corrected.result(timeout=10)
    assert [row.withdrawn_for for row in counter.rows(table)] == ["withdrawn"]


def test_a_story_put_right_by_its_own_site(counter: Counter) -> None:
    """Its notes stay; partners read the new one; the same visit sent again is still the same."""
    body = counter.body(somebody(), story=STORY, needs=[{"code": "logement", "outcome": "resolved", "note": "Bail."}])
    case = counter.record(**body).case
    visit = body["visit_id"]
    assert case is not None
    view = rights.correct_story(visit, StoryPut(story="Il a quitté le lycée."), counter.call())
    assert [one.text for one in view.stories] == ["Il a quitté le lycée."]
    assert [one.text for one in view.notes] == ["Bail."]
    assert counter.record(**body).case == case
    assert len(counter.rows(visits)) == 1
    assert counter.rows(accesses, action="story-corrected")


def test_nobody_else_puts_a_story_right(counter: Counter) -> None:
    """Another site, though it knows the case; a visit without a story; one that is not there: one refusal."""
    case, visit = readers.told_by(counter)
    silent = counter.record(case=case).visit_id
    counter.found({"family_name": "Lefèvre", "given_name": "Zoé", "birth_date": "1984-05-17"}, OTHER)
    counter.record(case=case, site=OTHER)
    for site, wanted in ((OTHER, visit), (SITE, silent), (SITE, uuid4())):
        with pytest.raises(Rejected) as refused:
            rights.correct_story(wanted, StoryPut(story="Autre chose."), counter.call(site))
        assert refused.value.status == 404
    assert [one.text for one in stories.of_case(case, counter.call()).stories] == [STORY]


def test_a_site_that_does_not_know_the_case_has_no_rights_over_it(counter: Counter) -> None:
    """Neither sees who looked nor puts anything right."""
    case, _ = readers.told_by(counter)
    form = PersonForm.model_validate(somebody())
    for work in (
        lambda: rights.accesses_of(case, counter.call(OTHER)),
        lambda: rights.correct_person(case, form, counter.call(HELPS)),
    ):
        with pytest.raises(Rejected) as refused:
            work()
        assert refused.value.status == 404
