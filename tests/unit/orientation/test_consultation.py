"""What an agent filled in: what is wrong is said beside its field, and nothing is guessed."""

from datetime import date
from typing import Any

import pytest

from services.contracts.codes import Need, Obstacle
from services.contracts.references import new_reference
from services.orientation.consultation import read
from services.orientation.forms import CounterForm

TODAY = date(2026, 11, 22)
REFERENCE = new_reference(b"1234567")


def wrong(**filled_in: Any) -> dict[str, str]:  # noqa: ANN401 - a field's value is of any type
    """The problems by field; one need is ticked unless told."""
    _, problems = read(CounterForm(**{"needs": (Need.LOGEMENT,)} | filled_in), TODAY)
    return {problem.field: problem.text for problem in problems}


@pytest.mark.parametrize(
    ("filled_in", "field", "words"),
    [
        ({"needs": ()}, "needs", "au moins un"),
        ({"needs": tuple(Need)[:11]}, "needs", "10 besoins à la fois"),
        ({"obstacles": (Obstacle.SANTE,)}, "obstacles", "Plusieurs freins"),
        ({"commune": "Roye"}, "commune", "Plusieurs communes"),
        ({"commune": "Moreil"}, "commune", "Aucune commune"),
        ({"commune": "80110"}, "commune", "80110 est le code INSEE de Boismont. Si c’est un code postal"),
        ({"commune": "80570 Amiens"}, "commune", "Aucune commune"),
        ({"day": "2999-01-01"}, "day", "date passée"),
        ({"day": "2026-W43-2"}, "day", "date passée"),
        ({"reference": REFERENCE[:-1]}, "reference", "celle-ci en a 11"),
        ({"reference": REFERENCE[:-1] + ("X" if REFERENCE[-1] != "X" else "Y")}, "reference", "est faux"),
    ],
)
def test_what_is_wrong_is_said(filled_in: dict[str, Any], field: str, words: str) -> None:
    """One problem, at its field, in words that say what to do."""
    problems = wrong(**filled_in)
    assert list(problems) == [field]
    assert words in problems[field]


@pytest.mark.parametrize("commune", ["80685 Roye", "moreuil", "2A004", "", "Paris"])
def test_what_is_certain_is_taken(commune: str) -> None:
    """A name that one commune has, a code with its name, a code that is no postcode, nothing at all."""
    assert wrong(commune=commune, reference=REFERENCE.lower(), day="2026-11-01") == {}


def test_a_mistyped_reference_stands_in_the_way_of_no_proposal() -> None:
    """The person at the counter gets an answer all the same."""
    asked, problems = read(CounterForm(needs=(Need.LOGEMENT,), reference="K7"), TODAY)
    assert asked is not None
    assert [problem.field for problem in problems] == ["reference"]
