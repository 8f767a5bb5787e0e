"""How long things took, from the steps alone: a referral's history is the only source for delays."""

from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Double, Label, Select, cast, func, select, true

from services.contracts.codes import ReferralState
from services.reporting.domain.figures import ANSWERED
from services.reporting.domain.timeline import InPlace
from services.reporting.forms import Delay, Delays
from services.reporting.scope import Scope
from services.reporting.tables import referral_steps, visits

_DAY_SECONDS = 86_400
_TAKEN_ON = ReferralState.ACCEPTED
_DECIDED = (ReferralState.ACCEPTED, ReferralState.DECLINED)


def delays(connection: Connection, scope: Scope) -> Delays:
    """Of the referrals sent in the scope, and of its visits; what has not happened yet is in no count.

    Days are of 24 hours, but from a visit to an appointment, which are calendar days of Paris.
    """
    found = {
        **connection.execute(_of_referrals(scope)).mappings().one(),
        **connection.execute(_of_visits(scope)).mappings().one(),
    }
    return Delays(
        **{
            name: Delay(
                count=found[f"{name}_count"], median=_shown(found[f"{name}_median"]), p90=_shown(found[f"{name}_p90"])
            )
            for name in Delays.model_fields
        }
    )


def _of_referrals(scope: Scope) -> Select[Any]:
    """Each delay runs from the sending to the first step into one of its states, and is never below zero.

    Replicas' clocks may differ by a little, so that an answer could seem to come before what it answers.
    """
    step = referral_steps.alias("step")
    into = step.c.event.is_(None)
    taken = (
        select(
            func.min(step.c.at).filter(into, step.c.state.in_(sorted(ANSWERED))).label("received"),
            func.min(step.c.at).filter(into, step.c.state == _TAKEN_ON).label("accepted"),
            func.min(step.c.at).filter(into, step.c.state.in_(_DECIDED)).label("decided"),
            func.bool_or(step.c.event == InPlace.REMINDED).label("reminded"),
        )
        .where(step.c.referral_id == referral_steps.c.referral_id)
        .lateral("taken")
    )

    def days(until: ColumnElement[Any]) -> ColumnElement[Any]:
        return func.greatest(0, func.extract("epoch", until - referral_steps.c.at)) / _DAY_SECONDS

    return (
        select(
            *_figures("sent_to_received", taken.c.received, days(taken.c.received)),
            *_figures("sent_to_accepted", taken.c.accepted, days(taken.c.accepted)),
            *_figures("sent_to_decided_with_reminders", taken.c.decided, days(taken.c.decided), taken.c.reminded),
        )
        .select_from(referral_steps.join(taken, true()))
        .where(scope.holds(referral_steps.c.sent_day, referral_steps.c.site))
    )


def _of_visits(scope: Scope) -> Select[Any]:
    """Each visit once, by the earliest day, not before its own, that an answer to any of its referrals has named.

    Referrals from a partner toward a site are none of a visit's. A visit may lie a little ahead of the sending.
    """
    sent, step = referral_steps.alias("sent"), referral_steps.alias("step")
    its = (sent.c.site == visits.c.site) & (sent.c.visit_id == visits.c.visit_id) & sent.c.sender.is_(None)
    its &= sent.c.sent_day >= scope.first - timedelta(days=1)
    named = (step.c.referral_id == sent.c.referral_id) & (step.c.appointment_day >= visits.c.day)
    first = (
        select((func.min(step.c.appointment_day) - visits.c.day).label("days"))
        .select_from(visits.join(sent, its).join(step, named))
        .where(scope.holds(visits.c.day, visits.c.site))
        .group_by(visits.c.site, visits.c.visit_id, visits.c.day)
        .subquery("first")
    )
    return select(*_figures("visit_to_appointment", first.c.days, first.c.days))


def _figures(
    name: str, happened: ColumnElement[Any], days: ColumnElement[Any], where: ColumnElement[bool] | None = None
) -> list[Label[Any]]:
    """Count, median and 90th percentile of what is not null; between two neighbours a percentile is interpolated."""
    kept = happened.is_not(None) if where is None else happened.is_not(None) & where
    counted = func.count(happened).filter(kept).label(f"{name}_count")
    shares = (("median", 0.5), ("p90", 0.9))
    return [
        counted,
        *(
            func.percentile_cont(share).within_group(cast(days, Double)).filter(kept).label(f"{name}_{word}")
            for word, share in shares
        ),
    ]


def _shown(days: float | None) -> float | None:
    return None if days is None else round(days, 1)
