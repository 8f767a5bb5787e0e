"""Files of rows: each form read piece by piece, with the line of each row; what cannot be read is said."""

import json
from pathlib import Path

import pytest

from services.orientation.directory import row_files
from services.orientation.directory.row_files import Row, Unreadable, UnreadableFile, read
from tests.support.offers import as_cells, as_lines, as_list, service


def test_a_list_gives_its_items_by_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever they are and wherever a piece of the file ends: in a number, a text, between two items."""
    items = [{"id": "é" * 40}, 123456789, "a,]b", [1, [2]], None, {"id": "2"}]
    file = as_list(tmp_path / "x.json", items)
    for piece in (1, 2, 3, 7, 1000):
        monkeypatch.setattr(row_files, "_PIECE", piece)
        assert list(read(file)) == [Row(number, item) for number, item in enumerate(items, 1)]
    file.write_text(" \n[ ]\n")
    assert list(read(file)) == []


def test_a_line_that_is_no_json_spoils_no_other(tmp_path: Path) -> None:
    """It is told by its number; empty lines count and say nothing."""
    file = as_lines(tmp_path / "x.ndjson", [{"id": "1"}, "", "<td class='x'>", '{"id": NaN}', "[" * 9999, {"id": "2"}])
    found = list(read(file))
    assert [row.line for row in found] == [1, 3, 4, 5, 6]
    assert [isinstance(row.value, Unreadable) for row in found] == [False, True, True, True, False]


def test_cells_are_told_by_the_line_where_their_row_begins(tmp_path: Path) -> None:
    """A text may go on over several lines; a spreadsheet may have saved it with a byte order mark and semicolons."""
    rows = [{"id": "1", "nom": "un\ndeux"}, {"id": "2", "nom": "trois;"}]
    for delimiter in ",;":
        file = as_cells(tmp_path / "x.csv", rows, delimiter)
        file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
        assert list(read(file)) == [Row(2, rows[0]), Row(4, rows[1])]


def test_a_row_of_another_width_than_the_header_is_told(tmp_path: Path) -> None:
    """What would stand under the wrong name is not read."""
    file = tmp_path / "x.csv"
    file.write_text("id,nom\n1,un\n2\n3,trois,de trop\n\n4,quatre\n")
    found = list(read(file))
    assert [isinstance(row.value, Unreadable) for row in found] == [False, True, True, False]
    assert found[1].value == Unreadable("cellules : 1, colonnes : 2")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("x.json", b"", "vide"),
        ("x.csv", b" \n\n ", "vide"),
        ("x.json", '[{"id": "é"}]'.encode("latin-1"), "UTF-8"),
        ("x.json", b"<html>", "pas du JSON"),
        ("x.json", b'[{"id": "1"}', "pas du JSON"),
        ("x.json", b'[{"id": "1"},]', "pas du JSON"),
        ("x.json", b'[{"id": "1"}] et puis', "pas du JSON"),
        ("x.json", b'[{"id": "1"} {"id": "2"}]', "pas du JSON"),
        ("x.json", b'[{"id": ' + b"[" * 9999, "pas du JSON"),
        ("x.csv", b'id,nom\n1,"un\n2,"deux"\n', "ligne 3"),
        ("x.csv", b'id,nom\n1,"un\n2,deux\n', "guillemets"),
    ],
)
def test_a_file_that_is_none_of_these_is_refused_whole(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    """Else what stands behind the broken place would be taken for gone."""
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(UnreadableFile, match=words):
        list(read(file))


def test_a_file_is_never_read_whole(tmp_path: Path) -> None:
    """The first row is there when a piece has been read; a row without an end is given up."""
    file = as_list(tmp_path / "x.json", [service(number) for number in range(5000)])
    read_so_far: list[int] = []
    rows = read(file, read_so_far.append)
    next(rows)
    assert read_so_far == [pytest.approx(2**18, rel=0.1)]
    file.write_text('["' + "x" * 2**25, encoding="ascii")
    with pytest.raises(UnreadableFile):
        list(read(file))
    file.write_text(json.dumps({"id": "x" * 2**25}), encoding="ascii")
    with pytest.raises(UnreadableFile, match="16 millions"):
        list(read(file))


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    """As anything that cannot be opened."""
    with pytest.raises(UnreadableFile, match="illisible"):
        list(read(tmp_path))
