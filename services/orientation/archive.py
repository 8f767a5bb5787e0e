"""The rules that were in use, and since when; which of them a visit was oriented by."""

import json
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Literal
from uuid import UUID

from sqlalchemy import Connection, Row, Select, func, insert, select

from services.chassis import outbox
from services.chassis.app import App
from services.contracts.orientation import OrientationProposed
from services.network import load
from services.network.communes import today
from services.network.rules_text import read_rules, rules_text
from services.orientation.rules import Rules
from services.orientation.tables import rules_in_use

# A visit is recorded up to seven days after it took place, and oriented as soon as the broker can be reached; at the
# latest when its parked event is tried again.
_ORIENTED_WITHIN, _RECORDED_WITHIN = timedelta(days=30), timedelta(days=7)
_LOCK = 0x52554C45

Why = Literal["asked", "recorded", "in-use", "oldest", "later", "files"]


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
    connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))
    latest = connection.execute(select(rules_in_use).order_by(rules_in_use.c.since.desc()).limit(1)).first()
    if latest is None or latest.version != rules.book.version:
        # Later than the former ones, even where a clock went back or two replicas start at once.
        since = max(now, latest.since + timedelta(microseconds=1)) if latest else now
        row = {"since": since, "version": rules.book.version, "network": rules_text(rules.network)}
        connection.execute(insert(rules_in_use).values(row))


def of_version(connection: Connection, version: str) -> Found | None:
    """The rules of that version; None if they never were in use here."""
    return _found(connection, _KEPT.where(rules_in_use.c.version == version), "asked")


def of_visit(
    connection: Connection, site: str, visit_id: UUID | None, occurred_at: datetime, *, parked_days: int = 0
) -> Found | None:
    """The rules a visit was oriented by, as the ledger has it; for any other visit, those in use at that instant.

    Before the oldest that are kept, the oldest; None where none are. `parked_days`: how long a visit's event may have
    waited, parked, for a second try; without `visit_id` no ledger is read.
    """
    soon, late = _ORIENTED_WITHIN, _RECORDED_WITHIN + timedelta(days=parked_days)
    version = None
    if visit_id:
        version = _recorded(connection, site, visit_id, occurred_at, occurred_at + soon) or (
            _recorded(connection, site, visit_id, occurred_at + soon, occurred_at + late) if late > soon else None
        )
    recorded = _KEPT.where(rules_in_use.c.version == version)
    in_use = _KEPT.where(rules_in_use.c.since <= occurred_at).order_by(rules_in_use.c.since.desc())
    return (
        (_found(connection, recorded, "recorded") if version else None)
        or _found(connection, in_use, "in-use")
        or _found(connection, _KEPT.order_by(rules_in_use.c.since), "oldest")
    )


_KEPT = select(rules_in_use.c.network, rules_in_use.c.version)


def _found(connection: Connection, wanted: Select[tuple[str, str]], why: Why) -> Found | None:
    row: Row[tuple[str, str]] | None = connection.execute(wanted.limit(1)).first()
    return Found(_read(row.network, row.version), why) if row else None


@lru_cache(maxsize=4)
def _read(text: str, version: str) -> Rules:
    """The rules with the communes of today, as a visit's own is: those of their day may have been merged since."""
    network = read_rules(text)
    partners = tuple(
        each if isinstance(each.covers, str) else each.model_copy(update={"covers": frozenset(map(today, each.covers))})
        for each in network.partners
    )
    return Rules(replace(network, partners=partners), version)


def _recorded(connection: Connection, site: str, visit_id: UUID, first: datetime, last: datetime) -> str | None:
    """The version that the proposals made for a visit name; of several, the latest. A visit's id is its site's own."""
    told = outbox.told_between(connection, OrientationProposed.TYPE, str(visit_id), first, last)
    versions = [
        data["rules_version"]
        for data in (json.loads(body)["data"] for body in told)
        if (data["site"], data["visit_id"]) == (site, str(visit_id))
    ]
    return versions[-1] if versions else None
