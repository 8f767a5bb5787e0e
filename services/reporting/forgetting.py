"""Forgetting a case: what was counted stays counted, under other ids and without what tells of the person."""

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import (
    Column,
    ColumnElement,
    DateTime,
    Uuid,
    cast,
    delete,
    func,
    literal,
    null,
    select,
    tuple_,
    update,
)
from sqlalchemy.types import LargeBinary

from services.chassis import forgetting
from services.chassis.app import Work
from services.contracts.codes import AgeBand, ReferralState
from services.contracts.envelope import CloudEvent
from services.contracts.intake import CaseErased
from services.reporting.tables import case_steps, needs, proposals, referral_steps, visits


def forget(event: CloudEvent[CaseErased], work: Work) -> None:
    """Cut its id, coarsen its facts."""
    told = event.data
    forgetting.begin(work, told.case, told.secret, told.opened_at, forget_rows)


def forget_rows(work: Work, case: UUID, secret: UUID) -> Collection[UUID]:
    """The rows as they would be, had the events been coarsened before they came."""

    def other(column: Column[UUID]) -> ColumnElement[UUID]:
        return _pseudonym(column, secret)

    its = select(visits.c.written_on, visits.c.site, visits.c.visit_id).where(visits.c.case == case)
    of_a_visit = tuple_(needs.c.written_on, needs.c.site, needs.c.visit_id).in_(its)
    work.execute(update(needs).where(of_a_visit).values(visit_id=other(needs.c.visit_id), label=null()))
    work.execute(
        update(visits)
        .where(visits.c.case == case)
        .values(
            visit_id=other(visits.c.visit_id),
            case=null(),
            occurred_at=_noon(visits.c.occurred_at),
            commune=null(),
            quarter=null(),
            age_band=AgeBand.UNKNOWN,
            sex=null(),
            publics=[],
        )
    )
    work.execute(
        update(proposals)
        .where(proposals.c.case == case)
        .values(
            orientation_id=other(proposals.c.orientation_id),
            visit_id=other(proposals.c.visit_id),
            case=null(),
            at=_noon(proposals.c.at),
        )
    )
    waited = referral_steps.c.state == ReferralState.AWAITING_AGREEMENT
    work.execute(delete(referral_steps).where(referral_steps.c.case == case, waited))
    work.execute(
        update(referral_steps)
        .where(referral_steps.c.case == case)
        .values(
            referral_id=other(referral_steps.c.referral_id),
            visit_id=other(referral_steps.c.visit_id),
            previous=other(referral_steps.c.previous),
            next_referral_id=other(referral_steps.c.next_referral_id),
            case=null(),
            at=_noon(referral_steps.c.at),
            due_at=_noon(referral_steps.c.due_at),
        )
    )
    _forget_steps(work, case, secret)
    return ()


def _forget_steps(work: Work, case: UUID, secret: UUID) -> None:
    """Of what happened to the case itself only that a story was told twice is counted."""
    its = (case_steps.c.case == case) | (case_steps.c.other == case)
    work.execute(delete(case_steps).where(its, case_steps.c.retold.is_not(True)))
    work.execute(
        update(case_steps)
        .where(its)
        .values(
            case=_pseudonym(case_steps.c.case, secret),
            other=_pseudonym(case_steps.c.other, secret),
            at=_noon(case_steps.c.at),
        )
    )


def _pseudonym(column: Column[UUID], secret: UUID) -> ColumnElement[UUID]:
    """As `contracts.coarse.pseudonyms`, in the database."""
    hashed = func.sha256(literal(secret.bytes, LargeBinary).concat(func.uuid_send(column)))
    return cast(func.encode(func.substring(hashed, 1, 16), "hex"), Uuid)


def _noon(column: Column[DateTime]) -> ColumnElement[DateTime]:
    """As `contracts.coarse.noon`, in the database."""
    day = func.date_trunc("day", func.timezone("Europe/Paris", column))
    return func.timezone("Europe/Paris", day + func.make_interval(0, 0, 0, 0, 12))
