"""Who may read what, cell by cell, on a real PostgreSQL: exactly the allowed cells. Roles are tried in e2e."""

from collections.abc import Callable, Iterator
from itertools import product
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.chassis.errors import Rejected
from services.contracts.codes import Category, Need, ReferralState
from services.intake import agreements, erasing, exporting, joining, rights, search, stories
from services.intake.case_forms import AgreementPut, StoryPut
from services.intake.forms import PersonForm
from tests.support import readers
from tests.support.counter import OTHER, SITE, Counter
from tests.support.readers import ELSE, HELPS

S = ReferralState
OPEN = {S.SENT, S.RECEIVED, S.ACCEPTED, S.IN_PROGRESS, S.ON_HOLD}
PLAIN, HEALTH = Need.LOGEMENT, Need.DROITS_HANDICAP
PERSON = {"family_name": "Lefèvre", "given_name": "Zoé", "birth_date": "1984-05-17"}
Decide = Callable[[Counter, UUID], None]


def given(to: str, *, sensitive: bool = False) -> Decide:
    """The person agrees."""
    return lambda counter, case: readers.agree(counter, case, to, sensitive=sensitive)


def withdrawn(to: str) -> Decide:
    """The person agrees no more."""

    def decide(counter: Counter, case: UUID) -> None:
        counter.clock.move(minutes=1)
        agreements.withdraw(case, to, counter.call())

    return decide


def stopped(kind: str) -> Decide:
    """The person objects, or has it restricted."""

    def decide(counter: Counter, case: UUID) -> None:
        counter.clock.move(minutes=1)
        agreements.stop(case, kind, counter.call())

    return decide


def resumed(kind: str) -> Decide:
    """And not any more."""

    def decide(counter: Counter, case: UUID) -> None:
        counter.clock.move(minutes=1)
        agreements.resume(case, kind, counter.call())

    return decide


def erased(counter: Counter, case: UUID) -> None:
    """The case is forgotten."""
    erasing.erase(case, counter.call())


# What the person decided, in order; and of which needs' referrals the addressed partner may read the story then.
CONSENTS: dict[str, tuple[tuple[Decide, ...], set[Need]]] = {
    "none": ((), set()),
    "to another": ((given(ELSE, sensitive=True),), set()),
    "to its category": ((given("local"),), {PLAIN}),
    "to its category, health too": ((given("local", sensitive=True),), {PLAIN, HEALTH}),
    "to it": ((given(HELPS),), {PLAIN}),
    "to it, health too": ((given(HELPS, sensitive=True),), {PLAIN, HEALTH}),
    "withdrawn": ((given("local", sensitive=True), withdrawn("local")), set()),
    "to its category, withdrawn from it": ((given("local"), given(HELPS), withdrawn(HELPS)), set()),
    "withdrawn from its category, then to it": ((given("local"), withdrawn("local"), given(HELPS)), {PLAIN}),
    "given again": ((given(HELPS), withdrawn(HELPS), given(HELPS, sensitive=True)), {PLAIN, HEALTH}),
    "given again without health": ((given(HELPS, sensitive=True), withdrawn(HELPS), given(HELPS)), {PLAIN}),
    "objection": ((given(HELPS, sensitive=True), stopped("objection")), set()),
    "restriction": ((given(HELPS, sensitive=True), stopped("restriction")), set()),
    "objection ended": ((given(HELPS), stopped("objection"), resumed("objection")), set()),
    "objection ended, given again": (
        (given(HELPS), stopped("objection"), resumed("objection"), given(HELPS)),
        {PLAIN},
    ),
    "erased": ((given(HELPS, sensitive=True), erased), set()),
}
# Whoever asks with a referral's number: the addressed partner, others, a site; `role` is what the token says.
ASKING = {
    "addressed": (HELPS, "partner"),
    "another": (ELSE, "partner"),
    "another of its category": ("cap-emploi-80", "partner"),
    "the site": (SITE, "agent"),
}


def referrals_in_every_state(counter: Counter, case: UUID, visit: UUID, need: Need) -> Iterator[tuple[str, UUID]]:
    """One in each state, those that intake has not heard of or only half, and one toward the site."""
    sent = readers.sending(case, visit, need=need)
    yield "not heard of", sent.referral_id
    readers.hear(counter, readers.step(readers.sending(case, visit), S.ACCEPTED))
    half = readers.sending(case, visit, need=need)
    readers.hear(counter, readers.step(half, S.RECEIVED))
    yield "its sending not heard of", half.referral_id
    for state in S:
        one = readers.sending(case, visit, need=need)
        readers.hear(counter, *([one] if state is S.SENT else [one, readers.step(one, state)]))
        yield state.value, one.referral_id
    toward = readers.sending(case, visit, need=need).model_copy(
        update={"partner": SITE, "category": Category.SITE, "sender": HELPS}
    )
    readers.hear(counter, toward)
    yield "toward a site", toward.referral_id


def test_a_story_by_its_referral(counter: Counter, tell: Callable[[str], None]) -> None:
    """Reader, state, consent, need: the addressed partner, while it is open, within what was agreed to."""
    cells = allowed = 0
    wrong = []
    for (consent, (decisions, needs)), need in product(CONSENTS.items(), (PLAIN, HEALTH)):
        case, visit = readers.told_by(counter)
        asked = list(referrals_in_every_state(counter, case, visit, need))
        for decide in decisions:
            decide(counter, case)
        for (state, referral), (who, (org, role)) in product(asked, ASKING.items()):
            wanted = who == "addressed" and state in OPEN and need in needs
            view = stories.entitled(referral, readers.asked_by(counter, org, role))
            cells, allowed = cells + 1, allowed + (view is not None)
            if wanted != (view is not None):
                wrong.append((consent, need, state, who))
    assert not wrong, wrong
    tell(f"stories by referral: {cells} cells, {allowed} allowed")
    assert (cells, allowed) == (16 * 2 * 15 * 4, (8 + 3) * len(OPEN))


def person_of(_counter: Counter, _case: UUID) -> PersonForm:
    """An identity put right."""
    return PersonForm.model_validate(PERSON)


ANY_FORMAT: Any = SimpleNamespace(accept="*/*", query=lambda form: form())
Purpose = Callable[[Counter, UUID, UUID, str], Any]
# What an agent does to a case, and who of those below may: who saw the person, who said that it is this one, who found.
PURPOSES: dict[str, tuple[Purpose, set[str]]] = {
    "story": (lambda c, case, _visit, site: stories.of_case(case, c.call(site)), {"knows", "confirmed"}),
    "agreements": (lambda c, case, _visit, site: agreements.listed(case, c.call(site)), {"knows", "confirmed"}),
    "agree": (
        lambda c, case, _visit, site: agreements.give(case, "local", AgreementPut(), c.call(site)),
        {"knows", "confirmed"},
    ),
    "withdraw": (lambda c, case, _visit, site: agreements.withdraw(case, ELSE, c.call(site)), {"knows", "confirmed"}),
    "object": (lambda c, case, _visit, site: agreements.stop(case, "objection", c.call(site)), {"knows", "confirmed"}),
    "accesses": (lambda c, case, _visit, site: rights.accesses_of(case, c.call(site)), {"knows", "confirmed"}),
    "export": (lambda c, case, _visit, site: exporting.export(case, ANY_FORMAT, c.call(site)), {"knows", "confirmed"}),
    "correct the person": (
        lambda c, case, _visit, site: rights.correct_person(case, person_of(c, case), c.call(site)),
        {"knows", "confirmed"},
    ),
    "correct the story": (
        lambda c, _case, visit, site: rights.correct_story(visit, StoryPut(story="Ceci."), c.call(site)),
        {"knows"},
    ),
    "erase": (lambda c, case, _visit, site: erasing.erase(case, c.call(site)), {"knows", "confirmed"}),
    "merge": (
        lambda c, case, _visit, site: joining.merge(case, c.opened(site=site), c.call(site)),
        {"knows", "confirmed"},
    ),
    "confirm": (lambda c, case, _visit, site: search.confirm(case, c.call(site)), {"knows", "confirmed", "found"}),
    "name in a visit": (
        lambda c, case, _visit, site: c.record(case=case, site=site),
        {"knows", "confirmed", "found"},
    ),
}


def prepared(counter: Counter, reader: str) -> tuple[UUID, UUID, str]:
    """A case, its first visit, and the site of a reader who came to know of it in this way."""
    case, visit = readers.told_by(counter)
    readers.agree(counter, case, ELSE)
    if reader == "knows":
        return case, visit, SITE
    if reader in {"found", "confirmed"}:
        reference = counter.record(case=case).reference
        assert reference
        assert [one.case for one in counter.found(reference, OTHER)] == [case]
    if reader == "confirmed":
        search.confirm(case, counter.call(OTHER))
    if reader == "erased":
        erasing.erase(case, counter.call())
        return case, visit, SITE
    return (uuid4(), uuid4(), SITE) if reader == "never there" else (case, visit, OTHER)


@pytest.mark.parametrize("reader", ["knows", "confirmed", "found", "another", "erased", "never there"])
def test_what_an_agent_may_do_to_a_case(counter: Counter, reader: str, tell: Callable[[str], None]) -> None:
    """Purpose by purpose; who may not is told the same as of a case that is not there."""
    done = {}
    for purpose, (work, allowed) in PURPOSES.items():
        case, visit, site = prepared(counter, reader)
        status = 200
        try:
            work(counter, case, visit, site)
        except Rejected as refused:
            status = refused.status
        done[purpose] = status == 200
        refusal = 422 if purpose == "name in a visit" else 404
        assert status == (200 if reader in allowed else refusal), purpose
    tell(f"an agent ({reader}): {len(done)} cells, {sum(done.values())} allowed")


def test_who_found_it_a_day_ago_has_to_search_again(counter: Counter) -> None:
    """What a search showed is good for 24 hours, and so is what an agent said of it."""
    case, _, site = prepared(counter, "confirmed")
    counter.clock.move(hours=23)
    assert stories.of_case(case, counter.call(site)).stories
    counter.clock.move(hours=2)
    with pytest.raises(Rejected):
        stories.of_case(case, counter.call(site))
