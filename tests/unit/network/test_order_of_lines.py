"""Which lines cross, and how a line that is never reached is explained."""

import pytest

from services.contracts.codes import AgeBand, Need
from services.network import Line
from services.network.checking.lines import line_flaws, read


@pytest.mark.parametrize(
    ("above", "first", "second", "crosses"),
    [
        ({}, {"ages": ["16-17", "18-20"]}, {"ages": ["18-20", "21-25"]}, True),
        ({}, {"publics": ["rsa", "ass"]}, {"publics": ["rsa", "neet"]}, True),
        ({}, {"publics": ["rsa"], "ages": ["<16", "65+"]}, {"publics": ["rsa", "ass"], "ages": ["65+"]}, True),
        ({"ages": ["18-20"]}, {"ages": ["16-17", "18-20"]}, {"ages": ["18-20", "21-25"]}, False),
        ({}, {"ages": ["18-20"]}, {"ages": ["18-20", "21-25"]}, False),
        ({}, {"ages": ["16-17"]}, {"ages": ["18-20"]}, False),
        ({}, {"publics": ["rsa"]}, {"publics": ["neet"]}, False),
        ({}, {"publics": ["rsa"]}, {"ages": ["18-20"]}, False),
        ({}, {"publics": ["rsa"], "charter": True}, {"publics": ["rsa"], "ages": ["18-20"]}, False),
        ({}, {"ages": ["16-17", "18-20"], "kind": "b"}, {"ages": ["18-20", "21-25"], "kind": "b"}, False),
    ],
)
def test_lines_cross_when_only_their_order_decides(
    above: dict[str, object], first: dict[str, object], second: dict[str, object], *, crosses: bool
) -> None:
    """The same conditions, a value in common, neither narrower, other recipients, and nobody above took it all.

    That somebody may be of two publics that two lines name is what the order of the lines is for.
    """
    lines = [
        Line.model_validate(
            {
                "id": "x",
                "needs": ["logement"],
                "recipients": [[conditions.pop("kind", kind)]],
                "reason": "R",
                "source": "S",
            }
            | conditions
        )
        for kind, conditions in (("a", above or {"ages": ["55-64"]}), ("b", dict(first)), ("c", dict(second)))
    ]
    assert (2 in read(lines)[Need.LOGEMENT].crossed) is crosses


@pytest.mark.parametrize(
    ("above", "told"),
    [
        ([["16-17"], ["16-17", "18-20"], ["21-25"]], "« l1 » s’applique toujours avant"),
        ([["16-17"], ["18-20"], ["21-25"]], "« l0 », « l1 » s’appliquent toujours avant"),
        ([["16-17"], ["18-20"], ["21-25"], []], "« l0 », « l1 » s’appliquent toujours avant"),
    ],
)
def test_lines_that_take_all_from_another_are_named(above: list[list[str]], told: str) -> None:
    """The one that would do it alone, else each that takes a part, and none that takes nothing."""
    lines = [
        Line(
            id=f"l{n}",
            needs=(Need.LOGEMENT,),
            ages=frozenset(map(AgeBand, ages)),
            desk_first=True,
            reason="R",
            source="S",
        )
        for n, ages in enumerate([*above, ["16-17", "18-20"]])
    ]
    reasons = {flaw.place: flaw.reason for flaw in line_flaws("x.toml", lines, read(lines))}
    assert reasons[f"lines[{len(above)}]"] == f"jamais atteinte : {told}"


def test_at_most_three_lines_are_named() -> None:
    """A line behind a hundred others is told in one readable line."""
    lines = [
        Line(id=f"l{n}", needs=(Need.LOGEMENT,), ages=frozenset(ages), desk_first=True, reason="R", source="S")
        for n, ages in enumerate(
            [*([band] for band in AgeBand if band is not AgeBand.UNKNOWN), set(AgeBand) - {AgeBand.UNKNOWN}]
        )
    ]
    (reason,) = (flaw.reason for flaw in line_flaws("x.toml", lines, read(lines)) if flaw.place == "lines[8]")
    assert reason == "jamais atteinte : « l0 », « l1 », « l2 » et 5 autres s’appliquent toujours avant"
