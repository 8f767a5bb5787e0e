"""The contact sheet that goes with a proposal, and how long proposing takes."""

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from services.contracts.codes import AgeBand, Category, Need, Outcome, Public
from services.contracts.intake import NeedFacts, VisitFacts
from services.intake.samples import sample_visits
from services.network import ContactSheet, Network, Partner, Site, load
from services.network import Line as FileLine
from services.orientation.domain import ExpressedNeed, Line, Rulebook, Visit
from services.orientation.rules import Rules
from tests.support.stopwatch import best_of

DAY = date(2026, 11, 20)
EVERYWHERE = {"name": "anywhere"}
SOMME = {"name": "Somme", "covers": {"02", "80"}}
MOREUIL = {"name": "Moreuil", "covers": {"80570"}}
HOUSING = {"name": "housing", "needs": {"logement"}}
HOUSING_SOMME = {"name": "housing in the Somme", "needs": {"logement", "endettement"}, "covers": {"80"}}


def sheet_of(need: str, commune: str | None, *sheets: dict[str, Any]) -> str | None:
    """Whose name is on the slip, where the only partner there is has these sheets."""
    network = Network(
        rules_version="1",
        charters=(),
        sites=(Site(id="fs", name="FS", commune="80570", label="granted"),),
        partners=(Partner(id="p", kind="k", category=Category.LOCAL, name="P", covers="all", basis="mission"),),
        contact_sheets=tuple(ContactSheet.model_validate({"partner": "p"} | sheet) for sheet in sheets),
        lines=(FileLine(id="l", needs=tuple(Need), recipients=(("k",),), reason="r", source="s"),),
    )
    rules = Rules(network)
    facts = VisitFacts.model_validate(
        {"site": "fs", "occurred_at": "2026-11-20T10:00:00Z", "channel": "desk", "age_band": "unknown"}
        | {"commune": commune}
    )
    told = [NeedFacts(code=Need(need), outcome=Outcome.TO_REFER)]
    (proposal,) = rules.propose(rules.visit(facts, told, DAY))
    return proposal.contact_sheet.name if proposal.contact_sheet else None


@pytest.mark.parametrize(
    ("need", "commune", "sheets", "expected"),
    [
        ("logement", None, (EVERYWHERE, SOMME, MOREUIL), "Moreuil"),
        ("logement", "80021", (EVERYWHERE, SOMME, MOREUIL), "Somme"),
        ("logement", "59350", (EVERYWHERE, SOMME, MOREUIL), "anywhere"),
        ("logement", "59350", (SOMME, MOREUIL), None),
        ("logement", "80570", (MOREUIL, HOUSING), "housing"),
        ("logement", "80570", (MOREUIL, HOUSING, HOUSING_SOMME), "housing in the Somme"),
        ("numerique", "80570", (MOREUIL, HOUSING), "Moreuil"),
        ("numerique", "80570", (HOUSING,), None),
        ("logement", "80570", (MOREUIL, MOREUIL | {"name": "second"}), "Moreuil"),
        ("logement", "80570", (), None),
    ],
)
def test_the_narrowest_sheet_is_on_the_slip(
    need: str, commune: str | None, sheets: tuple[dict[str, Any], ...], expected: str | None
) -> None:
    """One for this very need before any other, then the commune before the département, then the order of the file."""
    assert sheet_of(need, commune, *sheets) == expected


def test_a_visit_costs_less_than_100_microseconds(tell: Callable[[str], None]) -> None:
    """On the shipped networks, as the service evaluates it; each need of the sample visits taken as one to refer."""
    rules = Rules(load(Path(__file__).parents[3] / "deploy" / "networks"))
    visits = [
        (
            VisitFacts.model_validate(body),
            [NeedFacts.model_validate(need | {"outcome": Outcome.TO_REFER}) for need in body["needs"]],
        )
        for body in sample_visits(DAY)
    ]

    def evaluate() -> None:
        for facts, needs in visits:
            rules.propose(rules.visit(facts, needs, DAY))

    each = best_of(7, evaluate) / len(visits)
    tell(f"shipped networks: {each * 1e6:.0f} µs a visit, all needs to refer")
    assert each < 100e-6


def test_the_last_of_5000_lines_is_found_as_fast_as_the_first(tell: Callable[[str], None]) -> None:
    """All lines are for the same need here, and the visit meets none but the last: nothing is read line by line."""
    need = ExpressedNeed(Need.LOGEMENT)
    others = [Line(f"{number}", frozenset({need.code}), "", publics=frozenset({Public.RSA})) for number in range(4999)]
    rulebook = Rulebook("1", (*others, Line("last", frozenset({need.code}), "")), ())
    visits = [Visit(DAY, "80570", (need,), age_band) for age_band in AgeBand for _ in range(100)]

    def find() -> None:
        for visit in visits:
            assert rulebook.line(need, visit) is rulebook.lines[-1]

    each = best_of(7, find) / len(visits)
    tell(f"the last of 5,000 lines: {each * 1e6:.1f} µs")
    assert each < 20e-6
