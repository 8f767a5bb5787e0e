"""What a visit is told beside its proposals: first-level information and typical journeys."""

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from services.chassis.errors import Rejected
from services.contracts.codes import Need, Public
from services.network import Information, Network, load
from services.orientation import advice, handlers
from services.orientation.forms import SimulateForm, Simulation
from services.orientation.rules import Rules

CHARTER = "Le service public de l’insertion et de l’emploi (SPIE)"


@cache
def rules() -> Rules:
    """Load the shipped networks."""
    return Rules(load(Path(__file__).parents[3] / "deploy" / "networks"))


def network(*information: dict[str, Any]) -> Network:
    """A network that has nothing but information."""
    told = tuple(Information.model_validate({"source": "s", "needs": ["logement"]} | each) for each in information)
    return Network(
        rules_version=None, charters=(), sites=(), partners=(), contact_sheets=(), lines=(), information=told
    )


def simulate(need: str, **facts: Any) -> Simulation:  # noqa: ANN401 - a field's value is of any type
    """Simulate a visit with one need on the shipped networks, by default at Moreuil."""
    plain = {"site": "fs-moreuil", "occurred_at": "2026-11-20T10:00:00Z", "channel": "desk", "age_band": "18-20"}
    body = plain | {"needs": [{"code": need, "outcome": "to-refer"}]} | facts
    return handlers.simulate(SimulateForm.model_validate(body), rules())


@pytest.mark.parametrize(
    ("needs", "publics", "charter", "expected"),
    [
        ({Need.LOGEMENT}, set(), False, "home"),
        ({Need.LOGEMENT, Need.ENDETTEMENT}, set(), False, "home debt"),
        ({Need.CHERCHER_UN_EMPLOI}, set(), False, "work"),
        ({Need.LOGEMENT}, {Public.RQTH}, False, "home"),
        ({Need.LOGEMENT}, {Public.RQTH, Public.RSA}, False, "rsa home"),
        ({Need.LOGEMENT}, set(), True, "home spie"),
        ({Need.NUMERIQUE}, {Public.RSA}, True, ""),
    ],
)
def test_what_applies_is_told_once_in_the_files_order(
    needs: set[Need], publics: set[Public], expected: str, *, charter: bool
) -> None:
    """Any of the needs, a group spelt out; any of the publics where some are asked; a charter where one is."""
    told = network(
        {"text": "rsa", "publics": ["rsa", "ass"]},
        {"text": "home"},
        {"text": "debt", "needs": ["endettement"]},
        {"text": "home", "needs": ["endettement", "logement"]},
        {"text": "spie", "charter": True},
        {"text": "work", "needs": ["employment"]},
    )
    assert " ".join(advice.information(told, needs, publics, charter=charter)) == expected


def test_information_is_for_any_need_of_the_visit_referred_or_not() -> None:
    """First-level help is often enough: what is resolved at the desk is informed too."""
    resolved = [{"code": "endettement", "outcome": "resolved"}]
    assert (
        "Déposer un dossier de surendettement à la Banque de France est gratuit."
        in simulate("", needs=resolved).information
    )


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, True),
        ({"site": "hem", "commune": "59299"}, False),
        ({"occurred_at": "2022-10-24T10:00:00+02:00"}, True),
        ({"occurred_at": "2022-10-23T10:00:00+02:00"}, False),
    ],
    ids=["in the charter", "at a site without one", "on its first day", "on the day before"],
)
def test_the_charters_information_is_told_while_it_is_in_force(changes: dict[str, Any], *, told: bool) -> None:
    """What the SPIE is, at its sites and from the signature on; a national number is told anywhere, at any time."""
    found = simulate("jeune-sans-emploi-ni-formation", **changes).information
    assert any(text.startswith(CHARTER) for text in found) is told
    assert "France Travail répond au 39 49." in found


def test_a_night_without_shelter_is_told_the_115() -> None:
    """Whatever the site, for the person to take away."""
    (text,) = simulate("hebergement-urgence", site="hem").information
    assert "115" in text


def test_a_proposal_names_its_source_and_its_journey_and_the_journey_is_there_in_full() -> None:
    """Once, though two needs lead to it; a line without a journey names none."""
    needs = [{"code": code, "outcome": "to-refer"} for code in ("chercher-un-emploi", "freins-multiples", "logement")]
    found = simulate("", needs=needs, publics=["rsa"])
    assert [(each.rule, each.source, each.journey) for each in found.proposals] == [
        ("03-rsa", "loi", "beneficiaire-du-rsa@1"),
        ("03-rsa", "loi", "beneficiaire-du-rsa@1"),
        ("16-logement", "convention, art. 2", None),
    ]
    (journey,) = found.journeys
    assert (journey.id, journey.version, journey.name) == ("beneficiaire-du-rsa", "1", "Bénéficiaire du RSA")
    assert journey.steps[0].who == "France services"
    assert "hypothèse" in journey.source


def test_without_a_line_there_is_no_source() -> None:
    """A table with a gap rests on nothing there."""
    empty = Rules(replace(rules().network, lines=()))
    body = {"site": "hem", "occurred_at": "2026-11-20T10:00:00Z", "channel": "desk", "age_band": "18-20"}
    form = SimulateForm.model_validate(body | {"needs": [{"code": "logement", "outcome": "to-refer"}]})
    (proposal,) = handlers.simulate(form, empty).proposals
    assert (proposal.rule, proposal.source, proposal.journey) == ("no-line", None, None)


def test_whom_the_rules_take_to_live_where_is_told_by_name() -> None:
    """A postcode that is another commune's INSEE code is seen for what it is: 80110 is Boismont, not Moreuil."""
    homes = [simulate("logement", commune=code).residence for code in ("80110", None)]
    assert [(home.code, home.name, home.department) for home in homes] == [
        ("80110", "Boismont", "80"),
        ("80570", "Moreuil", "80"),
    ]


def test_a_partner_that_nobody_knows_is_refused_as_when_the_visit_is_posted() -> None:
    """A misspelt id is no question of territory: 422 with the pointer."""
    needs = [{"code": "logement", "outcome": "to-refer", "recipient": "departement80"}]
    with pytest.raises(Rejected) as refused:
        simulate("logement", needs=needs)
    assert refused.value.errors == [
        {"pointer": "/needs/0/recipient", "detail": "Partenaire absent des fichiers de réseau."}
    ]
