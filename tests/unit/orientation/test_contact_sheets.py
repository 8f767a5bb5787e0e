"""Which contact sheets are found, in what order, and which are to be verified again."""

from datetime import date
from typing import Any

import pytest

from services.chassis.errors import Rejected
from services.network import ContactSheet, Line, Network, Partner
from services.orientation.contact_sheets import list_sheets
from services.orientation.forms import ContactSheetsQuery, FoundSheet

DAY = date(2026, 11, 22)


def partner(id_: str, **facts: Any) -> Partner:  # noqa: ANN401 - a field's value is of any type
    """A partner of a kind of its own name, everywhere."""
    plain = {"id": id_, "kind": id_, "name": id_.upper(), "category": "local", "covers": "all", "basis": "mission"}
    return Partner.model_validate(plain | facts)


def sheet(partner_id: str, name: str, **facts: Any) -> ContactSheet:  # noqa: ANN401 - as above
    """A sheet for any need, wherever its partner is."""
    return ContactSheet.model_validate({"partner": partner_id, "name": name} | facts)


NETWORK = Network(
    rules_version="1",
    charters=(),
    sites=(),
    partners=(
        partner("nation"),
        partner("somme", covers={"80"}),
        partner("moreuil", covers={"80570", "80131"}),
        partner("by-choice", covers={"59"}),
        partner("former", basket_until=date(2026, 11, 21)),
        partner("farm"),
    ),
    contact_sheets=(
        sheet("nation", "anywhere"),
        sheet("nation", "nation in the Somme", covers={"80"}),
        sheet("nation", "nation, debts", needs={"endettement"}),
        sheet("somme", "Somme"),
        sheet("somme", "Somme in Moreuil, housing", covers={"80570"}, needs={"logement"}),
        sheet("moreuil", "Moreuil"),
        sheet("by-choice", "by choice"),
        sheet("former", "former"),
        sheet("farm", "farm"),
    ),
    lines=(
        Line.model_validate(
            {"id": "1", "needs": ["logement"], "recipients": [["somme", "nation"], ["former"]], "msa": "farm"}
            | {"reason": "r", "source": "s", "publics": ["rsa"]}
        ),
        Line.model_validate(
            {"id": "2", "needs": ["employment"], "recipients": [["moreuil"]], "reason": "r", "source": "s"}
        ),
    ),
)


def found(**query: Any) -> list[FoundSheet]:  # noqa: ANN401 - a field's value is of any type
    """What is found on that day."""
    return list_sheets(ContactSheetsQuery.model_validate(query), NETWORK, DAY).contact_sheets


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (
            {},
            "Somme in Moreuil, housing|Moreuil|nation in the Somme|Somme|by choice|anywhere|nation, debts|farm",
        ),
        (
            {"commune": "80570"},
            "Somme in Moreuil, housing|Moreuil|nation in the Somme|Somme|anywhere|nation, debts|farm",
        ),
        ({"commune": "80021"}, "nation in the Somme|Somme|anywhere|nation, debts|farm"),
        ({"commune": "59350"}, "by choice|anywhere|nation, debts|farm"),
        ({"need": "logement"}, "Somme in Moreuil, housing|nation in the Somme|Somme|anywhere|farm"),
        ({"need": "endettement"}, "nation, debts"),
        ({"need": "chercher-un-emploi", "commune": "80570"}, "Moreuil"),
        ({"need": "chercher-un-emploi", "commune": "80021"}, ""),
    ],
)
def test_the_sheets_that_suit_the_narrowest_first(query: dict[str, str], expected: str) -> None:
    """For a need: those that name it, or for any need and of a partner that a line names for it, farm workers' too.

    For a commune: covered by the sheet and by its partner. Nothing of a partner outside its basket.
    """
    assert "|".join(each.name for each in found(**query)) == expected


def test_a_former_commune_is_the_one_it_is_part_of() -> None:
    """As for a visit: 80178 is a part of Moreuil."""
    assert found(commune="80178") == found(commune="80570") != found(commune="80021")


def test_an_unknown_commune_is_refused_and_not_quoted() -> None:
    """422 with a pointer, as `simulate` says it."""
    with pytest.raises(Rejected) as refused:
        found(commune="80999")
    (error,) = refused.value.errors
    assert (refused.value.status, error["pointer"]) == (422, "/commune")
    assert "80999" not in error["detail"]


@pytest.mark.parametrize(
    ("day", "verified", "stale"),
    [
        ("2026-11-22", None, True),
        ("2026-11-22", "2026-05-21", True),
        ("2026-11-22", "2026-05-22", False),
        ("2026-08-31", "2026-02-27", True),
        ("2026-08-31", "2026-02-28", False),
        ("2026-11-22", "2026-12-01", False),
    ],
)
def test_a_sheet_is_stale_after_six_calendar_months(day: str, verified: str | None, *, stale: bool) -> None:
    """On the day itself it is still fresh, and the end of a short month stands for its missing days."""
    assert sheet("p", "n", last_verified=verified).stale(date.fromisoformat(day)) is stale


def test_a_sheet_is_told_in_full() -> None:
    """With its partner's name and category; what is not known is null."""
    (told,) = found(need="endettement")
    assert told.model_dump(mode="json") == {
        "partner": "nation",
        "partner_name": "NATION",
        "category": "local",
        "needs": ["endettement"],
        "name": "nation, debts",
        "role": None,
        "address": None,
        "phone": None,
        "email": None,
        "hours": None,
        "last_verified": None,
        "stale": True,
        "example": False,
    }
