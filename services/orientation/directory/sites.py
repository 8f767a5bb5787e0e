"""The official list of sites in the database: what a list changes, who has the label, and the history of it."""

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import date
from typing import Any, Literal

from pydantic import TypeAdapter
from sqlalchemy import Connection, Row, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert

from services.chassis.database import insert_all
from services.network import communes
from services.orientation.directory import LOCK, Busy, OlderList
from services.orientation.directory.official_list import ListedSite
from services.orientation.tables import listed_sites, site_changes

_LABEL = "label"
_DOCUMENT = TypeAdapter(ListedSite)
FIELDS = (_LABEL, *(each.name for each in fields(ListedSite) if each.name != "id"))


@dataclass(frozen=True, slots=True)
class Change:
    """What a list changed of a site: a field's values as JSON; of `label`, "granted" or "withdrawn"."""

    site: str
    field: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a snapshot; the figures count sites."""

    new: int
    changed: int
    gone: int
    unchanged: int
    changes: Sequence[Change]


@dataclass(frozen=True, slots=True)
class Standing:
    """A site and its label. `listed_on`: the last list that has it; `gone_on`: the first that has it no more."""

    site: ListedSite
    listed_on: date
    gone_on: date | None

    @property
    def label(self) -> Literal["granted", "withdrawn"]:
        """The label's status, as network files say it."""
        return "withdrawn" if self.gone_on else "granted"

    @property
    def since(self) -> date:
        """Since when: the label's own date; of a withdrawn one, the date of the first list without the site."""
        return self.gone_on or self.site.labelled_on


def take_over(
    connection: Connection, sites: Sequence[ListedSite], listed_on: date, kept: Collection[str] = ()
) -> Taken:
    """Make the directory say what the list of that date says; the same list again changes nothing.

    A site that the list has no more lost its label, and stays known; a list without any site changes nothing. `kept`
    are the ids of rows that were refused: what is known of these stays. Raises OlderList, and Busy while another
    import runs.
    """
    if not connection.scalar(select(func.pg_try_advisory_xact_lock(LOCK))):
        raise Busy
    newest = connection.scalar(select(func.max(listed_sites.c.listed_on)))
    if newest and newest > listed_on:
        raise OlderList(newest)
    if not sites:
        return Taken(0, 0, 0, 0, ())
    known = {row.id: row for row in connection.execute(select(listed_sites).with_for_update())}
    there = {site.id: site for site in sites}
    new = [site for site in sites if site.id not in known]
    gone = [row for row in known.values() if row.gone_on is None and row.id not in there and row.id not in kept]
    changes = [Change(row.id, _LABEL, "granted", "withdrawn") for row in gone]
    for site in sites:
        if site.id in known:
            changes += _changes(site, known[site.id])
    changed = {change.site for change in changes} - {row.id for row in gone}
    for row in gone:
        connection.execute(update(listed_sites).where(listed_sites.c.id == row.id).values(gone_on=listed_on))
    for id_ in sorted(changed):
        connection.execute(update(listed_sites).where(listed_sites.c.id == id_).values(**_row(there[id_], listed_on)))
    insert_all(connection, {listed_sites: [_row(site, listed_on) for site in new]})
    _tell(connection, changes, listed_on)
    if newest != listed_on:
        connection.execute(update(listed_sites).where(listed_sites.c.gone_on.is_(None)).values(listed_on=listed_on))
    return Taken(len(new), len(changed), len(gone), len(sites) - len(new) - len(changed), changes)


def _tell(connection: Connection, changes: Sequence[Change], listed_on: date) -> None:
    """Write the history; of a list that corrects the one of the same date, what both together changed."""
    if not changes:
        return
    told = insert(site_changes).values([{**asdict(change), "listed_on": listed_on} for change in changes])
    keys = [column.name for column in site_changes.primary_key]
    connection.execute(told.on_conflict_do_update(index_elements=keys, set_={"after": told.excluded.after}))
    undone = site_changes.c.listed_on == listed_on, site_changes.c.before == site_changes.c.after
    connection.execute(delete(site_changes).where(*undone))


def labelled(connection: Connection) -> Iterator[tuple[ListedSite, date]]:
    """The sites of the last list, in the order of their ids; each with that list's date."""
    wanted = select(listed_sites).where(listed_sites.c.gone_on.is_(None)).order_by(listed_sites.c.id)
    return ((_DOCUMENT.validate_json(row.document), row.listed_on) for row in connection.execute(wanted))


def none_taken_over(connection: Connection) -> bool:
    """Whether no list was ever taken over."""
    return connection.scalar(select(func.count()).select_from(listed_sites)) == 0


def standings(
    connection: Connection, *, gone: bool = False, department: str | None = None, commune: str | None = None
) -> list[Standing]:
    """The sites that have the label, or those that lost it, in the order of communes and ids.

    Only those of a département, or of the commune of today that an INSEE code belongs to.
    """
    left = listed_sites.c.gone_on
    wanted = select(listed_sites).where(left.is_not(None) if gone else left.is_(None))
    found = map(_standing, connection.execute(wanted.order_by(listed_sites.c.commune, listed_sites.c.id)))
    return [
        each
        for each in found
        if department in {None, each.site.department}
        and (commune is None or communes.today(each.site.commune) == communes.today(commune))
    ]


def standing(connection: Connection, id_: str) -> Standing | None:
    """The site of that id, with the label or without; None if no list ever had it."""
    row = connection.execute(select(listed_sites).where(listed_sites.c.id == id_)).first()
    return _standing(row) if row else None


def history(connection: Connection, id_: str) -> dict[date, dict[str, tuple[Any, Any]]]:
    """What each list changed of a site since the one before, the oldest first: by field, the value before and after.

    Values are JSON's; those of `label`, which comes first, are "granted" and "withdrawn".
    """
    rows = connection.execute(select(site_changes).where(site_changes.c.site == id_))
    told: dict[date, dict[str, tuple[Any, Any]]] = {}
    for row in sorted(rows, key=lambda row: (row.listed_on, FIELDS.index(row.field))):
        values = (row.before, row.after) if row.field == _LABEL else (json.loads(row.before), json.loads(row.after))
        told.setdefault(row.listed_on, {})[row.field] = values
    return told


def _standing(row: Row[Any]) -> Standing:
    return Standing(_DOCUMENT.validate_json(row.document), row.listed_on, row.gone_on)


def _row(site: ListedSite, listed_on: date) -> dict[str, Any]:
    return {
        "id": site.id,
        "commune": site.commune,
        "labelled_on": site.labelled_on,
        "listed_on": listed_on,
        "gone_on": None,
        "document": _DOCUMENT.dump_json(site).decode(),
    }


def _changes(site: ListedSite, row: Any) -> Iterator[Change]:  # noqa: ANN401 - a database row
    if row.gone_on:
        yield Change(site.id, _LABEL, "withdrawn", "granted")
    before, after = json.loads(row.document), _DOCUMENT.dump_python(site, mode="json")
    for name in after:
        if before.get(name) != after[name]:
            told = (json.dumps(each, ensure_ascii=False) for each in (before.get(name), after[name]))
            yield Change(site.id, name, *told)
