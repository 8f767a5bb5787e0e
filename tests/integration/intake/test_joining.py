"""Two cases of one person are joined and parted: a trail is left, and nothing else is changed."""

from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid4

import pytest

from services.chassis.errors import Rejected
from services.intake import search
from services.intake.tables import accesses, agreements, cases, merges
from tests.support.counter import OTHER, SITE, Counter, somebody

_ANY = {"family_name": "Petit", "birth_date": "1970-02-03"}


def three(counter: Counter) -> tuple[UUID, UUID, UUID]:
    """Cases of one site, the oldest first."""
    found = []
    for given_name in ("Marie", "Maria", "Marion"):
        found.append(counter.opened(_ANY | {"given_name": given_name}))
        counter.clock.move(minutes=1)
    return found[0], found[1], found[2]


def groups(counter: Counter) -> dict[UUID, UUID | None]:
    """Which case is read with which."""
    return {row.id: row.merged_into for row in counter.rows(cases)}


def told(counter: Counter) -> list[tuple[str, str, str, bool]]:
    """What every service hears of it."""
    return [
        (event.type.split(".")[2], event.data["case"], event.data["merged"], event.data["retold"])
        for event in counter.told("CasesMerged", "CasesUnmerged")
    ]


def test_the_older_case_is_read_with_the_other(counter: Counter) -> None:
    """Whichever of them is named first; asked again the answer is the same, and nothing is told twice."""
    old, new, _ = three(counter)
    once = counter.merged(new, old)
    assert (once.case, once.merged, once.joined) == (old, new, True)
    assert [counter.merged(new, old), counter.merged(old, new)] == [once, once]
    assert groups(counter)[new] == old
    assert told(counter) == [("CasesMerged", str(old), str(new), False)]
    (trail,) = counter.rows(merges)
    assert (trail.case_id, trail.merged, trail.org, trail.subject, trail.undone_at) == (
        old, new, SITE, f"agent:{SITE}", None,
    )  # fmt: skip
    assert [(row.case_id, row.action) for row in counter.rows(accesses)] == [(old, "merged"), (new, "merged")]


def test_groups_are_joined_and_parted_as_they_were(counter: Counter) -> None:
    """A group joined to an older case follows it, and is itself again when that is taken back."""
    old, middle, new = three(counter)
    counter.merged(middle, new)
    before = groups(counter)
    assert counter.merged(new, old).case == old
    assert groups(counter) == {old: None, middle: old, new: old}
    parted = counter.parted(old, middle)
    assert (parted.case, parted.merged, parted.joined) == (old, middle, False)
    assert groups(counter) == before
    assert told(counter) == [
        ("CasesMerged", str(middle), str(new), False),
        ("CasesMerged", str(old), str(middle), False),
        ("CasesMerged", str(old), str(new), False),
        ("CasesUnmerged", str(old), str(middle), False),
        ("CasesMerged", str(middle), str(new), False),
    ]


def test_a_member_leaves_alone(counter: Counter) -> None:
    """What was joined to it later stays where it is; the trail says who took it back."""
    old, middle, new = three(counter)
    counter.merged(old, middle)
    counter.merged(old, new)
    counter.parted(middle, old)
    assert groups(counter) == {old: None, middle: None, new: old}
    trail = {row.merged: row.undone_by for row in counter.rows(merges)}
    assert trail == {middle: f"{SITE}/agent:{SITE}", new: None}
    assert counter.parted(middle, old).joined is False  # asked again
    stranger = counter.opened()
    with pytest.raises(Rejected) as refused:
        counter.parted(middle, stranger)
    assert refused.value.status == 409


def test_only_what_the_site_knows_is_joined(counter: Counter) -> None:
    """Another site's case once an agent has said whose it is, not when a search has only shown it; else as unknown."""
    mine = counter.opened(somebody())
    others = counter.opened(somebody("Lefebvre"), site=OTHER)
    with pytest.raises(Rejected, match="invalid"):
        counter.merged(mine, mine)
    counter.found(somebody("Lefebvre"))
    for act in (counter.merged, counter.parted):
        for pair in ((mine, others), (others, mine), (mine, uuid4())):
            with pytest.raises(Rejected, match="not-found"):
                act(*pair)
    search.confirm(others, counter.call())
    assert counter.merged(mine, others).joined


def test_a_story_told_twice_is_said(counter: Counter) -> None:
    """Where both had one the person has told it again; not where one had none."""
    one, other = (counter.opened(somebody(), story="Elle cherche un logement.") for _ in range(2))
    silent = counter.opened(somebody())
    counter.merged(one, silent)
    counter.merged(one, other)
    assert [retold for *_, retold in told(counter)] == [False, True]


def test_a_visit_of_a_joined_case_is_recorded_under_the_one_that_it_names(counter: Counter) -> None:
    """With that one's reference, agreement and last contact; only that a story was told again is said of both."""
    old = counter.record(_ANY | {"given_name": "Marie"}, story="Elle cherche un logement.")
    counter.clock.move(minutes=1)
    new = counter.record(_ANY | {"given_name": "Maria"})
    assert old.case is not None
    assert new.case is not None
    counter.merged(old.case, new.case)
    counter.clock.move(days=1)
    answer = counter.record(case=str(new.case), story="Et du travail.", agreement={"recipients": ["local"]})
    assert (answer.case, answer.reference) == (new.case, new.reference)
    told = counter.told("VisitRecorded")[-1].data
    assert (told["case"], told["agreed"], told["retold"]) == (str(new.case), ["local"], True)
    assert [row.case_id for row in counter.rows(agreements)] == [new.case]
    contacts = {row.id: str(row.last_contact_on) for row in counter.rows(cases)}
    assert contacts == {old.case: "2026-11-20", new.case: "2026-11-21"}


def test_two_agents_at_once_make_one_group(counter: Counter) -> None:
    """Of joinings in both directions, and round in a circle, one head is left and nothing is joined twice."""
    old, middle, new = three(counter)
    pairs = [(old, middle), (middle, old), (middle, new), (new, old), (new, middle), (old, new)] * 3
    with ThreadPoolExecutor(len(pairs)) as pool:
        list(pool.map(lambda pair: counter.merged(*pair), pairs))
    assert groups(counter) == {old: None, middle: old, new: old}
    assert len(counter.rows(merges)) == 2
