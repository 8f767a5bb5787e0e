"""Forgetting a case (RGPD, art. 17): its key is destroyed, its rows go, and every service is told to do likewise."""

from collections.abc import Collection, Sequence
from hashlib import sha256
from typing import Literal, NamedTuple
from uuid import UUID, uuid4

from sqlalchemy import Connection, delete, func, or_, select, update
from sqlalchemy.dialects import postgresql

from services.chassis import forgetting, logs
from services.chassis.app import App, Work
from services.chassis.errors import Rejected
from services.chassis.tables import erased, vault_keys
from services.contracts.coarse import digest
from services.contracts.codes import Category
from services.contracts.intake import CaseErased
from services.intake import journal, queries
from services.intake.call import Call
from services.intake.case_forms import Erased
from services.intake.queries import Group
from services.intake.tables import accesses, agreements, cases, erased_visits, merges, sent_referrals, visits

log = logs.get(__name__)

_CHANGED = (
    "Le dossier a changé entre-temps : il vient d’être réuni avec un autre, ou séparé. Rien n’est effacé : relisez-le,"
    " puis demandez de nouveau."
)


class By(NamedTuple):
    """Who has it erased, for the log, and why."""

    org: str
    role: str
    subject: str
    reason: Literal["request", "retention"]


CLOCK = By("relais", "system", "clock", "retention")
_JOURNAL = By("relais", "system", "journal", "request")


def erase(case: UUID, call: Call) -> Erased:
    """Forget it, with all that is read as one with it. Raises Rejected: 404; 409 when that changes; Unavailable."""
    caller = call.caller
    with call.app.work(call.traceparent) as work:
        asked = queries.known_to(work.connection, case, caller.org, work.now)
        group = lock(work, case)
        if group is None:
            raise queries.unknown_case()
        if group != asked:
            raise Rejected("conflict", _CHANGED, status=409)
        partners = forget_cases(work, group.members, By(caller.org, caller.role, caller.sub, "request"))
    return Erased(erased=True, partners=partners)


def lock(work: Work, case: UUID) -> Group | None:
    """The group of a case, which nobody changes until the commit; None when it is gone."""
    return queries.hold(work, lambda: queries.group_of(work.connection, case), to_change=True)


def forget_cases(work: Work, members: Sequence[UUID], by: By) -> list[str]:
    """Forget cases that are locked; the partners that are told so. Raises Unavailable."""
    opened = select(cases.c.id, cases.c.opened_at).where(cases.c.id.in_(members)).order_by(cases.c.id)
    rows, partners, secret = work.execute(opened).all(), _partners_of(work.connection, members), uuid4()
    digests = [digest(row.id) for row in rows]
    for row in rows:
        forgetting.begin(work, row.id, secret, row.opened_at, forget_rows)
        work.emit(CaseErased(case=row.id, opened_at=row.opened_at, reason=by.reason, secret=secret))
    for each in digests:
        told = {"org": by.org, "role": by.role, "subject": by.subject, "action": "erased", "referral_id": None}
        work.insert(accesses, case_id=None, erased=each, at=work.now, **told)
    work.flush()
    # Last, and before the commit: what is written down and still there is erased at the next start.
    journal.append(work.settings, digests, by.reason, work.now)
    return partners


def forget_rows(work: Work, case: UUID, _secret: UUID) -> Collection[UUID]:
    """Delete what is held of a case; the ids of its visits and referrals. The trace stays, under its digest."""
    of_case = sent_referrals.c.case_id == case
    visited = work.execute(delete(visits).where(visits.c.case_id == case).returning(visits.c.site, visits.c.visit_id))
    seen = [(row.site, row.visit_id) for row in visited]
    known = work.execute(delete(sent_referrals).where(of_case).returning(sent_referrals.c.referral_id)).scalars().all()
    if seen:
        tombstones = postgresql.insert(erased_visits).values([{"digest": digest_of_visit(*each)} for each in seen])
        work.execute(tombstones.on_conflict_do_nothing())
    work.execute(delete(agreements).where(agreements.c.case_id == case))
    work.execute(delete(merges).where(or_(merges.c.case_id == case, merges.c.merged == case)))
    work.execute(update(cases).where(cases.c.merged_into == case).values(merged_into=None))
    work.execute(delete(cases).where(cases.c.id == case))
    work.execute(delete(vault_keys).where(vault_keys.c.owner == case))
    work.execute(select(func.set_config("relais.forgetting", "on", True)))  # noqa: FBT003 - SQL's own
    cut = {"case_id": None, "referral_id": None, "erased": digest(case)}
    work.execute(update(accesses).where(accesses.c.case_id == case).values(cut))
    return {visit_id for _, visit_id in seen} | set(known)


def digest_of_visit(site: str, visit_id: UUID) -> bytes:
    """What is kept of an erased visit; its id is unique per site only."""
    return sha256(f"{site}/{visit_id}".encode()).digest()


def catch_up(app: App) -> int:
    """Erase again what a restored backup still has; how many cases. Raises JournalError, Unavailable."""
    journal.check(app.settings)
    named = {each.digest for each in journal.entries(app.settings)}
    if not named:
        return 0
    with app.read() as connection:
        lacking = named - set(connection.scalars(select(erased.c.digest)))
        held = func.sha256(func.uuid_send(cases.c.id)).in_(lacking)
        back = connection.scalars(select(cases.c.id).where(held).order_by(cases.c.id)).all() if lacking else ()
    done = 0
    for case in back:
        with app.work() as work:
            # It alone: who was read as one with it then may be another person now.
            if work.execute(select(cases.c.id).where(cases.c.id == case).with_for_update()).first():
                forget_cases(work, [case], _JOURNAL)
                done += 1
    if done:
        log.warning("erased again after a restore", service=app.service, cases=done)
    return done


def _partners_of(connection: Connection, members: Sequence[UUID]) -> list[str]:
    """Who was sent one of their referrals, or sent one about them."""
    its = sent_referrals.c.case_id.in_(members)
    sent = select(sent_referrals.c.partner).where(its, sent_referrals.c.category != Category.SITE)
    got = select(sent_referrals.c.sender).where(its, sent_referrals.c.sender.is_not(None))
    return sorted({*connection.scalars(sent), *connection.scalars(got)})
