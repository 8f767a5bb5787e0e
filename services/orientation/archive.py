"""The rules that were in use, and since when; which of them a visit was oriented by."""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Literal
from uuid import UUID

from sqlalchemy import Connection, Row, Select, insert, select

from services.chassis import outbox
from services.chassis.app import App
from services.contracts.orientation import OrientationProposed
from services.network import load
from services.network.rules_text import read_rules, rules_text
from services.orientation.rules import Rules
from services.orientation.tables import rules_in_use

# A visit is recorded up to seven days after it took place, and oriented as soon as the broker can be reached.
_ORIENTED_WITHIN = timedelta(days=30)

Why = Literal["asked", "recorded", "in-use", "oldest", "files"]


@dataclass(frozen=True, slots=True)
class Found:
    """Rules of the past. `why` these: asked for by version; the recorded visit's; those in use that day; the oldest."""

    rules: Rules
    why: Why


def keep_from_now(app: App) -> None:
    """Remember the rules of the network files, before the first visit is oriented by them."""
    with app.work() as work:
        keep(work.connection, Rules(load(app.settings.network)), work.now)


def keep(connection: Connection, rules: Rules, now: datetime) -> None:
    """Remember that these rules are in use from now on; those that were already are not written again."""
    latest = connection.scalar(select(rules_in_use.c.version).order_by(rules_in_use.c.since.desc()).limit(1))
    if latest != rules.book.version:
        row = {"since": now, "version": rules.book.version, "network": rules_text(rules.network)}
        connection.execute(insert(rules_in_use).values(row))


def of_version(connection: Connection, version: str) -> Found | None:
    """The rules of that version; None if they never were in use here."""
    return _found(connection, _KEPT.where(rules_in_use.c.version == version), "asked")


def of_visit(connection: Connection, site: str, visit_id: UUID | None, occurred_at: datetime) -> Found | None:
    """The rules a visit was oriented by, as the ledger has it; for any other visit, those in use at that instant.

    Before the oldest that are kept, the oldest; None where none are.
    """
    version = _recorded(connection, site, visit_id, occurred_at) if visit_id else None
    recorded = _KEPT.where(rules_in_use.c.version == version)
    in_use = _KEPT.where(rules_in_use.c.since <= occurred_at).order_by(rules_in_use.c.since.desc())
    return (
        (_found(connection, recorded, "recorded") if version else None)
        or _found(connection, in_use, "in-use")
        or _found(connection, _KEPT.order_by(rules_in_use.c.since), "oldest")
    )


_KEPT = select(rules_in_use.c.network)


def _found(connection: Connection, wanted: Select[tuple[str]], why: Why) -> Found | None:
    row: Row[tuple[str]] | None = connection.execute(wanted.limit(1)).first()
    return Found(_read(row.network), why) if row else None


@lru_cache(maxsize=4)
def _read(text: str) -> Rules:
    return Rules(read_rules(text))


def _recorded(connection: Connection, site: str, visit_id: UUID, occurred_at: datetime) -> str | None:
    """The version that the proposals made for a visit name; of several, the latest. A visit's id is its site's own."""
    times = occurred_at, occurred_at + _ORIENTED_WITHIN
    told = outbox.told_between(connection, OrientationProposed.TYPE, str(visit_id), *times)
    versions = [
        data["rules_version"]
        for data in (json.loads(body)["data"] for body in told)
        if (data["site"], data["visit_id"]) == (site, str(visit_id))
    ]
    return versions[-1] if versions else None
