"""What is asked of the rules, made sure of: a site of the network, a commune of today, each need once."""

from typing import TypeVar

from services.chassis.errors import FieldError, Rejected
from services.chassis.tokens import Role
from services.contracts.visits import REPEATED, repeated_needs
from services.network import communes
from services.orientation import domain
from services.orientation.forms import FoundCommune, SimulateForm
from services.orientation.rules import Rules

S = TypeVar("S", bound=SimulateForm)
READERS: tuple[Role, ...] = ("site", "agent", "partner")
COUNTER: tuple[Role, ...] = ("agent", "site")


def checked(form: S, rules: Rules, *, partners: bool = False) -> S:
    """The form with the commune of today. Raises Rejected (422): unknown site or commune, need told twice.

    With `partners`: also a chosen partner that is in no network file.
    """
    errors = _errors(form, rules)
    if partners:
        errors += _unknown_partners(form, rules)
    if errors:
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


def _unknown_partners(form: SimulateForm, rules: Rules) -> list[FieldError]:
    return [
        {"pointer": f"/needs/{place}/recipient", "detail": "Partenaire absent des fichiers de réseau."}
        for place, need in enumerate(form.needs)
        if need.recipient and rules.network.partner(need.recipient) is None
    ]


def residence(visit: domain.Visit) -> FoundCommune:
    """Where the rules take the person to live, by name: a postcode may be another commune's INSEE code."""
    found = communes.commune(visit.residence)
    return FoundCommune(code=visit.residence, name=found.name if found else "", department=visit.department)
