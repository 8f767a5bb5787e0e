"""`relais directory …` as whoever looks after a network uses it, on a real database."""

import json
import re
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from data_inclusion.schema.v1 import Service, Structure
from sqlalchemy import Table, select
from typer.testing import CliRunner, Result

from services.chassis.database import Database
from services.chassis.migrate import migrate
from services.orientation.commands.directory import app
from services.orientation.directory.snapshots import Snapshot
from services.orientation.tables import directory_snapshots, services, structures
from tests.support.offers import Row, as_cells, as_lines, as_list, service, structure

Relais = Callable[..., Result]
PAGE = Path(__file__).parents[4] / "docs" / "directory.md"


@pytest.fixture
def database(databases: Callable[[], dict[str, str]], monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """Orientation's own, which the command uses too."""
    url = databases()["orientation"]
    monkeypatch.setenv("RELAIS_DATABASE_URL_ORIENTATION", url)
    monkeypatch.setenv("COLUMNS", "200")
    found = Database(url, "test")
    migrate(found, "orientation")
    yield found
    found.close()


@pytest.fixture
def relais(database: Database) -> Relais:  # noqa: ARG001 - it must be there
    """Return what runs `relais directory …` on that database."""
    return lambda *arguments: CliRunner().invoke(app, [str(each) for each in arguments])


@pytest.fixture
def offer(tmp_path: Path) -> Callable[..., list[Path]]:
    """Return what writes structures and services to files of a day in October 2025."""

    def write(of_structures: list[Row], of_services: list[Row], day: str = "01") -> list[Path]:
        return [
            as_list(tmp_path / f"structures-2025-10-{day}.json", of_structures),
            as_list(tmp_path / f"services-2025-10-{day}.json", of_services),
        ]

    return write


def rows(database: Database, *tables: Table) -> list[Any]:
    """Everything the directory holds."""
    found = tables or (structures, services, directory_snapshots)
    with database.begin() as connection:
        return [row for table in found for row in connection.execute(select(table).order_by(*table.primary_key))]


def told(result: Result) -> dict[str, Any]:
    """What `--json` prints."""
    report: dict[str, Any] = json.loads(result.stdout)
    return report


def figures(result: Result, kind: str = "services", source: str = "dora") -> list[int]:
    """New, changed, gone, unchanged."""
    found = told(result)[kind][source]
    return [found[name] for name in ("new", "changed", "gone", "unchanged")]


BROKEN = [
    ("no name", service(2, nom=None), "nom"),
    ("bad commune", service(3, code_insee="80999"), "code_insee"),
    ("unknown thématique", service(4, thematiques=["jardinage"]), "thematiques"),
    ("bad date", service(5, date_maj="31/02/2025"), "date_maj"),
    ("unknown structure", service(6, structure_id="dora--nowhere"), "structure_id"),
    ("duplicate", service(1, nom="Deux fois"), "id"),
    ("NUL", service(7, description="Un texte\0coupé"), "description"),
    ("not an object", ["pas", "un", "objet"], "ligne"),
    ("HTML", "<tr><td class='erreur'>502 Bad Gateway</td></tr>", "ligne"),
]


def test_broken_rows_are_listed_and_the_good_ones_imported(relais: Relais, database: Database, tmp_path: Path) -> None:
    """By line and field, with exit 1; what is good stands before, between and behind."""
    good = [service(1), service(8), service(9, zone_eligibilite=None)]
    lines = [good[0], *(row for _, row, _ in BROKEN[:4]), good[1], *(row for _, row, _ in BROKEN[4:]), good[2]]
    files = [as_lines(tmp_path / "s.ndjson", [structure()]), as_lines(tmp_path / "services.ndjson", lines)]
    result = relais("import", *files, "--of", "2025-10-01", "--json")
    assert result.exit_code == 1
    refused = told(result)["refused"]
    assert [(each["line"], each["field"]) for each in refused] == [
        (number + 2 + (number > 3), field) for number, (_, _, field) in enumerate(BROKEN)
    ]
    assert {each["file"] for each in refused} == {"services.ndjson"}
    assert [each["id"] for each in refused[:5]] == [f"dora--{number}" for number in range(2, 7)]
    assert [row.id for row in rows(database, services)] == ["dora--1", "dora--8", "dora--9"]
    shown = relais("import", *files, "--of", "2025-10-01")
    assert shown.exit_code == 1
    for words in (
        "services.ndjson",
        "jardinage",
        "aucune commune",
        "9 rows refused",
        "nothing changed",
        "no readable id",
    ):
        assert words in shown.stdout


def test_the_same_files_again_change_nothing(
    relais: Relais, database: Database, offer: Callable[..., list[Path]]
) -> None:
    """Not a row, not a date; and so it says."""
    files = offer([structure(1), structure(2)], [service(number) for number in range(1, 41)])
    first = relais("import", *files, "--json")
    assert (first.exit_code, figures(first), figures(first, "structures")) == (0, [40, 0, 0, 0], [2, 0, 0, 0])
    before = rows(database)
    assert figures(relais("import", *files, "--json")) == [0, 0, 0, 40]
    again = relais("import", *files[::-1])
    assert (again.exit_code, "nothing changed; 0 rows refused" in again.stdout) == (0, True)
    assert rows(database) == before


def test_a_snapshot_changes_what_changed_and_nothing_else(
    relais: Relais, database: Database, offer: Callable[..., list[Path]]
) -> None:
    """New, changed, gone and unchanged, source by source; a source that the files do not name is left alone."""
    others = [service(number, "fredo", structure_id="dora--s1") for number in (1, 2)]
    relais("import", *offer([structure()], [*(service(number) for number in range(1, 31)), *others]))
    changed = service(2, nom="Un autre nom", date_maj="2025-10-14")
    later = offer([structure()], [changed, *(service(number) for number in range(3, 32))], "15")
    result = relais("import", *later, "--json")
    assert (result.exit_code, figures(result)) == (0, [1, 1, 1, 28])
    assert "fredo" not in told(result)["services"]
    found = {row.id: row for row in rows(database, services)}
    assert [id_ for id_, row in found.items() if row.gone_on] == ["dora--1"]
    assert str(found["dora--1"].gone_on) == "2025-10-15"
    assert json.loads(found["dora--2"].document)["nom"] == "Un autre nom"
    back = relais("import", *offer([structure()], [service(number) for number in range(1, 32)], "20"), "--json")
    assert figures(back) == [0, 2, 0, 29]
    assert all(row.gone_on is None for row in rows(database, services))


def test_a_known_row_that_is_broken_now_is_not_taken_for_gone(
    relais: Relais, database: Database, offer: Callable[..., list[Path]]
) -> None:
    """What was known of it stays as it was; what the file does not name at all is gone."""
    relais("import", *offer([structure()], [service(1), service(2), service(3)]))
    known = rows(database, services)[:2]
    result = relais("import", *offer([structure()], [service(1), service(2, nom=None)], "15"), "--json")
    assert (result.exit_code, figures(result)) == (1, [0, 0, 1, 1])
    assert rows(database, services)[:2] == known
    assert str(rows(database, services)[2].gone_on) == "2025-10-15"


def test_nothing_is_gone_when_a_broken_row_has_no_name(
    relais: Relais, database: Database, offer: Callable[..., list[Path]]
) -> None:
    """It may be any of those that the file does not name; `--partial` says from the start that others stay."""
    relais("import", *offer([structure()], [service(1), service(2)]))
    broken = relais("import", *offer([structure()], [service(1), {"nom": "x"}], "15"), "--json")
    assert (broken.exit_code, figures(broken)) == (1, [0, 0, 0, 1])
    assert told(broken)["untold"] == ["services-2025-10-15.json"]
    partial = relais("import", *offer([structure()], [service(1)], "16"), "--partial", "--json")
    assert (partial.exit_code, figures(partial)) == (0, [0, 0, 0, 1])
    assert all(row.gone_on is None for row in rows(database, services))
    assert figures(relais("import", *offer([structure()], [service(1)], "17"), "--json")) == [0, 0, 1, 1]


def test_services_go_with_their_structure(relais: Relais, database: Database, offer: Callable[..., list[Path]]) -> None:
    """A structure that is gone offers nothing, whether or not a file of services says so."""
    relais("import", *offer([structure(1), structure(2)], [service(1), service(2, structure_id="dora--s2")]))
    (file, _) = offer([structure(1)], [], "15")
    result = relais("import", file, "--json")
    assert (figures(result, "structures"), figures(result)) == ([0, 0, 1, 1], [0, 0, 1, 0])
    assert [row.id for row in rows(database, services) if row.gone_on] == ["dora--2"]


def test_an_id_is_of_one_source(relais: Relais, database: Database, offer: Callable[..., list[Path]]) -> None:
    """Another source that brings the same id is refused, and takes nothing away."""
    relais("import", *offer([structure()], [service(1), service(2)]))
    before = rows(database, services)
    result = relais("import", *offer([structure()], [service(3) | {"source": "x"}, service(1) | {"source": "x"}], "15"))
    assert result.exit_code == 1
    assert "autre source" in result.stdout
    assert rows(database, services)[:2] == before


def test_csv_and_json_of_the_same_data_give_the_same(relais: Relais, database: Database, tmp_path: Path) -> None:
    """Also row by row, and after the other: nothing changes."""
    of_structures, of_services = [structure(1), structure(2)], [service(number) for number in range(1, 31)]
    written = []
    for suffix, write in (("csv", as_cells), ("json", as_list), ("ndjson", as_lines)):
        files = [write(tmp_path / f"a.{suffix}", of_structures), write(tmp_path / f"b.{suffix}", of_services)]
        result = relais("import", *files, "--of", "2025-10-01", "--json")
        assert result.exit_code == 0, result.output
        written.append(figures(result))
    assert written == [[30, 0, 0, 0], [0, 0, 0, 30], [0, 0, 0, 30]]
    assert len(rows(database, services)) == 30


def test_what_is_exported_changes_nothing_when_imported(relais: Relais, database: Database, tmp_path: Path) -> None:
    """In both forms, valid by the schema's own library, on the same database and on another."""
    odd = service(
        2, description="« Deux » lignes\r\n; \"et\", 'des' signes\t[1]", lien_mobilisation="https://é.fr/ô?b= c"
    )
    files = [as_list(tmp_path / "a.json", [structure()]), as_list(tmp_path / "b.json", [service(1), odd])]
    assert relais("import", *files, "--of", "2025-10-01").exit_code == 0
    before = rows(database)
    for form in ("json", "csv"):
        written = []
        for kind in ("structures", "services"):
            written.append(tmp_path / f"{kind}.{form}")
            result = relais("export", written[-1], "--kind", kind, "--format", form)
            number = {"structures": "1 structure", "services": "2 services"}[kind]
            assert result.output == f"{number} in {written[-1]}\n"
        assert relais("import", *written, "--of", "2025-10-01", "--json").exit_code == 0
        assert rows(database) == before
    printed = json.loads(relais("export").stdout)
    assert [Service.model_validate(row).id for row in printed] == ["dora--1", "dora--2"]
    (told_structure,) = json.loads(relais("export", "--kind", "structures").stdout)
    assert Structure.model_validate(told_structure).code_insee == "80685"


def test_what_cannot_be_taken_is_refused_whole(relais: Relais, database: Database, tmp_path: Path) -> None:
    """Exit 2 and not a row: other fields, no row, an older snapshot, contradicting words; each with a reason."""
    right = as_list(tmp_path / "a-2025-10-15.json", [structure()])
    other = as_cells(tmp_path / "b.csv", [{"id_fs": "1", "lib_fs": "Roye"}])
    for files, words in (
        ([right, other], "« id » et « source »"),
        ([right, tmp_path / "none.json"], "does not exist"),
        ([right, as_list(tmp_path / "d-2025-10-16.json", [service()])], "several dates"),
        ([right, "--of", "2999-01-01"], "still to come"),
        ([right, "--structures", "--services"], "one of the two"),
    ):
        result = relais("import", *files)
        assert (result.exit_code, words in result.output) == (2, True), result.output
    assert rows(database) == []
    assert relais("import", right).exit_code == 0
    older = relais("import", right, "--of", "2025-10-14")
    assert (older.exit_code, "2025-10-15 is here already" in older.output) == (2, True)


@pytest.mark.parametrize("form", ["json", "csv"])
@pytest.mark.parametrize("option", [(), ("--services",)])
def test_a_file_without_a_row_changes_nothing(
    relais: Relais, database: Database, tmp_path: Path, form: str, option: tuple[str, ...]
) -> None:
    """As an empty directory is exported: that is said, nothing is gone, and the other files are taken."""
    empty = tmp_path / f"empty.{form}"
    assert relais("export", empty, "--format", form).output == f"0 services in {empty}\n"
    relais("import", as_list(tmp_path / "a.json", [structure()]), "--of", "2025-10-01")
    offered = as_list(tmp_path / "b.json", [service(1)])
    both = relais("import", empty, offered, *option, "--of", "2025-10-01")
    assert (both.exit_code, f"empty.{form}: no rows" in both.stdout) == (0, True), both.output
    assert "services of dora: 1 new" in both.stdout
    before = rows(database)
    alone = relais("import", empty, *option, "--of", "2025-10-02", "--json")
    assert (alone.exit_code, told(alone)["empty"], told(alone)["services"]) == (0, [empty.name], {})
    assert rows(database) == before


def test_the_guides_own_list_is_imported(relais: Relais, tmp_path: Path) -> None:
    """The two files of docs/directory.md, as they stand there, by the command that stands there."""
    files = re.findall(r"`(\w+\.csv)`:\n\n```csv\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    for name, text in files:
        (tmp_path / name).write_text(text, encoding="utf-8")
    result = relais("import", *(tmp_path / name for name, _ in files), "--json")
    assert result.exit_code == 0, result.output
    for kind in ("structures", "services"):
        assert figures(result, kind, "cc-exemple") == [1, 0, 0, 0]
    (found,) = json.loads(relais("export").stdout)
    assert (found["publics"], found["zone_eligibilite"]) == (["demandeurs-emploi", "jeunes"], ["80"])


def test_one_refused_row_is_one_row(relais: Relais, tmp_path: Path) -> None:
    """Not "1 rows"."""
    file = as_list(tmp_path / "a.json", [structure(1, nom=None)])
    assert "nothing changed; 1 row refused\n" in relais("import", file).stdout


def test_two_imports_at_once_do_not_mix(relais: Relais, database: Database, tmp_path: Path) -> None:
    """The second says that another runs, and writes nothing; when that is done, it may."""
    file = as_list(tmp_path / "a.json", [structure()])
    with database.begin() as connection:
        Snapshot(connection, "services", date(2025, 10, 1))
        busy = relais("import", file)
        assert (busy.exit_code, "another import is running" in busy.output) == (1, True)
    assert rows(database) == []
    assert relais("import", file).exit_code == 0


def test_rows_are_what_the_command_says_they_are(relais: Relais, tmp_path: Path) -> None:
    """`--services` on a file whose rows lack every field of a service tells which field they lack."""
    file = as_list(tmp_path / "a.json", [structure()])
    result = relais("import", file, "--services", "--json")
    assert result.exit_code == 1
    assert {each["field"] for each in told(result)["refused"]} == {"structure_id", "description"}


def test_what_a_stranger_wrote_moves_no_cursor(relais: Relais, tmp_path: Path) -> None:
    """Neither as a control character nor as the markup of the terminal's own library."""
    rows_ = [structure(), structure(2, id="[/red]\x1b[2J", nom=None)]
    result = relais("import", as_list(tmp_path / "a.json", rows_))
    assert result.exit_code == 1
    assert "[/red]" in result.stdout
    assert "\x1b" not in result.stdout
