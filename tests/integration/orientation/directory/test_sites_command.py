"""`relais sites …` as whoever looks after a network uses it."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from data_inclusion.schema.v1 import Structure
from typer.testing import CliRunner, Result

from services.orientation.commands.directory import app

HEAD = (
    "id_fs,insee_dep,lib_fs,adresse,insee_com,code_postal,lib_com,mail,telephone,"
    "h_lundi,h_mardi,h_mercredi,h_jeudi,h_vendredi,h_samedi,labellisation_fs\n"
)
ROYE = (
    "982,80,France services La Poste de Roye,Place de la République,80685,80700,Roye,roye@example.org,03 22 37 15 94,"
    "14:00 - 17:00,,,,,09:00 - 12:00 / 10:00 - 13:00,Espace labellisé 01/09/2020\n"
)
OTHER_ROYE = "70,70,France services de Roye,Rue de la Mairie,70455,70200,Roye,,,,,,,,,Espace labellisé 01/01/2021\n"
NOWHERE = "7,80,France services de Nulle-Part,Place Vide,80999,80000,Amiens,,,,,,,,,Espace labellisé 01/01/2021\n"


@pytest.fixture
def relais(databases: Callable[[], dict[str, str]], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Return what runs a command on a database of its own."""
    monkeypatch.setenv("RELAIS_DATABASE_URL_ORIENTATION", databases()["orientation"])
    return lambda *arguments: CliRunner().invoke(app, [str(each) for each in arguments])


@pytest.fixture
def the_list(tmp_path: Path) -> Path:
    """A list with its date in its name, as a spreadsheet saves it: with a byte order mark."""
    file = tmp_path / "sites-2024-08-01.csv"
    file.write_text(HEAD + ROYE + OTHER_ROYE, encoding="utf-8-sig")
    return file


def test_a_list_is_taken_over_and_the_second_time_changes_nothing(
    relais: Callable[..., Result], the_list: Path
) -> None:
    """The report names each row that was adapted, with its line and the reason."""
    first = relais("import", the_list)
    assert first.exit_code == 0, first.output
    assert "réunies" in first.output
    assert "list of 2024-08-01: 2 new, 0 changed, 0 gone, 0 unchanged; 1 rows adapted, 0 refused" in first.output
    again = json.loads(relais("import", the_list, "--json").output)
    assert {name: again[name] for name in ("new", "changed", "gone", "unchanged", "changes")} == {
        "new": 0, "changed": 0, "gone": 0, "unchanged": 2, "changes": [],
    }  # fmt: skip
    assert [(each["line"], each["site"], each["field"]) for each in again["adapted"]] == [(2, "982", "h_samedi")]


def test_what_is_exported_are_structures(relais: Callable[..., Result], the_list: Path, tmp_path: Path) -> None:
    """Both Royes, each in its own département; to a file, or to the terminal."""
    relais("import", the_list)
    file = tmp_path / "sites.json"
    assert relais("export", file).output == f"2 structures in {file}\n"
    found = [Structure.model_validate(each) for each in json.loads(file.read_text(encoding="utf-8"))]
    assert {(each.commune, each.code_insee) for each in found} == {("Roye", "80685"), ("Roye", "70455")}
    assert json.loads(relais("export").output) == json.loads(file.read_text(encoding="utf-8"))


def test_a_row_that_is_refused_spoils_no_other(relais: Callable[..., Result], the_list: Path) -> None:
    """Exit 1 says that not all was taken; which row, and why, is said too."""
    the_list.write_text(HEAD + ROYE + NOWHERE + OTHER_ROYE, encoding="utf-8")
    result = relais("import", the_list)
    assert result.exit_code == 1
    assert "80999" in result.output
    assert "2 new" in result.output
    assert "1 refused" in result.output


def test_what_is_no_list_is_refused_whole(relais: Callable[..., Result], the_list: Path, tmp_path: Path) -> None:
    """Exit 2: another file, another encoding, no date, a date to come, a list older than the last."""
    wrong = tmp_path / "other-2024-08-01.csv"
    wrong.write_text("id;name\n1;Roye\n")
    assert (relais("import", wrong).exit_code, "insee_com" in relais("import", wrong).output) == (2, True)
    wrong.write_bytes((HEAD + ROYE).encode("latin-1"))
    assert "not UTF-8" in relais("import", wrong).output
    undated = the_list.rename(tmp_path / "sites.csv")
    assert "--of" in relais("import", undated).output
    assert relais("import", undated, "--of", "2999-01-01").exit_code == 2
    assert relais("import", undated, "--of", "1/8/2024").exit_code == 2
    assert relais("import", undated, "--of", "2024-08-01").exit_code == 0
    older = relais("import", undated, "--of", "2024-07-01")
    assert (older.exit_code, "2024-08-01 is here already" in older.output) == (2, True)
