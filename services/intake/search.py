"""Finding a case again: by the printed reference, or by who the person is.

Candidates come by coarse keyed indexes; who is alike is decided on what was opened with the cases' own keys, and who
is the same person by the agent.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Literal, NamedTuple
from uuid import UUID

from sqlalchemy import BindParameter, bindparam, func, or_, select, union

from services.chassis.app import Work
from services.chassis.tables import vault_keys
from services.contracts.paris import paris_day
from services.contracts.references import normalised_reference
from services.intake import accesses, queries
from services.intake.allowances import Allowance
from services.intake.call import Call
from services.intake.case_forms import Joined, Match, Matches, SearchForm, SoughtPerson
from services.intake.domain import people
from services.intake.indexing import indexes_of, opened
from services.intake.tables import accesses as accesses_table
from services.intake.tables import cases, visits

# A site has a few agents, each with a person before them.
PER_SITE = Allowance("site", 30, timedelta(seconds=2))
PER_AGENT = Allowance("agent", 20, timedelta(seconds=3))
# References that nobody has: mistyped now and then, or guessed.
WRONG_REFERENCES = Allowance("wrong-reference", 10, timedelta(minutes=1))
# Of the persons born on that day, and of those with these names: the last met are compared. As many are opened in less
# than a tenth of a second; more share a day only where it stands for an unknown one (1 January) in very large networks.
MOST_CANDIDATES = 1000
_MOST_SHOWN = 10
_PRINTED = "La référence est celle qui est imprimée pour la personne."
_HEAD = func.coalesce(cases.c.merged_into, cases.c.id)


def _by(column: str) -> Any:  # noqa: ANN401 - a part of the statement below
    found = select(cases.c.id).where(cases.c[column] == bindparam(column)).order_by(cases.c.last_contact_on.desc())
    return select(found.limit(MOST_CANDIDATES).subquery())


_CANDIDATES = (
    select(cases.c.id, _HEAD.label("head"), cases.c.identity_sealed, vault_keys.c.wrapped)
    .join(vault_keys, vault_keys.c.owner == cases.c.id)
    .where(cases.c.id.in_(union(_by("identity_index"), _by("birth_index"), _by("name_index")).subquery().select()))
    .where(cases.c.identity_sealed.is_not(None))
)
_BY_REFERENCE = select(_HEAD).where(cases.c.reference_index == bindparam("index"))
_HEADS: BindParameter[UUID] = bindparam("heads", expanding=True)
_HELD = select(cases.c.id).where(cases.c.id.in_(_HEADS)).order_by(cases.c.id).with_for_update(read=True, key_share=True)
_MEMBERS = select(cases.c.id, _HEAD.label("head")).where(
    or_(cases.c.id.in_(_HEADS), cases.c.merged_into.in_(_HEADS))
).cte("members")  # fmt: skip
_CONFIRMED = (
    select(_MEMBERS.c.head)
    .join(accesses_table, accesses_table.c.case_id == _MEMBERS.c.id)
    .where(accesses_table.c.org == bindparam("org"), accesses_table.c.action == queries.CONFIRMED)
    .where(accesses_table.c.at > bindparam("since"))
)
_SEEN = (
    select(
        _MEMBERS.c.head,
        func.array_agg(visits.c.site.distinct()).label("sites"),
        func.max(visits.c.occurred_at).label("last"),
        _MEMBERS.c.head.in_(_CONFIRMED).label("confirmed"),
    )
    .join(visits, visits.c.case_id == _MEMBERS.c.id)
    .group_by(_MEMBERS.c.head)
)


class _Found(NamedTuple):
    kind: Literal["reference", "exact", "near"]
    why: tuple[str, ...]


def find(form: SearchForm, call: Call) -> Matches:
    """Cases that may be a person's, each shown written down in the log. Raises Rejected (429)."""
    org = call.caller.org
    with call.app.work() as work:
        PER_SITE.spend(work, org)
        PER_AGENT.spend(work, f"{org}/{call.caller.sub}")
        if form.reference is not None:
            # Taken beforehand and given back: guesses that are sent at once are all counted.
            WRONG_REFERENCES.spend(work, org)
    with call.app.work(call.traceparent) as work:
        if form.reference is not None:
            found = _by_reference(work, call, form.reference)
            if found:
                WRONG_REFERENCES.give_back(work, org)
        else:
            assert form.person is not None
            found = _by_person(work, call, form.person)
        matches = _described(work, call, found)
        for match in matches:
            accesses.log(work, match.case, call.caller, queries.FOUND)
    return Matches(matches=matches)


def confirm(case: UUID, call: Call) -> Joined:
    """The agent says that it is this person. Raises Rejected (404)."""
    with call.app.work(call.traceparent) as work:
        group = queries.hold(work, lambda: queries.nameable_by(work.connection, case, call.caller.org, work.now))
        assert group is not None
        accesses.log(work, group.case, call.caller, queries.CONFIRMED)
    return Joined(case=group.case, merged=case, joined=case != group.case)


def _by_reference(work: Work, call: Call, text: str) -> dict[UUID, _Found]:
    """What is mistyped is looked up as well, and found nowhere: it takes as long as what nobody has."""
    index = call.app.vault.index("reference", normalised_reference(text) or text)
    return {head: _Found("reference", (_PRINTED,)) for head in work.execute(_BY_REFERENCE, {"index": index}).scalars()}


def _by_person(work: Work, call: Call, form: SoughtPerson) -> dict[UUID, _Found]:
    vault = call.app.vault
    sought = people.person(form.family_name, form.given_name, form.birth_date)
    found: dict[UUID, _Found] = {}
    for row in work.execute(_CANDIDATES, indexes_of(vault, sought)).all():
        stored = opened(vault, row)
        alike = people.likeness(sought, stored) if stored else None
        if alike and (row.head not in found or alike.kind == "exact"):
            found[row.head] = _Found(alike.kind, alike.why)
    return found


def _described(work: Work, call: Call, found: Mapping[UUID, _Found]) -> list[Match]:
    """The nearest first, those that the site knows before others, those met lately before others; the first ten."""
    # Whatever is being erased is waited for, and then neither shown nor logged.
    heads = work.execute(_HELD, {"heads": list(found)}).scalars().all() if found else ()
    if not heads:
        return []
    since = work.now - queries.FOUND_FOR
    org = call.caller.org
    rows = work.execute(_SEEN, {"heads": heads, "org": org, "since": since}).all()
    rows = sorted(rows, key=lambda row: row.last, reverse=True)
    matches = [
        Match(
            case=row.head,
            kind=found[row.head].kind,
            why=list(found[row.head].why),
            sites=sorted(row.sites),
            last_visit=f"{paris_day(row.last):%Y-%m}",
            known=row.confirmed or org in row.sites,
        )
        for row in rows
    ]
    return sorted(matches, key=lambda match: (match.kind == "near", not match.known))[:_MOST_SHOWN]
