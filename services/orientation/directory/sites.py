"""The official list of sites in the database: what a list changes, and the history of it."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import Connection, func, select, update

from services.chassis.database import insert_all
from services.orientation.directory import OlderList
from services.orientation.directory.official_list import ListedSite
from services.orientation.tables import listed_sites, site_changes

_LABEL = "label"
_DOCUMENT = TypeAdapter(ListedSite)


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


def take_over(connection: Connection, sites: Sequence[ListedSite], listed_on: date) -> Taken:
    """Make the directory say what the list of that date says; the same list again changes nothing.

    A site that the list has no more lost its label, and stays known. Raises OlderList.
    """
    newest = connection.scalar(select(func.max(listed_sites.c.listed_on)))
    if newest and newest > listed_on:
        raise OlderList(newest)
    known = {row.id: row for row in connection.execute(select(listed_sites).with_for_update())}
    there = {site.id: site for site in sites}
    new = [site for site in sites if site.id not in known]
    gone = [row for row in known.values() if row.id not in there and row.gone_on is None]
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
    insert_all(connection, {site_changes: [{**asdict(change), "listed_on": listed_on} for change in changes]})
    if newest != listed_on:
        connection.execute(update(listed_sites).where(listed_sites.c.gone_on.is_(None)).values(listed_on=listed_on))
    return Taken(len(new), len(changed), len(gone), len(sites) - len(new) - len(changed), changes)


def labelled(connection: Connection) -> Iterator[tuple[ListedSite, date]]:
    """The sites of the last list, in the order of their ids; each with that list's date."""
    wanted = select(listed_sites).where(listed_sites.c.gone_on.is_(None)).order_by(listed_sites.c.id)
    return ((_DOCUMENT.validate_json(row.document), row.listed_on) for row in connection.execute(wanted))


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
