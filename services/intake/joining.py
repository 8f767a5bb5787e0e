"""Two cases found to be one person's, and that taken back: `merged_into` and a trail, nothing is rewritten."""

from collections.abc import Iterable
from uuid import UUID

from sqlalchemy import Select, exists, func, select, text, update

from services.chassis.app import Work
from services.chassis.errors import Rejected
from services.contracts.intake import CasesMerged, CasesUnmerged
from services.intake import accesses, agreements, queries
from services.intake.call import Call
from services.intake.case_forms import Joined
from services.intake.queries import Group
from services.intake.tables import cases, merges, visits

_MERGED, _UNMERGED = "merged", "unmerged"
# Agents join a few cases a day: one after the other, so that no two of them make a circle.
_ONE_AT_A_TIME = text("SELECT pg_advisory_xact_lock(0x4A4F494E)")


def merge(case: UUID, other: UUID, call: Call) -> Joined:
    """Join: read with the older one of both groups from now on. Raises Rejected: 404, 422."""
    with call.app.work(call.traceparent) as work:
        one, two = _both(work, case, other, call)
        head, joined = (one, two) if _age(work, one.case) < _age(work, two.case) else (two, one)
        if one.case != two.case:
            _join(work, head, joined, call)
        return _joined(head.case, case, other, joined=True)


def unmerge(case: UUID, other: UUID, call: Call) -> Joined:
    """Part what was joined, each group as it was before. Raises Rejected: 404; 409 when they are not joined."""
    with call.app.work(call.traceparent) as work:
        one, two = _both(work, case, other, call)
        if one.case != two.case:
            if _parted(work, one, two):
                return Joined(case=case, merged=other, joined=False)
            raise Rejected("conflict", "Ces dossiers ne sont pas réunis.", status=409)
        leaving = case if other == one.case else other
        _part(work, one, leaving, call)
        return _joined(one.case, case, other, joined=False)


def _both(work: Work, case: UUID, other: UUID, call: Call) -> tuple[Group, Group]:
    if case == other:
        reason = "C’est le même dossier."
        raise Rejected("invalid", reason, errors=[{"pointer": "/case", "detail": reason}])
    work.execute(_ONE_AT_A_TIME)
    # Of two joinings the latter counts, everywhere: by when it was done, not by when it began to wait.
    work.now = call.app.clock.now()
    # What a search has only shown would be read for good once it is joined to a case of one's own.
    one, two = (queries.known_to(work.connection, each, call.caller.org, work.now) for each in (case, other))
    # Neither is erased meanwhile.
    kept = select(cases.c.id).where(cases.c.id.in_({*one.members, *two.members})).order_by(cases.c.id)
    if len(work.execute(kept.with_for_update(key_share=True)).all()) < len({*one.members, *two.members}):
        raise queries.unknown_case()
    return one, two


def _joined(head: UUID, case: UUID, other: UUID, *, joined: bool) -> Joined:
    return Joined(case=head, merged=other if other != head else case, joined=joined)


def _age(work: Work, case: UUID) -> tuple[object, UUID]:
    return work.execute(select(cases.c.opened_at).where(cases.c.id == case)).scalar_one(), case


def _join(work: Work, head: Group, joined: Group, call: Call) -> None:
    retold = _has_story(work, head) and _has_story(work, joined)
    work.execute(update(cases).where(cases.c.id.in_(joined.members)).values(merged_into=head.case))
    work.insert(
        merges,
        case_id=head.case,
        merged=joined.case,
        at=work.now,
        org=call.caller.org,
        subject=call.caller.sub,
        retold=retold,
    )
    for member in joined.members:
        # Those that were joined to it before follow it; that they told it twice was said then.
        work.emit(
            CasesMerged(case=head.case, merged=member, retold=retold and member == joined.case, site=call.caller.org)
        )
    agreements.joined(head.case, call, work)
    for case in (head.case, joined.case):
        accesses.log(work, case, call.caller, _MERGED)


def _part(work: Work, group: Group, leaving: UUID, call: Call) -> None:
    """`leaving` goes, with those that were joined to it: it was the oldest of them."""
    edges = {row.merged: row for row in work.execute(_standing(group.members))}
    undone = edges[leaving]
    below = {leaving}
    while more := {row.merged for row in edges.values() if row.case_id in below} - below:
        below |= more
    work.execute(update(cases).where(cases.c.id.in_(below)).values(merged_into=func.nullif(leaving, cases.c.id)))
    taken_back = update(merges).where(merges.c.number == undone.number)
    work.execute(taken_back.values(undone_at=work.now, undone_by=f"{call.caller.org}/{call.caller.sub}"))
    work.emit(CasesUnmerged(case=group.case, merged=leaving, retold=undone.retold))
    for member in sorted(below - {leaving}):
        work.emit(CasesMerged(case=leaving, merged=member))
    for case in (group.case, leaving):
        accesses.log(work, case, call.caller, _UNMERGED)


def _standing(members: Iterable[UUID]) -> Select[tuple[int, UUID, UUID, bool]]:
    """Each case but the head was joined once to an older one, and that stands."""
    wanted = merges.c.merged.in_(members) & merges.c.undone_at.is_(None)
    return select(merges.c.number, merges.c.case_id, merges.c.merged, merges.c.retold).where(wanted)


def _parted(work: Work, one: Group, two: Group) -> bool:
    """Whether they were joined once, and that was taken back."""
    between = (merges.c.case_id.in_(one.members) & merges.c.merged.in_(two.members)) | (
        merges.c.case_id.in_(two.members) & merges.c.merged.in_(one.members)
    )
    return bool(work.execute(select(exists().where(between, merges.c.undone_at.is_not(None)))).scalar())


def _has_story(work: Work, group: Group) -> bool:
    return bool(work.execute(select(exists().where(visits.c.case_id.in_(group.members), visits.c.story))).scalar())
