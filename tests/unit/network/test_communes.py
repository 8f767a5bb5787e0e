"""Communes by their INSEE codes: the official geographic code as it stands, and what is no such code."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from services.contracts.codes import department_of
from services.network import cog, communes
from services.network.communes import Commune, commune, problem, today


@pytest.mark.parametrize(
    ("code", "name", "department", "current"),
    [
        pytest.param("80570", "Moreuil", "80", "80570", id="a commune of today"),
        pytest.param("80685", "Roye", "80", "80685", id="Roye in the Somme"),
        pytest.param("70455", "Roye", "70", "70455", id="Roye in Haute-Saône"),
        pytest.param("2A004", "Ajaccio", "2A", "2A004", id="Corse-du-Sud"),
        pytest.param("2B033", "Bastia", "2B", "2B033", id="Haute-Corse"),
        pytest.param("01053", "Bourg-en-Bresse", "01", "01053", id="a leading zero"),
        pytest.param("97105", "Basse-Terre", "971", "97105", id="Guadeloupe"),
        pytest.param("97209", "Fort-de-France", "972", "97209", id="Martinique"),
        pytest.param("97302", "Cayenne", "973", "97302", id="Guyane"),
        pytest.param("97411", "Saint-Denis", "974", "97411", id="La Réunion"),
        pytest.param("97608", "Dzaoudzi", "976", "97608", id="Mayotte"),
        pytest.param("97502", "Saint-Pierre", "975", "97502", id="Saint-Pierre-et-Miquelon"),
        pytest.param("97701", "Saint-Barthélemy", "977", "97701", id="Saint-Barthélemy"),
        pytest.param("97123", "Saint-Barthélemy", "977", "97701", id="Saint-Barthélemy, when it was in Guadeloupe"),
        pytest.param("97801", "Saint-Martin", "978", "97801", id="Saint-Martin"),
        pytest.param("97127", "Saint-Martin", "978", "97801", id="Saint-Martin, when it was in Guadeloupe"),
        pytest.param("98611", "Alo", "986", "98611", id="Wallis-et-Futuna"),
        pytest.param("98735", "Papeete", "987", "98735", id="French Polynesia"),
        pytest.param("98818", "Nouméa", "988", "98818", id="New Caledonia"),
        pytest.param("75056", "Paris", "75", "75056", id="Paris"),
        pytest.param("75101", "Paris 1er Arrondissement", "75", "75056", id="the first arrondissement of Paris"),
        pytest.param("75120", "Paris 20e Arrondissement", "75", "75056", id="its last"),
        pytest.param("69123", "Lyon", "69", "69123", id="Lyon"),
        pytest.param("69381", "Lyon 1er Arrondissement", "69", "69123", id="an arrondissement of Lyon"),
        pytest.param("13055", "Marseille", "13", "13055", id="Marseille"),
        pytest.param("13201", "Marseille 1er Arrondissement", "13", "13055", id="an arrondissement of Marseille"),
        pytest.param("44225", "Freigné", "44", "44180", id="delegated"),
        pytest.param("49144", "Vallons-de-l'Erdre", "44", "44180", id="its code before, in another département"),
        pytest.param("59355", "Lomme", "59", "59350", id="associated with Lille"),
        pytest.param("79224", "Le Puy-Saint-Bonnet", "49", "49099", id="associated across a département's border"),
        pytest.param("01126", "Valserhône", "01", "01033", id="merged: the name is that of today's commune"),
        pytest.param("80250", "Domvast", "80", "80250", id="a commune's code that is a postcode as well"),
    ],
)
def test_a_code_is_a_commune_of_today_or_part_of_one(code: str, name: str, department: str, current: str) -> None:
    """Name, département and commune of today; the département is today's commune's."""
    assert commune(code) == Commune(code, name, department, current)
    assert today(code) == current
    assert department_of(current) == department
    assert problem(code) is None


@pytest.mark.parametrize(
    "code",
    [
        pytest.param("80999", id="a code of no commune"),
        pytest.param("00000", id="zeros"),
        pytest.param("99131", id="Belgium"),
        pytest.param("59510", id="Hem's postcode, and the old code of a commune now part of Dunkerque"),
        pytest.param("75001", id="a postcode of Paris, and Alfortville's code until 1968"),
        pytest.param("20200", id="Bastia's postcode, and another commune's code until 1976"),
        pytest.param("20179", id="a CEDEX postcode of Ajaccio"),
    ],
)
def test_what_may_be_a_postcode_is_no_commune_and_is_told_so(code: str) -> None:
    """None; the reason says that an INSEE code is expected, and does not quote what was sent."""
    assert commune(code) is None
    told = problem(code) or ""
    assert "code INSEE" in told
    assert "code postal" in told
    assert code not in told


@pytest.mark.parametrize("code", ["2A999", "2C004", "Moreuil", "", "80570,", "8057", "805700"])
def test_what_is_no_postcode_either_is_plainly_unknown(code: str) -> None:
    """Neither a beginning of a code nor one with something behind it finds a line."""
    assert commune(code) is None
    assert (problem(code) or "").startswith("Aucune commune")


def test_a_stored_code_that_is_unknown_stays_what_it_is() -> None:
    """What was recorded before codes were checked goes on being read."""
    assert today("80999") == "80999"


def test_the_file_holds_the_whole_geographic_code_of_2026() -> None:
    """34,875 communes and 94 places of the collectivities; in order, one line a code, each of today or part of one."""
    lines = [line.split(",") for line in communes.FILE.read_text(encoding="utf-8").splitlines()]
    assert {len(line) for line in lines} == {3}
    assert all(before[0] < after[0] for before, after in pairwise(lines))
    of_today = {code for code, _, current in lines if not current}
    assert len(of_today) == 34_969
    assert {current for _, _, current in lines if current} <= of_today
    assert all(name for code, name, _ in lines if code in of_today)


def test_every_departement_has_its_communes() -> None:
    """101 départements, and eight collectivities and territories overseas."""
    found = {department_of(line.split(",")[0]) for line in communes.FILE.read_text(encoding="utf-8").splitlines()}
    metropolitan = {f"{number:02}" for number in range(1, 96) if number != 20} | {"2A", "2B"}
    overseas = {"971", "972", "973", "974", "976"}
    assert found == metropolitan | overseas | {"975", "977", "978", "984", "986", "987", "988", "989"}


SOURCE: list[dict[str, Any]] = [
    {"code": "01033", "nom": "Valserhône", "type": "commune-actuelle", "departement": "01", "anciensCodes": ["01126"]},
    {"code": "01033", "nom": "Bellegarde", "type": "commune-deleguee", "chefLieu": "01033", "departement": "01"},
    {"code": "01091", "nom": "Châtillon", "type": "commune-deleguee", "chefLieu": "01033", "departement": "01"},
    {
        "code": "2A001",
        "nom": "Afa",
        "type": "commune-actuelle",
        "departement": "2A",
        "codesPostaux": ["20167"],
        "anciensCodes": ["20001", "99999"],
    },
    {"code": "75056", "nom": "Paris", "type": "commune-actuelle", "departement": "75", "anciensCodes": ["75001"]},
    {
        "code": "75101",
        "nom": "Paris 1er",
        "type": "arrondissement-municipal",
        "commune": "75056",
        "departement": "75",
        "codesPostaux": ["75001"],
    },
    {"code": "97701", "nom": "Saint-Barthélemy", "type": "commune-actuelle", "departement": "977"},
    {"code": "97801", "nom": "Saint-Martin", "type": "commune-actuelle", "departement": "978"},
]


def test_the_file_is_made_of_the_package(tmp_path: Path) -> None:
    """A chief place has one line, its commune's; parts and merged ones name today's; an old postcode is left out."""
    (tmp_path / "communes.json").write_text(json.dumps(SOURCE), encoding="utf-8")
    cog.write(tmp_path / "communes.json", tmp_path / "communes.csv")
    assert (tmp_path / "communes.csv").read_text(encoding="utf-8").splitlines() == [
        "01033,Valserhône,",
        "01091,Châtillon,01033",
        "01126,,01033",
        "2A001,Afa,",
        "75056,Paris,",
        "75101,Paris 1er,75056",
        "97123,,97701",
        "97127,,97801",
        "97701,Saint-Barthélemy,",
        "97801,Saint-Martin,",
        "99999,,2A001",
    ]


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"code": "80001", "type": "commune-deleguee", "chefLieu": "80002"}, "no commune of today"),
        ({"code": "80001", "type": "commune-actuelle", "departement": "02"}, "not in département 80"),
        ({"code": "80001", "nom": "Roye, Somme", "type": "commune-actuelle", "departement": "80"}, "a comma"),
    ],
)
def test_a_package_that_contradicts_itself_is_not_written(entry: dict[str, str], words: str) -> None:
    """Whoever makes the file anew learns the code rather than finding a wrong département in a report."""
    with pytest.raises(ValueError, match=words):
        cog.lines_of([*SOURCE, {"nom": "X"} | entry])


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("Roye", ["70455", "80685"]),
        ("st denis", ["11339", "30247", "93066", "97411"]),
        ("L’HAY LES ROSES", ["94038"]),
        ("2a004", ["2A004"]),
        ("Paris 15e Arrondissement", ["75056"]),
        ("80570 Amiens", []),
        ("80110", ["80110"]),
        ("Roy", []),
        ("", []),
    ],
)
def test_a_name_means_every_commune_called_so_and_none_called_otherwise(text: str, codes: list[str]) -> None:
    """Two Royes are both told; half a name, or a code beside another name, is nobody's."""
    assert [found.current for found in communes.named(text)] == codes
