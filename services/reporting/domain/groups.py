"""Which cases are one person's, by what agents joined and parted: in whatever order that was heard."""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple
from uuid import UUID


class Link(NamedTuple):
    """At `at`, `other` was joined to `head`, or (not `joined`) parted from it."""

    head: UUID
    other: UUID
    at: datetime
    joined: bool


class Group(NamedTuple):
    """The case that the others are read with, and all of them, itself included."""

    head: UUID
    members: frozenset[UUID]


def group_of(case: UUID, links: Iterable[Link]) -> Group:
    """The group of a case, given every link of each of its members: of a case's links as `other`, the latest counts."""
    last: dict[UUID, Link] = {}
    for link in links:
        if link.other not in last or link.at > last[link.other].at:
            last[link.other] = link
    heads = {other: link.head for other, link in last.items() if link.joined}
    head = _head(case, heads)
    return Group(head, frozenset({head, case, *(other for other in heads if _head(other, heads) == head)}))


def _head(case: UUID, heads: dict[UUID, UUID]) -> UUID:
    """Whom a chain of joinings leads to; one that leads in a circle ends where it would begin again."""
    seen = {case}
    while case in heads and heads[case] not in seen:
        case = heads[case]
        seen.add(case)
    return case
