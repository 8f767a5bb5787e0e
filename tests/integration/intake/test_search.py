"""A case is found again by its reference or by who the person is; the agent decides."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import uuid4

import pytest

from services.chassis.errors import Rejected
from services.intake import allowances, search, tables
from tests.support.counter import OTHER, SITE, Counter, somebody


def test_a_reference_finds_the_case_at_another_site(counter: Counter) -> None:
    """However it is typed; the other site sees where and in which month she came, and nothing else of her."""
    answer = counter.record(somebody())
    assert answer.reference is not None
    (match,) = counter.found(answer.reference.lower().replace("-", " "), OTHER)
    assert match.model_dump() == {
        "case": answer.case,
        "kind": "reference",
        "why": ["La référence est celle qui est imprimée pour la personne."],
        "sites": [SITE],
        "last_visit": "2026-11",
        "known": False,
    }


def test_wrong_references_look_the_same(counter: Counter) -> None:
    """One with a wrong check character and one that nobody has find nothing, and nothing is logged."""
    reference = counter.record(somebody()).reference
    assert reference is not None
    mistyped = reference[:-1] + ("0" if reference[-1] != "0" else "1")
    assert [counter.found(mistyped), counter.found("0000-0000-0000"), counter.found("?")] == [[], [], []]
    assert counter.rows(tables.accesses) == []


@pytest.mark.parametrize(
    ("sought", "kind", "why"),
    [
        (somebody("LEFEVRE", "amelie"), "exact", "Mêmes nom, prénom et date de naissance."),
        (somebody("Amélie", "Lefèvre"), "exact", "Le nom et le prénom sont intervertis."),
        (somebody("Lefebvre"), "near", "Une lettre diffère ou deux sont interverties dans le nom."),
        (
            somebody("Lefèvre-Morel"),
            "near",
            "Une partie d’un nom composé manque ou a changé de place dans le nom.",
        ),
        (somebody(birth_date="1984-05-16"), "near", "Un chiffre de la date de naissance diffère."),
        (somebody(birth_date="1948-05-17"), "near", "Deux chiffres de la date de naissance sont intervertis."),
    ],
)
def test_a_person_is_found_again(counter: Counter, sought: dict[str, str], kind: str, why: str) -> None:
    """With one slip of the pen at most, and never with the other spelling in the answer."""
    case = counter.opened()
    assert [(match.case, match.kind, match.why) for match in counter.found(sought, OTHER)] == [(case, kind, [why])]


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(somebody(given_name="Aurélie"), id="twin"),
        pytest.param(somebody("Bernard", "Paul", "1980-01-02"), id="same address and phone"),
        pytest.param(somebody(birth_date="1991-12-30"), id="homonym"),
    ],
)
def test_another_person_is_not(counter: Counter, other: dict[str, str]) -> None:
    """A twin, a homonym, somebody who lives at the same address and has the same phone stay another person."""
    phone = {"phone": "01 99 00 12 34"}
    counter.opened(somebody() | phone)
    counter.opened(other | phone)
    assert len(counter.found(other)) == 1


def test_what_was_shown_may_be_named_for_a_day(counter: Counter) -> None:
    """A site that a search has shown a case to may confirm it and name it in a visit; a day later no more."""
    case = counter.opened()
    with pytest.raises(Rejected, match="not-found"):
        search.confirm(case, counter.call(OTHER))
    with pytest.raises(Rejected) as refused:
        counter.record(site=OTHER, case=str(case))
    assert refused.value.errors == [{"pointer": "/case", "detail": "Dossier inconnu."}]
    counter.found(somebody(), OTHER)
    counter.clock.move(hours=24)
    with pytest.raises(Rejected, match="not-found"):
        search.confirm(case, counter.call(OTHER))
    counter.found(somebody(), OTHER)
    assert search.confirm(case, counter.call(OTHER)).case == case
    assert counter.found(somebody(), OTHER)[0].known
    assert counter.record(site=OTHER, case=str(case)).case == case
    counter.clock.move(days=2)
    assert search.confirm(case, counter.call(OTHER)).case == case  # it has been there since
    actions = [(row.case_id, row.org, row.action) for row in counter.rows(tables.accesses)]
    assert actions == [(case, OTHER, one) for one in ("found", "found", "confirmed", "found", "confirmed")]


def test_an_unknown_case_cannot_be_confirmed(counter: Counter) -> None:
    """A case that is not there and another's look the same."""
    with pytest.raises(Rejected) as unknown:
        search.confirm(uuid4(), counter.call())
    case = counter.opened(site=OTHER)
    with pytest.raises(Rejected) as others:
        search.confirm(case, counter.call())
    assert (unknown.value.status, unknown.value.detail) == (others.value.status, others.value.detail)


def test_searches_are_limited(counter: Counter) -> None:
    """Twenty at once an agent, found or not, then one each three seconds; another site's go on."""
    counter.opened()
    for _ in range(search.PER_AGENT.most):
        counter.found(somebody("Nobody"))
    with pytest.raises(Rejected) as refused:
        counter.found(somebody())
    assert (refused.value.status, refused.value.headers) == (429, {"Retry-After": "3"})
    assert len(counter.found(somebody(), OTHER)) == 1
    counter.clock.move(seconds=3)
    assert len(counter.found(somebody())) == 1


def test_searches_at_once_are_all_counted(counter: Counter) -> None:
    """However many are sent at the same time, and whichever replica they reach."""

    def passed(_number: int) -> bool:
        try:
            counter.found(somebody("Nobody"))
        except Rejected:
            return False
        return True

    with ThreadPoolExecutor(10) as pool:
        assert sum(pool.map(passed, range(2 * search.PER_AGENT.most))) == search.PER_AGENT.most


def test_who_no_longer_searches_is_forgotten(counter: Counter) -> None:
    """An agent's name does not stay for having searched once; who just did has spent as much as before."""
    counter.found(somebody(), OTHER)
    counter.clock.move(days=2)
    counter.found(somebody())
    assert allowances.drop_unused(counter.app) == 2
    assert {row.who for row in counter.rows(tables.allowances)} == {f"site/{SITE}", f"agent/{SITE}/agent:{SITE}"}


def test_wrong_references_are_limited_more(counter: Counter) -> None:
    """Ten wrong ones at once, then one a minute; right ones cost nothing of it."""
    reference = counter.record(somebody()).reference
    assert reference is not None
    for _ in range(search.WRONG_REFERENCES.most):
        counter.clock.move(seconds=1)
        assert counter.found(reference)
        assert not counter.found("0000-0000-0000")
        counter.clock.move(seconds=3)
    with pytest.raises(Rejected) as refused:
        counter.found(reference)
    assert refused.value.headers == {"Retry-After": "21"}


def test_joined_cases_are_shown_once(counter: Counter) -> None:
    """As the one that they are read with, with the sites and the last month of both."""
    first = counter.opened()
    counter.clock.move(days=40)
    second = counter.opened(somebody("Lefebvre"), site=OTHER)
    counter.found(somebody("Lefebvre"))
    search.confirm(second, counter.call())
    counter.merged(first, second)
    (match,) = counter.found(somebody("LEFEBVRE"))
    assert (match.case, match.kind, match.sites, match.last_visit) == (first, "exact", [SITE, OTHER], "2026-12")


def test_possible_matches_are_exact_and_counted_once(counter: Counter) -> None:
    """A visit's answer says how many cases have these names, in whichever field, and this birth date, anywhere."""
    first, second = counter.opened(), counter.opened(somebody("Amélie", "LEFEVRE"))
    assert counter.record(somebody()).possible_matches == 2
    counter.merged(first, second)
    assert counter.record(somebody("Lefebvre")).possible_matches == 0
    assert counter.record(somebody()).possible_matches == 2


def test_the_last_contact_moves_forward_only(counter: Counter) -> None:
    """With each visit of the case, in Paris days; one that is recorded late does not set it back."""
    case = counter.opened()
    (opened,) = counter.rows(tables.cases, id=case)
    counter.clock.move(days=10)
    counter.record(case=str(case))
    late = (counter.clock.now() - timedelta(days=5)).isoformat()
    counter.record(case=str(case), occurred_at=late)
    (row,) = counter.rows(tables.cases, id=case)
    assert (str(opened.last_contact_on), str(row.last_contact_on)) == ("2026-11-20", "2026-11-30")
