"""What is asked of the rules, made sure of: a site of the network, a commune of today, each need once."""

from datetime import date, datetime
from typing import TypeVar
from zoneinfo import ZoneInfo

from services.chassis.errors import FieldError, Rejected
from services.contracts.visits import REPEATED, repeated_needs
from services.network import communes
from services.orientation.forms import SimulateForm
from services.orientation.rules import Rules

S = TypeVar("S", bound=SimulateForm)
PARIS = ZoneInfo("Europe/Paris")


def checked(form: S, rules: Rules) -> S:
    """The form with the commune of today. Raises Rejected (422): unknown site or commune, need told twice."""
    if errors := _errors(form, rules):
        raise Rejected("invalid", errors[0]["detail"], errors=errors)
    if form.commune:
        form = form.model_copy(update={"commune": communes.today(form.commune)})
    return form


def _errors(form: SimulateForm, rules: Rules) -> list[FieldError]:
    errors: list[FieldError] = []
    if rules.network.site(form.site) is None:
        errors.append({"pointer": "/site", "detail": "Site absent des fichiers de réseau."})
    if form.commune and (problem := communes.problem(form.commune)):
        errors.append({"pointer": "/commune", "detail": problem})
    errors += [{"pointer": f"/needs/{place}", "detail": REPEATED} for place in repeated_needs(form.needs)]
    return errors


def paris_day(instant: datetime) -> date:
    """The day as the counter lives it."""
    return instant.astimezone(PARIS).date()
