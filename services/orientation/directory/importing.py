"""Files of structures and services, taken over together: what is right is, what is not is told."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from services.orientation.directory import row_files
from services.orientation.directory.data_inclusion import MODELS, Kind, Problem, entry, id_of, kind_of
from services.orientation.directory.snapshots import Figures, Snapshot, ids_of

_PEEK, _AT_ONCE = 100, 500
_TWICE = Problem("id", "cet identifiant est déjà celui d’une ligne précédente")
_OF_ANOTHER = Problem("id", "cet identifiant est déjà celui d’une autre source")
_NO_STRUCTURE = Problem("structure_id", "aucune structure connue n’a cet identifiant")

# Told how far a file is read: its name, the bytes read.
Progress = Callable[[Path, int], object]


class NotTheDirectory(Exception):
    """A file cannot be taken at all; says which and why."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a row was refused, in French. `line` as in `row_files.Row`; `field` "ligne" for the row as a whole."""

    file: str
    line: int
    id: str | None
    field: str
    reason: str


@dataclass(slots=True)
class Report:
    """What became of files. `untold`: files of which a refused row has no readable id, so that nothing is gone.

    `empty`: files without a row, which change nothing.
    """

    structures: dict[str, Figures] = field(default_factory=dict)
    services: dict[str, Figures] = field(default_factory=dict)
    refused: list[Refusal] = field(default_factory=list)
    untold: list[str] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)

    @property
    def refused_rows(self) -> int:
        """How many rows were refused: one may be for several reasons."""
        return len({(each.file, each.line) for each in self.refused})


def take_over(  # noqa: PLR0913 - what the command asks
    connection: Connection,
    files: Sequence[Path],
    listed_on: date,
    *,
    kind: Kind | None = None,
    partial: bool = False,
    progress: Progress = lambda _path, _bytes: None,
) -> Report:
    """Make the directory say what the files say, structures before services; the same files again change nothing.

    Raises NotTheDirectory (nothing is written then, if the caller rolls back) and OlderList.
    """
    report = Report()
    kinds = dict[Path, Kind]()
    for file in files:
        if first := list(islice(_rows(file), _PEEK)):
            kinds[file] = kind or _kind_of(file, first)
        else:
            report.empty.append(file.name)
    for each in MODELS:
        of_kind = [file for file in files if kinds.get(file) == each]
        if of_kind:
            taking = _Taking(connection, each, listed_on, report, progress)
            for file in of_kind:
                taking.take(file)
            taking.finish(partial=partial)
    return report


def _kind_of(file: Path, first: Iterable[row_files.Row]) -> Kind:
    kind = kind_of(row.value for row in first)
    if kind is None:
        raise NotTheDirectory(f"{file}: aucune ligne n’a les champs « id » et « source » de data·inclusion")
    return kind


def _rows(file: Path, progress: Progress = lambda _path, _bytes: None) -> Iterator[row_files.Row]:
    try:
        yield from row_files.read(file, lambda read: progress(file, read))
    except row_files.UnreadableFile as error:
        raise NotTheDirectory(f"{file}: {error}") from None


class _Taking:
    """The files of one kind."""

    def __init__(self, connection: Connection, kind: Kind, listed_on: date, report: Report, progress: Progress) -> None:
        self._kind, self._report, self._progress = kind, report, progress
        self._snapshot = Snapshot(connection, kind, listed_on)
        self._structures = ids_of(connection, "structures") if kind == "services" else set()
        self._ids = set[str]()
        self._untold = False

    def take(self, file: Path) -> None:
        rows = _rows(file, self._progress)
        while batch := list(islice(rows, _AT_ONCE)):
            self._snapshot.add(list(self._good(file, batch)))

    def finish(self, *, partial: bool) -> None:
        figures = self._report.structures if self._kind == "structures" else self._report.services
        for source, found in self._snapshot.finish(whole=not partial and not self._untold).items():
            found.gone += figures[source].gone if source in figures else 0
            figures[source] = found
        for source, number in self._snapshot.closed.items():
            self._report.services[source] = Figures(gone=number)

    def _good(self, file: Path, batch: Iterable[row_files.Row]) -> Iterator[dict[str, Any]]:
        for row in batch:
            found = entry(self._kind, row.value)
            problems = found if isinstance(found, list) else self._misplaced(found)
            if isinstance(found, dict) and not problems:
                self._ids.add(found["id"])
                yield found
            else:
                self._refuse(file, row, problems)

    def _misplaced(self, found: dict[str, Any]) -> list[Problem]:
        """What is wrong with a row that is right by itself."""
        if found["id"] in self._ids:
            return [_TWICE]
        if self._snapshot.owner(found["id"]) not in (None, found["source"]):
            return [_OF_ANOTHER]
        if self._kind == "services" and found["structure_id"] not in self._structures:
            return [_NO_STRUCTURE]
        return []

    def _refuse(self, file: Path, row: row_files.Row, problems: Iterable[Problem]) -> None:
        id_ = id_of(row.value)
        if id_:
            self._snapshot.keep(id_)
        else:
            self._untold = True
            if file.name not in self._report.untold:
                self._report.untold.append(file.name)
        self._report.refused += [Refusal(file.name, row.line, id_, each.field, each.reason) for each in problems]
