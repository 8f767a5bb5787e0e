"""`relais sites …` as whoever looks after a network uses it."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from data_inclusion.schema.v1 import Structure
from typer.testing import CliRunner, Result

from services.chassis import commands
from services.orientation.commands.sites import FIELDS, app
from services.orientation.directory import sites

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
    monkeypatch.setattr(commands.out, "width", 200)
    return lambda *arguments: CliRunner().invoke(app, [str(each) for each in arguments])


@pytest.fixture
def two_lists(relais: Callable[..., Result], the_list: Path) -> None:
    """In October Roye moved and opens on Tuesdays as well, and the other Roye is listed no more."""
    assert relais("import", the_list).exit_code == 0
    moved = ROYE.replace("Place de la République", "2 Rue\x1b[2J Neuve").replace("17:00,,", "17:00,09:00-12:00,")
    the_list.write_text(HEAD + moved, encoding="utf-8")
    assert relais("import", the_list, "--of", "2024-10-01").exit_code == 0


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
    assert "list of 2024-08-01: 2 new, 0 changed, 0 gone, 0 unchanged; 1 row adapted, 0 refused" in first.output
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


@pytest.mark.parametrize("rows", ["", NOWHERE], ids=["only a header", "none right"])
def test_a_list_without_a_site_takes_no_label_away(
    relais: Callable[..., Result], the_list: Path, tmp_path: Path, rows: str
) -> None:
    """That is said; exit 1 only when a row was refused."""
    relais("import", the_list)
    empty = tmp_path / "sites-2024-09-01.csv"
    empty.write_text(HEAD + rows, encoding="utf-8")
    result = relais("import", empty)
    assert (result.exit_code, "nothing changes by this file" in result.output) == (int(bool(rows)), True)
    assert relais("list").output.endswith("\n2 sites\n")
    assert json.loads(relais("import", empty, "--json").output)["gone"] == 0


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


def test_the_labelled_are_listed_and_the_gone_apart(relais: Callable[..., Result], two_lists: None) -> None:  # noqa: ARG001 - imported
    """Each with the commune's name and code, its label and since when; as JSON the same."""
    labelled, gone = relais("list"), relais("list", "--gone")
    assert (labelled.exit_code, gone.exit_code) == (0, 0)
    row = r"982 .* France services La Poste de Roye .* Roye \(80685\) .* accordé .* 01/09/2020 "
    assert re.search(row, labelled.output)
    assert labelled.output.endswith("\n1 site\n")
    assert "80685" not in gone.output
    assert re.search(r"70 .* Roye \(70455\) .* retiré .* 01/10/2024 ", gone.output)
    assert json.loads(relais("list", "--json").output) == [
        {"id": "982", "name": "France services La Poste de Roye", "commune": "80685", "commune_name": "Roye",
         "department": "80", "label": "granted", "since": "2020-09-01"},
    ]  # fmt: skip
    (lost,) = json.loads(relais("list", "--gone", "--json").output)
    assert (lost["id"], lost["label"], lost["since"]) == ("70", "withdrawn", "2024-10-01")


def test_only_those_of_a_place_are_listed(relais: Callable[..., Result], the_list: Path) -> None:
    """Of a département or a commune; where there is none, that is said, and is no error."""
    relais("import", the_list)

    def ids(*options: str) -> list[str]:
        return [each["id"] for each in json.loads(relais("list", *options, "--json").output)]

    assert ids() == ["70", "982"]
    assert (ids("--department", "80"), ids("--commune", "70455")) == (["982"], ["70"])
    assert ids("--department", "2a") == []
    nobody = relais("list", "--department", "2A")
    assert (nobody.exit_code, nobody.output) == (0, "aucun site\n")


def test_a_site_is_shown_with_its_hours_and_its_history(relais: Callable[..., Result], two_lists: None) -> None:  # noqa: ARG001 - imported
    """In French field names, day by day; what a stranger wrote moves no cursor."""
    shown = relais("show", "982")
    assert shown.exit_code == 0, shown.output
    lines = [" ".join(line.split()) for line in shown.output.splitlines()]
    assert lines[:3] == ["France services La Poste de Roye (982)", "label : accordé", "dernière liste : 01/10/2024"]
    assert {"commune : Roye (80685)", "courriel : roye@example.org", "labellisé le : 01/09/2020"} <= set(lines)
    hours = lines.index("horaires :")
    assert lines[hours + 1 : hours + 7] == [
        "lundi 14:00–17:00", "mardi 09:00–12:00", "mercredi fermé", "jeudi fermé", "vendredi fermé",
        "samedi 09:00–13:00",
    ]  # fmt: skip
    assert lines[lines.index("historique :") :] == [
        "historique :",
        "liste du 01/10/2024",
        "adresse : Place de la République → 2 Rue\ufffd[2J Neuve",
        "horaires du mardi : fermé → 09:00–12:00",
    ]
    lost = relais("show", "70").output
    assert "retiré, constaté par la liste du 01/10/2024" in lost
    assert "    label : accordé → retiré\n" in lost


def test_a_site_is_shown_to_a_script(relais: Callable[..., Result], two_lists: None) -> None:  # noqa: ARG001 - imported
    """All of it as JSON: the list's fields, the hours as OpenStreetMap writes them, and the changes as values."""
    shown = json.loads(relais("show", "982", "--json").output)
    assert set(shown) >= {*FIELDS, "id", "commune_name"}
    facts = {name: shown[name] for name in ("label", "since", "listed_on", "gone_on", "opening_hours")}
    assert facts == {
        "label": "granted", "since": "2020-09-01", "listed_on": "2024-10-01", "gone_on": None,
        "opening_hours": "Mo 14:00-17:00; Tu 09:00-12:00; Sa 09:00-13:00",
    }  # fmt: skip
    ((day, changes),) = ((each["listed_on"], each["changes"]) for each in shown["history"])
    assert (day, [each["field"] for each in changes]) == ("2024-10-01", ["address", "hours"])
    assert (changes[1]["before"][1], changes[1]["after"][1]) == ([], [["09:00", "12:00"]])


def test_every_field_that_may_change_has_a_french_name() -> None:
    """A list may change any of them, and `show` names it."""
    assert tuple(FIELDS) == sites.FIELDS


def test_without_a_list_that_is_said(relais: Callable[..., Result]) -> None:
    """Exit 1 with what to type, rather than an empty list or an unknown id."""
    for arguments in (("list",), ("list", "--gone"), ("list", "--json"), ("show", "982")):
        result = relais(*arguments)
        assert (result.exit_code, result.output) == (1, "no list was imported yet: relais sites import FILE\n")


def test_what_is_asked_wrongly_is_refused(relais: Callable[..., Result], the_list: Path) -> None:
    """1 for an id that no list had; 2 for what is no code of a place, naming the option."""
    relais("import", the_list)
    unknown = relais("show", "4711")
    assert (unknown.exit_code, "4711" in unknown.output) == (1, True)
    wrong = {"--department": ("Somme", "1", ""), "--commune": ("80999", "Roye", "")}
    for option, value in ((option, value) for option, values in wrong.items() for value in values):
        result = relais("list", option, value)
        assert (result.exit_code, option in result.output) == (2, True), (option, value)
    assert relais("show").exit_code == 2


@pytest.mark.parametrize("command", ["list", "show"])
def test_help_has_an_example(relais: Callable[..., Result], command: str) -> None:
    """One that can be typed."""
    assert f"Example: relais sites {command} " in relais(command, "--help").output
