"""What the peers write: the columns of each table, the rows of a transaction, envelopes, identifiers."""

import os
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import orjson

from services.chassis.settings import Settings
from services.contracts.envelope import BATCH_CONTENT_TYPE

Json = dict[str, Any]
Value = str | int | datetime | UUID | None
Row = tuple[Value, ...]
_TABLES: Final = {
    "outbox": "recipient text, type text, routing_key text, body text, created_at timestamptz",
    "sent_referrals": "referral_id uuid, case_id uuid, visit_id uuid, site text, need text, partner text,"
    " category text, sender text, state text, step int, at timestamptz",
    "referrals": "id uuid, orientation_id uuid, proposal int, visit_id uuid, case_id uuid, site text, need text,"
    " partner text, category text, department text, fallbacks text, reason text, state text, step int,"
    " due_at timestamptz, wake_at timestamptz, opened_at timestamptz, changed_at timestamptz, since timestamptz,"
    " agreed_at timestamptz, reveals_health bool",
    "history": "referral_id uuid, step int, state text, by text, reason text, at timestamptz",
    "visits": "site text, visit_id uuid, occurred_at timestamptz, day date, mode text, channel text, visit_class text,"
    " spie bool, charter text, commune text, department text, quarter text, age_band text, sex text, publics text[],"
    " case uuid, retold bool",
    "needs": "site text, visit_id uuid, position int, code text, outcome text, operator text, label text",
    "proposals": "orientation_id uuid, position int, site text, visit_id uuid, day date, need text, rule text,"
    " partner text, category text, desk_first bool, unmet bool, chosen text, case uuid, at timestamptz",
    "referral_steps": "referral_id uuid, step int, state text, at timestamptz, case uuid, sent_day date, site text,"
    " visit_id uuid, need text, partner text, category text, department text, sender text, previous uuid, bounces int,"
    " due_at timestamptz",
}
# The columns that a peer writes, with their types.
COLUMNS: Final = {
    table: {column.split(" ")[0]: column.split(" ")[1] for column in text.split(", ")}
    for table, text in _TABLES.items()
}
_HOUR = 3_600_000
UTC_Z: Final = orjson.OPT_UTC_Z


class Kind:
    """A type of event with its envelope, spelt once; `outside`: as partners get it."""

    def __init__(self, type_: str, service: str, schema: str, *, outside: bool = False) -> None:
        self.type, self.outside = type_, outside
        self.before_id = '{"specversion":"1.0","id":"'
        self.before_time = f'","source":"/relais/{service}","type":"{type_}","time":"'
        url = Settings().url(service) + schema
        self.before_trace = f'","datacontenttype":"application/json","dataschema":"{url}",'


@dataclass(slots=True)
class Batch:
    """What the events of one transaction lead to: rows by table. All of it has the time of the transaction.

    Outsiders are told the minute only, as by Relais.
    """

    rows: defaultdict[str, list[Row]] = field(default_factory=lambda: defaultdict(list))
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    stamp: str = ""
    minute: str = ""

    def __post_init__(self) -> None:
        """Spell the time once."""
        self.stamp = _spelt(self.now)
        self.minute = _spelt(self.now.replace(second=0, microsecond=0))

    def emit(self, kind: Kind, key: str, trace: str | None, data: Json, recipient: str | None = None) -> None:
        """Add an event to the outbox."""
        traced = f'"traceparent":"{trace}",' if trace else ""
        id_, told = new_id(outside=kind.outside), self.minute if kind.outside else self.stamp
        body = f'{kind.before_id}{id_}{kind.before_time}{told}{kind.before_trace}{traced}"data":'
        self.rows["outbox"].append(
            (recipient, kind.type, key, f"{body}{orjson.dumps(data, option=UTC_Z).decode()}}}", self.stamp)
        )


def parsed(body: bytes, content_type: str) -> list[Json]:
    """The events of a message, unchecked."""
    found = orjson.loads(body)
    return found if content_type == BATCH_CONTENT_TYPE else [found]


def _spelt(instant: datetime) -> str:
    return instant.isoformat().replace("+00:00", "Z")


def _random() -> Iterator[str]:
    """20 random hexadecimal digits at a time, asked of the system for many at once."""
    while True:
        many = os.urandom(10_240).hex()
        yield from (many[start : start + 20] for start in range(0, len(many), 20))


_digits = _random()
_lock = threading.Lock()


def new_id(*, outside: bool = False) -> str:
    """A fresh UUID of version 7; what partners see tells the hour only, as Relais's."""
    with _lock:
        digits = next(_digits)
    stamp = time.time_ns() // 1_000_000
    head = f"{stamp - stamp % _HOUR if outside else stamp:012x}"
    return f"{head[:8]}-{head[8:]}-7{digits[:3]}-{'89ab'[int(digits[3], 16) & 3]}{digits[4:7]}-{digits[7:19]}"


def new_trace() -> str:
    """A fresh W3C trace context."""
    with _lock:
        one, two, three = next(_digits), next(_digits), next(_digits)
    return f"00-{one}{two[:12]}-{three[:16]}-01"
