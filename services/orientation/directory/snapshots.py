"""Structures and services in the database: each source's snapshot, taken over row by row."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import Connection, Table, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert

from services.chassis.database import insert_all
from services.orientation.directory import LOCK, Busy, OlderList
from services.orientation.tables import directory_snapshots, services, structures

TABLES: Mapping[str, Table] = {"structures": structures, "services": services}


@dataclass(slots=True)
class Figures:
    """What became of a source's structures, or of its services."""

    new: int = 0
    changed: int = 0
    gone: int = 0
    unchanged: int = 0


class Snapshot:
    """All that sources have of one kind (`structures` or `services`) on a day, taken over row by row.

    Begin, `add` and `keep` in any order, `finish`, all in one transaction. Raises Busy while another one is open.
    """

    def __init__(self, connection: Connection, kind: str, listed_on: date) -> None:
        self._connection, self._kind, self._table, self._day = connection, kind, TABLES[kind], listed_on
        if not connection.scalar(select(func.pg_try_advisory_xact_lock(LOCK))):
            raise Busy
        rows = connection.execute(select(directory_snapshots).where(directory_snapshots.c.kind == kind))
        self._newest = {row.source: row.listed_on for row in rows}
        known = connection.execute(select(self._table.c.id, self._table.c.source, self._table.c.gone_on))
        self._sources = {row.id: row.source for row in known if row.gone_on is None}
        self._seen = defaultdict[str, set[str]](set)
        self._kept = set[str]()
        self.closed = Counter[str]()  # services that went with their structures, by source
        self._figures = defaultdict[str, Figures](Figures)

    def owner(self, id_: str) -> str | None:
        """The source that has this id now, if any."""
        return self._sources.get(id_)

    def add(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write what is new or changed; no id twice. Raises OlderList where a source's newer snapshot is here."""
        for row in rows:
            self._see(row["source"], row["id"])
        known = self._connection.execute(
            select(self._table.c.id, self._table.c.document, self._table.c.gone_on).where(
                self._table.c.id.in_([row["id"] for row in rows])
            )
        )
        before = {row.id: (row.document, row.gone_on) for row in known}
        written = [row for row in rows if before.get(row["id"]) != (row["document"], None)]
        for row in rows:
            self._figures[row["source"]].unchanged += row["id"] in before
        for row in written:
            figures, was_known = self._figures[row["source"]], row["id"] in before
            figures.new += not was_known
            figures.changed += was_known
            figures.unchanged -= was_known
        if replaced := before.keys() & {row["id"] for row in written}:
            self._connection.execute(delete(self._table).where(self._table.c.id.in_(replaced)))
        insert_all(self._connection, {self._table: written})

    def keep(self, id_: str) -> None:
        """An id that a refused row has: what is known of it stays."""
        self._kept.add(id_)

    def finish(self, *, whole: bool) -> dict[str, Figures]:
        """The figures of each source that a row was added of; `whole`: what its snapshot does not name is gone."""
        for source, seen in self._seen.items():
            owned = {id_ for id_, owner in self._sources.items() if owner == source}
            missing = sorted(owned - seen - self._kept) if whole else []
            self._figures[source].gone = len(missing)
            for ids in _hundreds(missing):
                self._gone(ids)
            row = {"kind": self._kind, "source": source, "listed_on": self._day}
            written = insert(directory_snapshots).values(row)
            self._connection.execute(
                written.on_conflict_do_update(index_elements=["kind", "source"], set_={"listed_on": self._day})
            )
        return dict(sorted(self._figures.items()))

    def _gone(self, ids: Sequence[str]) -> None:
        gone = {"gone_on": self._day}
        self._connection.execute(update(self._table).where(self._table.c.id.in_(ids)).values(gone))
        if self._table is structures:  # and so is what they offered
            theirs = services.c.structure_id.in_(ids), services.c.gone_on.is_(None)
            found = update(services).where(*theirs).values(gone).returning(services.c.source)
            self.closed.update(self._connection.scalars(found))

    def _see(self, source: str, id_: str) -> None:
        newest = self._newest.get(source)
        if newest and newest > self._day:
            raise OlderList(newest)
        self._seen[source].add(id_)


def present(connection: Connection, kind: str) -> Iterator[str]:
    """The documents of one kind that are there, in the order of their ids; read as they are asked for."""
    table = TABLES[kind]
    wanted = select(table.c.document).where(table.c.gone_on.is_(None)).order_by(table.c.id.collate("C"))
    return (row.document for row in connection.execute(wanted.execution_options(yield_per=500)))


def ids_of(connection: Connection, kind: str) -> set[str]:
    """The ids of one kind that are there."""
    table = TABLES[kind]
    return set(connection.scalars(select(table.c.id).where(table.c.gone_on.is_(None))))


def _hundreds(ids: Sequence[str]) -> Iterable[Sequence[str]]:
    return (ids[at : at + 100] for at in range(0, len(ids), 100))
