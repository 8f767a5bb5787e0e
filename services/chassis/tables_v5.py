"""The chassis's failures by the queues of one publisher each: see `services.chassis.tables`."""

from alembic import op


def rename_queues() -> None:
    """What waits for another try, or is parked, came by a queue of its event's own (`reporting.VisitRecorded`)."""
    op.execute(r"""
        UPDATE failures SET queue = split_part(queue, '.', 1) || '.from-' || CASE
            WHEN split_part(queue, '.', 2) = 'OrientationProposed' THEN 'orientation'
            WHEN split_part(queue, '.', 2) = 'CaseRead' THEN 'reporting'
            WHEN split_part(queue, '.', 2) LIKE 'Referral%' THEN 'referral'
            ELSE 'intake' END
        WHERE queue ~ '\.[A-Z]'""")
