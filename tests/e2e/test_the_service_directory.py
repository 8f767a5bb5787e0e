"""The service directory, from a file of data·inclusion with broken rows to what an agent finds at the counter."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.chassis.tokens import Role
from tests.support.house import House
from tests.support.offers import as_cells, as_lines, service, structure

SOURCE = "e2e"
ROYE, OTHER_ROYE = "80685", "70455"


def found(house: House, query: dict[str, str], role: Role = "site", org: str = "fs-roye") -> httpx.Response:
    """GET /v1/services."""
    headers = house.bearer(role, org)
    return house.client.get(f"{house.url('orientation')}/v1/services", params=query, headers=headers)


@pytest.fixture(scope="module")
def imported(house: House, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the command said of a file with good rows between broken ones, twice."""
    folder = tmp_path_factory.mktemp("offers")
    of_structures = as_cells(folder / "structures.csv", [structure(source=SOURCE)])
    lines = [
        service(1, SOURCE, nom="Atelier de Roye", zone_eligibilite=[ROYE]),
        service(2, SOURCE, nom=None),
        service(3, SOURCE, code_insee="80999"),
        service(4, SOURCE, thematiques=["jardinage"]),
        service(5, SOURCE, date_maj="hier"),
        service(6, SOURCE, structure_id="e2e--inconnue"),
        service(1, SOURCE, nom="Deux fois"),
        "<html>502 Bad Gateway</html>",
        "42",
        service(
            7,
            SOURCE,
            nom="Atelier de l’autre Roye",
            zone_eligibilite=[OTHER_ROYE],
            code_insee=OTHER_ROYE,
            latitude=None,
            longitude=None,
        ),
        service(8, SOURCE, nom="Par téléphone", modes_accueil=["a-distance"], zone_eligibilite=["france"]),
    ]
    of_services = as_lines(folder / "services.ndjson", lines)
    command = ("directory", "import", str(of_structures), str(of_services), "--of", "2025-10-02")
    first, again = house.relais(*command), house.relais(*command, "--json")
    return {"first": first, "again": again, "folder": folder}


def test_broken_rows_are_listed_by_line_and_field(imported: dict[str, Any]) -> None:
    """The good ones are imported; exit 1 says that not all were; the same again changes nothing and says so."""
    first, again = imported["first"], imported["again"]
    assert (first.returncode, again.returncode) == (1, 1), first.stderr
    assert "services of e2e: 3 new, 0 changed, 0 gone, 0 unchanged" in first.stdout
    assert "8 rows refused" in first.stdout
    report = json.loads(again.stdout)
    assert report["services"] == {"e2e": {"new": 0, "changed": 0, "gone": 0, "unchanged": 3}}
    assert [(each["line"], each["field"]) for each in report["refused"]] == [
        (2, "nom"), (3, "code_insee"), (4, "thematiques"), (5, "date_maj"), (6, "structure_id"), (7, "id"),
        (8, "ligne"), (9, "ligne"),
    ]  # fmt: skip


def test_each_town_finds_its_own(house: House, imported: dict[str, Any]) -> None:
    """Two towns are called Roye: the code decides, and the distance; what is at a distance comes last."""
    assert imported
    for commune, own in ((ROYE, "Atelier de Roye"), (OTHER_ROYE, "Atelier de l’autre Roye")):
        answer = found(house, {"commune": commune, "need": "numerique", "public": "rsa", "within_km": "30"})
        assert answer.status_code == httpx.codes.OK, answer.text
        body = answer.json()
        assert [each["name"] for each in body["services"] if each["source"] == SOURCE] == [own, "Par téléphone"]
        assert body["next"] is None
        near, far = (each for each in body["services"] if each["source"] == SOURCE)
        assert near["distance_km"] < 5
        assert (far["distance_km"], far["remote"]) == (None, True)


def test_who_may_look_and_how(house: House, imported: dict[str, Any]) -> None:
    """Sites, agents and partners; a wrong question is told by its field, and nothing found is an empty list."""
    assert imported
    assert found(house, {}, "agent", "fs-roye").status_code == httpx.codes.OK
    assert found(house, {}, "partner", "mission-locale-santerre").status_code == httpx.codes.OK
    assert found(house, {}, "steering", "spie-somme-santerre").status_code == httpx.codes.FORBIDDEN
    assert house.client.get(f"{house.url('orientation')}/v1/services").status_code == httpx.codes.UNAUTHORIZED
    for field, value in (("commune", "80999"), ("need", "x"), ("within_km", "200"), ("after", "x"), ("score", "1")):
        answer = found(house, {field: value})
        assert answer.status_code == httpx.codes.UNPROCESSABLE_ENTITY
        assert [each["pointer"] for each in answer.json()["errors"]] == [f"/{field}"]
    nothing = found(house, {"commune": "97411", "need": "endettement"})
    assert (nothing.status_code, nothing.json()) == (httpx.codes.OK, {"services": [], "next": None})


def test_what_is_exported_can_be_taken_elsewhere(house: House, imported: dict[str, Any]) -> None:
    """Both kinds, to files; importing them again changes nothing."""
    folder: Path = imported["folder"]
    files = [str(folder / "out-structures.csv"), str(folder / "out-services.csv")]
    for kind, file in zip(("structures", "services"), files, strict=True):
        done = house.relais("directory", "export", file, "--kind", kind, "--format", "csv")
        assert (done.returncode, done.stderr) == (0, "")
    again = house.relais("directory", "import", *files, "--of", "2025-10-02")
    assert (again.returncode, "nothing changed; 0 rows refused" in again.stdout) == (0, True), again.stdout


def test_what_is_no_directory_ends_with_2(house: House, tmp_path: Path) -> None:
    """And says why."""
    file = tmp_path / "x.json"
    for content, words in ((b"", "vide"), (b"pas du JSON", "JSON"), ('[{"id":"é"}]'.encode("latin-1"), "UTF-8")):
        file.write_bytes(content)
        done = house.relais("directory", "import", str(file))
        assert (done.returncode, words in done.stderr) == (2, True), done.stderr
