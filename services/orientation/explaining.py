"""Why the rules proposed what they did, as site software, the `relais` command and the agent's page tell it."""

from sqlalchemy import Connection

from services.chassis.errors import Rejected
from services.chassis.settings import Settings
from services.contracts.codes import NEED_LABELS, Mode, Outcome
from services.contracts.paris import paris_day
from services.orientation import archive, domain
from services.orientation.archive import Why
from services.orientation.asking import checked, residence
from services.orientation.forms import (
    ExplainedAttempt,
    ExplainedLine,
    ExplainedNeed,
    ExplainForm,
    Explanation,
    SimulateForm,
)
from services.orientation.rules import Rules


def explain(form: ExplainForm, connection: Connection, settings: Settings, rules: Rules | None = None) -> Explanation:
    """Why the rules proposed what they did, by the rules of the visit's day. Raises Rejected (422) as `simulate`.

    With contact sheets where these are still `rules`, which have them.
    """
    if form.rules_version:
        found = archive.of_version(connection, form.rules_version)
    else:
        sent = form.mode is Mode.LIVE and any(need.outcome is Outcome.TO_REFER for need in form.needs)
        visit_id = form.visit_id if sent else None  # nothing is in the ledger of any other
        days = settings.parked_days
        found = archive.of_visit(connection, form.site, visit_id, form.occurred_at, parked_days=days)
    if found is None:
        detail = "Aucune règle de cette version n’a été en vigueur ici."
        raise Rejected("invalid", detail, errors=[{"pointer": "/rules_version", "detail": detail}])
    if found.rules.network.site(form.site) is None:
        detail = "Ce site n’était pas encore dans les fichiers de réseau à cette date."
        raise Rejected("invalid", detail, errors=[{"pointer": "/site", "detail": detail}])
    same = rules is not None and rules.book.version == found.rules.book.version
    return explained(form, rules if rules and same else found.rules, found.why)


def explained(form: SimulateForm, rules: Rules, why: Why) -> Explanation:
    """The same by these very rules: the table read again, line by line. Raises Rejected (422) as `simulate`."""
    form = checked(form, rules)
    day = paris_day(form.occurred_at)
    visit = rules.visit(form, form.needs, day)
    charter = rules.network.charter_in_force(form.site, day)
    proposed = iter(rules.propose(visit))
    history = form.mode is Mode.HISTORY
    return Explanation(
        rules_version=rules.book.version,
        why_these_rules=why,
        day=day,
        charter=charter.name if charter else None,
        residence=residence(visit),
        needs=[
            _counted_only(each)
            if history
            else ExplainedNeed(
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


def _counted_only(found: domain.Explanation) -> ExplainedNeed:
    return ExplainedNeed(
        need=found.need.code,
        label=NEED_LABELS[found.need.code],
        urgent=False,
        closed="Reprise d’historique : comptée, jamais orientée.",
        choice=None,
        lines=[],
        recipients=[],
        proposals=[],
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
