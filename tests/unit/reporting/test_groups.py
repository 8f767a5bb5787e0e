"""Which cases are one person's: whatever order the joinings were heard in."""

from datetime import UTC, datetime, timedelta
from itertools import permutations
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from services.reporting.domain.groups import Group, Link, group_of

NOON = datetime(2026, 11, 20, 11, 0, tzinfo=UTC)
A, B, C, D = (UUID(int=number) for number in (1, 2, 3, 4))


def joined(head: UUID, other: UUID, hours: float) -> Link:
    """One case is read with another from then on."""
    return Link(head, other, NOON + timedelta(hours=hours), joined=True)


def parted(head: UUID, other: UUID, hours: float) -> Link:
    """From then on no more."""
    return Link(head, other, NOON + timedelta(hours=hours), joined=False)


def test_a_case_alone_is_its_own_group() -> None:
    """Most are."""
    assert group_of(A, []) == Group(A, frozenset({A}))


def test_any_member_leads_to_the_whole_group() -> None:
    """Two were joined to A: who asks for any of the three gets all of them."""
    links = [joined(A, B, 1), joined(A, C, 2)]
    assert {group_of(each, links) for each in (A, B, C)} == {Group(A, frozenset({A, B, C}))}


def test_the_order_of_arrival_changes_nothing() -> None:
    """Joined, parted, joined with its own members to another: as intake tells it, heard in each of 120 orders."""
    links = [joined(A, B, 1), joined(C, A, 2), joined(C, B, 2), parted(C, A, 3), joined(A, B, 3)]
    for told in permutations(links):
        assert group_of(B, told) == group_of(A, told) == Group(A, frozenset({A, B}))
        assert group_of(C, told) == Group(C, frozenset({C}))


def test_what_was_parted_may_be_joined_again() -> None:
    """The latest word counts, not the number of words."""
    links = [joined(A, B, 1), parted(A, B, 2), joined(A, B, 3)]
    assert group_of(B, links).members == {A, B}


def test_the_older_case_of_a_chain_is_the_head() -> None:
    """B was joined to A, and C to B, before anybody said so of A."""
    assert group_of(C, [joined(A, B, 1), joined(B, C, 2)]) == Group(A, frozenset({A, B, C}))


@given(st.lists(st.tuples(*[st.sampled_from([A, B, C, D])] * 2, st.integers(0, 9), st.booleans()), max_size=8))
def test_it_always_ends_and_holds_who_was_asked_for(told: list[tuple[UUID, UUID, int, bool]]) -> None:
    """Whatever was told, circles included."""
    links = [Link(head, other, NOON + timedelta(hours=at), joined=yes) for head, other, at, yes in told]
    for each in (A, B, C, D):
        assert {each, group_of(each, links).head} <= group_of(each, links).members
