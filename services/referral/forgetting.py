"""Forgetting a case: its referrals go, and every partner that was ever shown one is told."""

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import Row, delete, or_, select

from services.chassis import forgetting
from services.chassis.app import Work
from services.chassis.tables import vault_keys
from services.contracts.envelope import CloudEvent
from services.contracts.intake import CaseErased
from services.contracts.referral import PartnerReferralErased
from services.referral.domain import life
from services.referral.tables import agreements, answers, history, joined_cases, referrals


def forget(event: CloudEvent[CaseErased], work: Work) -> None:
    """Delete what is held of it, and tell the partners who have it."""
    told = event.data
    forgetting.begin(work, told.case, told.secret, told.opened_at, forget_rows)


def forget_rows(work: Work, case: UUID, _secret: UUID) -> Collection[UUID]:
    """Delete its referrals, those that partners sent about it included; their ids."""
    # Locked first, as by whoever answers one just now: that is waited for.
    its = work.execute(select(referrals).where(referrals.c.case_id == case).order_by(referrals.c.id).with_for_update())
    ids = delete_referrals(work, its.all())
    joined = or_(joined_cases.c.case_id == case, joined_cases.c.into_case == case)
    work.execute(delete(agreements).where(agreements.c.case_id == case))
    work.execute(delete(joined_cases).where(joined))
    work.execute(delete(vault_keys).where(vault_keys.c.owner == case))
    return ids


def delete_referrals(work: Work, rows: Collection[Row]) -> list[UUID]:  # type: ignore[type-arg]
    """Delete locked referrals with all that hangs on them, and tell the partners concerned; their ids."""
    ids = [row.id for row in rows]
    for row in rows:
        told = row.sender or row.partner
        if row.sender or (row.state in life.VISIBLE_TO_PARTNER and not row.never_sent):
            work.emit(PartnerReferralErased(referral_id=row.id), recipient=told)
    words = {life.owner_of_words(None, row.id, row.sender) for row in rows}
    work.execute(delete(vault_keys).where(vault_keys.c.owner.in_(words)))
    work.execute(delete(answers).where(answers.c.referral_id.in_(ids)))
    work.execute(delete(history).where(history.c.referral_id.in_(ids)))
    work.execute(delete(referrals).where(referrals.c.id.in_(ids)))
    return ids
