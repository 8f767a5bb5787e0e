"""Files of rows, whatever their form: a JSON list, newline-delimited JSON, CSV; read piece by piece, never whole."""

import csv
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NoReturn

_PIECE, _LONGEST = 2**18, 2**24  # characters read at once, and of the longest row
_BLANK = " \t\n\r"
_NOT_JSON = "pas du JSON valable"


class UnreadableFile(Exception):
    """The file cannot be read at all; says why, in French."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """What stands in a row's place when it cannot be read; says why, in French."""

    reason: str


@dataclass(frozen=True, slots=True)
class Row:
    """A row: of CSV, a dictionary of the cells that are not empty; of JSON, any value at all; or Unreadable.

    `line` is a line of the file, from 1, where the row begins; in a JSON list it is the number of the item, from 1.
    """

    line: int
    value: object


def read(path: Path, told: Callable[[int], object] = lambda _: None) -> Iterator[Row]:
    """The rows of a file, in its order; `told` is given how many bytes were read, from time to time.

    Raises UnreadableFile: when the file is not UTF-8, empty, no JSON (a list that is broken has no rows after that
    place) or no CSV (a quote that is never closed), or cannot be opened.
    """
    try:
        with path.open("rb") as raw, io.TextIOWrapper(raw, encoding="utf-8-sig", newline="") as file:
            start = _start_of(file)
            rows = _reader(path, start)(file)
            for number, row in enumerate(rows):
                if number % 500 == 0:
                    told(raw.tell())
                yield row
    except UnicodeDecodeError:
        raise UnreadableFile("pas de l’UTF-8") from None
    except OSError as error:
        raise UnreadableFile(f"fichier illisible ({error.strerror})") from None


def _start_of(file: IO[str]) -> str:
    """The first character that is no blank; the file is rewound."""
    while piece := file.read(_PIECE):
        if text := piece.lstrip(_BLANK):
            file.seek(0)
            return text[0]
    raise UnreadableFile("fichier vide")


def _reader(path: Path, start: str) -> Callable[[IO[str]], Iterator[Row]]:
    if start == "[":
        return _items
    if start == "{":
        return _lines
    if path.suffix.lower() in {".json", ".ndjson", ".jsonl"}:
        raise UnreadableFile(_NOT_JSON)
    return _cells


def _loads(text: str) -> object:
    try:
        return json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError):
        return Unreadable(_NOT_JSON)


def _no_number(_: str) -> NoReturn:
    """JSON has no NaN and no Infinity."""
    raise ValueError


def _lines(file: IO[str]) -> Iterator[Row]:
    return (Row(number, _loads(line)) for number, line in enumerate(_physical_lines(file), 1) if line.strip())


def _physical_lines(file: IO[str]) -> Iterator[str]:
    """Lines, of which one without an end is not read for ever."""
    while line := file.readline(_LONGEST):
        if len(line) == _LONGEST:
            raise UnreadableFile("une ligne dépasse 16 millions de caractères")
        yield line


class _List:
    """A JSON list, one item at a time."""

    def __init__(self, file: IO[str]) -> None:
        self._file, self._text, self._at, self._ended = file, "", 0, False
        self._decoder = json.JSONDecoder(parse_constant=_no_number)

    def items(self) -> Iterator[object]:
        self.take("[")
        if self.next_character() == "]":
            self.take("]")
        else:
            yield self._item()
            while self.next_character() == ",":
                self.take(",")
                yield self._item()
            self.take("]")
        if self.next_character():
            raise UnreadableFile(_NOT_JSON)

    def take(self, character: str) -> None:
        if self.next_character() != character:
            raise UnreadableFile(_NOT_JSON)
        self._at += 1

    def next_character(self) -> str:
        """The next one that is no blank; empty at the end."""
        while True:
            while self._at < len(self._text) and self._text[self._at] in _BLANK:
                self._at += 1
            if self._at < len(self._text) or self._ended:
                return self._text[self._at : self._at + 1]
            self._read_on(_PIECE)

    def _item(self) -> object:
        self.next_character()
        while True:
            try:
                item, end = self._decoder.raw_decode(self._text, self._at)
            except (ValueError, RecursionError):
                end = len(self._text)
            if end < len(self._text):  # else a number may go on in the next piece
                self._at = end
                return item
            if self._ended or len(self._text) - self._at > _LONGEST:
                raise UnreadableFile(_NOT_JSON)
            self._read_on(max(_PIECE, len(self._text) - self._at))

    def _read_on(self, length: int) -> None:
        piece = self._file.read(length)
        self._text, self._at, self._ended = self._text[self._at :] + piece, 0, not piece


def _items(file: IO[str]) -> Iterator[Row]:
    return (Row(number, item) for number, item in enumerate(_List(file).items(), 1))


def _cells(file: IO[str]) -> Iterator[Row]:
    """CSV with a header."""
    csv.field_size_limit(_LONGEST)
    head = file.readline(_PIECE)
    file.seek(0)
    rows = csv.reader(file, delimiter=separator(head), strict=True)
    try:
        names = next(rows)
        line = rows.line_num
        for cells in rows:
            if cells:
                yield Row(line + 1, _row(names, cells))
            line = rows.line_num
    except csv.Error:
        raise UnreadableFile(f"CSV illisible à partir de la ligne {rows.line_num} (guillemets)") from None


def separator(head: str) -> str:
    """What separates the cells, told by the header: a comma or, as French spreadsheets save it, a semicolon."""
    return ";" if head.count(";") > head.count(",") else ","


def _row(names: list[str], cells: list[str]) -> object:
    if len(cells) != len(names):
        return Unreadable(f"cellules : {len(cells)}, colonnes : {len(names)}")
    return {name: cell for name, cell in zip(names, cells, strict=True) if cell}
