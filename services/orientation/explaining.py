"""Why the rules proposed what they did, as site software, the `relais` command and the agent's page tell it."""

from sqlalchemy import Connection

from services.chassis.errors import Rejected
from services.contracts.codes import NEED_LABELS
from services.orientation import archive, domain
from services.orientation.archive import Why
from services.orientation.asking import checked, paris_day
from services.orientation.forms import (
    ExplainedAttempt,
    ExplainedLine,
    ExplainedNeed,
    ExplainForm,
    Explanation,
    SimulateForm,
)
from services.orientation.rules import Rules


def explain(form: ExplainForm, connection: Connection) -> Explanation:
    """Why the rules proposed what they did, by the rules of the visit's day. Raises Rejected (422) as `simulate`."""
    if form.rules_version:
        found = archive.of_version(connection, form.rules_version)
    else:
        found = archive.of_visit(connection, form.site, form.visit_id, form.occurred_at)
    if found is None:
        detail = "Aucune règle de cette version n’a été en vigueur ici."
        raise Rejected("invalid", detail, errors=[{"pointer": "/rules_version", "detail": detail}])
    return explained(form, found.rules, found.why)


def explained(form: SimulateForm, rules: Rules, why: Why) -> Explanation:
    """The same by these very rules: the table read again, line by line. Raises Rejected (422) as `simulate`."""
    form = checked(form, rules)
    day = paris_day(form.occurred_at)
    visit = rules.visit(form, form.needs, day)
    charter = rules.network.charter_in_force(form.site, day)
    proposed = iter(rules.propose(visit))
    return Explanation(
        rules_version=rules.book.version,
        why_these_rules=why,
        day=day,
        charter=charter.name if charter else None,
        residence=visit.residence,
        department=visit.department,
        needs=[
            ExplainedNeed(
                need=each.need.code,
                label=NEED_LABELS[each.need.code],
                urgent=any(one.applies and one.line.urgent for one in each.readings),
                closed=each.closed,
                choice=each.choice,
                lines=list(map(_line, each.readings)),
                recipients=[[_attempt(one, rules) for one in attempts] for attempts in each.attempts],
                proposals=[next(proposed) for _ in each.proposals],
            )
            for each in domain.explain(visit, rules.book)
        ],
    )


def _line(reading: domain.Reading) -> ExplainedLine:
    return ExplainedLine(
        id=reading.line.id,
        applies=reading.applies,
        unmet=list(reading.unmet),
        reason=reading.line.reason,
        source=reading.line.source,
    )


def _attempt(found: domain.Attempt, rules: Rules) -> ExplainedAttempt:
    partner = rules.network.partner(found.partner) if found.partner else None
    return ExplainedAttempt(
        kind=found.kind, partner=found.partner, name=partner.name if partner else None, note=found.note
    )
