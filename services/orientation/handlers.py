"""Proposing whom to meet, for a recorded visit or for one that an agent is still writing."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

from services.chassis.app import Work
from services.chassis.errors import FieldError, Rejected
from services.contracts.codes import Mode, Outcome, concerns_spie, visit_class
from services.contracts.envelope import CloudEvent
from services.contracts.intake import VisitRecorded
from services.contracts.orientation import OrientationProposed
from services.contracts.visits import REPEATED, repeated_needs
from services.network import communes
from services.orientation.forms import SimulateForm, Simulation
from services.orientation.rules import Rules

_PARIS = ZoneInfo("Europe/Paris")


def propose(event: CloudEvent[VisitRecorded], work: Work, rules: Rules) -> None:
    """One proposal per need to refer. A visit of the past, or with nothing to refer, needs none.

    What was proposed is in the ledger, and nowhere else.
    """
    visit = event.data
    if visit.mode is Mode.HISTORY or all(need.outcome is not Outcome.TO_REFER for need in visit.needs):
        return
    proposals = rules.propose(rules.visit(visit, visit.needs, _day(visit.occurred_at)))
    work.emit(
        OrientationProposed(
            orientation_id=work.ids.new(),
            visit_id=visit.visit_id,
            site=visit.site,
            occurred_at=visit.occurred_at,
            case=visit.case,
            spie=visit.spie,
            rules_version=rules.book.version,
            proposals=proposals,
            agreed=visit.agreed,
            sensitive=visit.sensitive,
        )
    )


def simulate(form: SimulateForm, rules: Rules) -> Simulation:
    """What the rules would propose; stores nothing. Raises Rejected (422): unknown site or commune, need told twice."""
    if errors := _errors(form, rules):
        raise Rejected("invalid", errors[0]["detail"], errors=errors)
    if form.commune:
        form = form.model_copy(update={"commune": communes.today(form.commune)})
    day = _day(form.occurred_at)
    needs = [need.code for need in form.needs]
    charter = rules.network.charter_in_force(form.site, day)
    return Simulation(
        spie=charter is not None and concerns_spie(needs, form.publics),
        class_=visit_class(needs),
        rules_version=rules.book.version,
        proposals=rules.propose(rules.visit(form, form.needs, day)),
    )


def _errors(form: SimulateForm, rules: Rules) -> list[FieldError]:
    errors: list[FieldError] = []
    if rules.network.site(form.site) is None:
        errors.append({"pointer": "/site", "detail": "Site absent des fichiers de réseau."})
    if form.commune and (problem := communes.problem(form.commune)):
        errors.append({"pointer": "/commune", "detail": problem})
    errors += [{"pointer": f"/needs/{place}", "detail": REPEATED} for place in repeated_needs(form.needs)]
    return errors


def _day(instant: datetime) -> date:
    """The day as the counter lives it."""
    return instant.astimezone(_PARIS).date()
