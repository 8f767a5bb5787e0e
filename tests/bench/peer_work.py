"""What an event leads to, written by hand for speed: plain dicts and tuples, no models. Every peer shares it.

The rules are Relais's own pure functions, and what is written is the same: `python -m tests.bench alike` compares
every row and every message. What Relais checks besides (the types and codes in each event) the peers do not.
"""

import os
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import cache
from typing import Any, Final
from zoneinfo import ZoneInfo

import orjson

from services.chassis.settings import Settings
from services.contracts import codes
from services.network import load
from services.orientation import domain as orientation
from services.orientation.rules import Rules
from services.referral import steps
from services.referral.domain import life

Json = dict[str, Any]
Value = str | int | None
Row = tuple[Value, ...]
_TABLES: Final = {
    "outbox": "recipient text, type text, routing_key text, body text, created_at timestamptz",
    "referrals": "id uuid, orientation_id uuid, proposal int, visit_id uuid, case_id uuid, site text, need text,"
    " partner text, category text, department text, fallbacks text, reason text, state text, step int,"
    " due_at timestamptz, wake_at timestamptz, opened_at timestamptz, changed_at timestamptz, since timestamptz",
    "history": "referral_id uuid, step int, state text, by text, reason text, at timestamptz",
    "visits": "site text, visit_id uuid, occurred_at timestamptz, day date, mode text, channel text, visit_class text,"
    " spie bool, charter text, commune text, department text, quarter text, age_band text, sex text, publics text[],"
    " case uuid",
    "needs": "site text, visit_id uuid, position int, code text, outcome text, operator text, label text",
    "proposals": "orientation_id uuid, position int, site text, visit_id uuid, day date, need text, rule text,"
    " partner text, category text, desk_first bool, unmet bool, chosen text, case uuid, at timestamptz",
    "referral_steps": "referral_id uuid, step int, state text, at timestamptz, case uuid, sent_day date, site text,"
    " visit_id uuid, need text, partner text, category text, department text",
}
# The columns that a peer writes, with their types.
COLUMNS: Final = {
    table: {column.split(" ")[0]: column.split(" ")[1] for column in text.split(", ")}
    for table, text in _TABLES.items()
}
_SENT = "fr.relais.ReferralSent.v1"
_PROPOSED = "fr.relais.OrientationProposed.v1"
_PARIS = ZoneInfo("Europe/Paris")


@dataclass(slots=True)
class Batch:
    """What the events of one transaction lead to: rows by table. All of it has the time of the transaction."""

    rows: defaultdict[str, list[Row]] = field(default_factory=lambda: defaultdict(list))
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    stamp: str = ""

    def __post_init__(self) -> None:
        """Spell the time once."""
        self.stamp = self.now.isoformat().replace("+00:00", "Z")

    def emit(self, kind: "Kind", key: str, trace: str | None, data: Json, recipient: str | None = None) -> None:
        """Add an event to the outbox."""
        traced = f'"traceparent":"{trace}",' if trace else ""
        body = f'{kind.before_id}{new_id()}{kind.before_time}{self.stamp}{kind.before_trace}{traced}"data":'
        self.rows["outbox"].append((recipient, kind.type, key, f"{body}{orjson.dumps(data).decode()}}}", self.stamp))


class Kind:
    """A type of event with its envelope, spelt once."""

    def __init__(self, type_: str, service: str, schema: str) -> None:
        self.type = type_
        self.before_id = '{"specversion":"1.0","id":"'
        self.before_time = f'","source":"/relais/{service}","type":"{type_}","time":"'
        url = Settings().url(service) + schema
        self.before_trace = f'","datacontenttype":"application/json","dataschema":"{url}",'


Handler = Callable[[Json, Batch], None]


def _random() -> Iterator[str]:
    """20 random hexadecimal digits at a time, asked of the system for many at once."""
    while True:
        many = os.urandom(10_240).hex()
        yield from (many[start : start + 20] for start in range(0, len(many), 20))


_digits = _random()
_lock = threading.Lock()


def new_id() -> str:
    """A fresh UUID of version 7."""
    with _lock:
        digits = next(_digits)
    head = f"{time.time_ns() // 1_000_000:012x}"
    return f"{head[:8]}-{head[8:]}-7{digits[:3]}-{'89ab'[int(digits[3], 16) & 3]}{digits[4:7]}-{digits[7:19]}"


def _new_trace() -> str:
    """A fresh W3C trace context."""
    with _lock:
        one, two, three = next(_digits), next(_digits), next(_digits)
    return f"00-{one}{two[:12]}-{three[:16]}-01"


def handlers(service: str) -> dict[str, Handler]:
    """What a service does with each event, by the event's name."""
    if service == "orientation":
        return {"VisitRecorded": Proposer()}
    if service == "referral":
        return {"OrientationProposed": Opener()}
    if service == "reporting":
        return {
            "VisitRecorded": count_visit,
            "OrientationProposed": count_proposals,
            "ReferralSent": count_referral,
        }
    return {}


class Proposer:
    """Orientation: whom the person should meet, by Relais's own pure rules."""

    def __init__(self) -> None:
        self._rules = Rules(load(Settings().network))
        self._kind = Kind(_PROPOSED, "orientation", "/schemas/OrientationProposed.v1.json")
        self._charter = cache(self._rules.network.charter_in_force)
        self._sheet = cache(self._find_sheet)

    def __call__(self, event: Json, batch: Batch) -> None:
        """Propose for a visit that has a need to refer."""
        data = event["data"]
        if data["mode"] == "history" or all(need["outcome"] != "to-refer" for need in data["needs"]):
            return
        visit = self._visit(data)
        proposals = [
            {
                "need": one.need,
                "recipients": [
                    {"partner": to.partner, "category": to.category, "department": to.department}
                    for to in one.recipients
                ],
                "rule": one.rule,
                "reason": one.reason,
                "desk_first": one.desk_first,
                "unmet": one.unmet,
                "sensitive": one.sensitive,
                "contact_sheet": self._sheet(one.recipients[0].partner, one.need, visit.residence)
                if one.recipients
                else None,
                "chosen": one.chosen,
                "source": one.source,
                "journey": one.journey,
            }
            for one in orientation.orient(visit, self._rules.book)
        ]
        proposed = {
            "orientation_id": new_id(),
            "visit_id": data["visit_id"],
            "site": data["site"],
            "occurred_at": data["occurred_at"],
            "case": data["case"],
            "spie": data["spie"],
            "rules_version": self._rules.book.version,
            "proposals": proposals,
            "agreed": data["agreed"],
            "sensitive": data["sensitive"],
        }
        batch.emit(self._kind, "OrientationProposed", event.get("traceparent"), proposed)

    def _visit(self, data: Json) -> orientation.Visit:
        site = self._rules.network.site(data["site"])
        day = _day(data["occurred_at"])
        charter = self._charter(data["site"], day)
        return orientation.Visit(
            day=day,
            site_commune=site.commune if site else "",
            needs=tuple(
                orientation.ExpressedNeed(
                    codes.Need(need["code"]),
                    codes.Outcome(need["outcome"]),
                    frozenset(map(codes.Obstacle, need["obstacles"])),
                    need["recipient"],
                )
                for need in data["needs"]
            ),
            age_band=codes.AgeBand(data["age_band"]),
            commune=data["commune"],
            publics=frozenset(map(codes.Public, data["publics"])),
            france_travail_registered=data["france_travail_registered"],
            regime=codes.Regime(data["regime"]) if data["regime"] else None,
            charter_department=charter.department if charter else None,
        )

    def _find_sheet(self, partner: str, need: codes.Need, residence: str) -> Json | None:
        """The contact sheet that Relais would add, looked up once for each partner, need and place."""
        visit = orientation.Visit(date.min, residence, (), codes.AgeBand.UNKNOWN)
        found = self._rules.sheet(partner, need, visit)
        return found.model_dump() if found else None


class Opener:
    """Referral: one for each proposal of an identified person, sent if agreed to."""

    def __init__(self) -> None:
        self._inside = Kind(_SENT, "referral", "/schemas/ReferralSent.v1.json")
        self._outside = Kind(_SENT, "referral", "/schemas/partner/ReferralSent.v1.json")
        self._urls = {service: Settings().url(service) for service in ("intake", "referral", "reporting")}
        self._network = load(Settings().network)
        self._times = cache(self._first_times)

    def __call__(self, event: Json, batch: Batch) -> None:
        """Open the referrals of one orientation."""
        data = event["data"]
        if data["case"] is None:
            return
        for place, proposal in enumerate(data["proposals"]):
            if proposal["recipients"] and not proposal["desk_first"]:
                self._open(event, place, proposal, batch)

    def _first_times(self, state: codes.ReferralState, day: date, partner: str, department: str) -> tuple[str, str]:
        """(due, wake) of a referral that begins on that day."""
        due, wake = steps.first_times(state, day, steps.clocks_of(partner, self._network), department)
        assert due
        assert wake
        return due.isoformat(), wake.isoformat()

    def _state(self, recipient: Json, proposal: Json, data: Json) -> codes.ReferralState:
        known = self._network.partner(recipient["partner"])
        return life.first_state(
            recipient["partner"],
            recipient["category"],
            data["agreed"],
            reveals_health=proposal["sensitive"] or (known is not None and known.reveals_health),
            sensitive_agreed=data["sensitive"],
        )

    def _fallbacks(self, proposal: Json, data: Json) -> list[Json]:
        firsts = {
            one["recipients"][0]["partner"]
            for one in data["proposals"]
            if one["need"] == proposal["need"] and one["recipients"]
        }
        return [
            {**one, "agreed": self._state(one, proposal, data) == "sent"}
            for one in proposal["recipients"][1:]
            if one["partner"] not in firsts
        ]

    def _open(self, event: Json, place: int, proposal: Json, batch: Batch) -> None:
        data, now, id_ = event["data"], batch.stamp, new_id()
        first = proposal["recipients"][0]
        partner, category, department = first["partner"], first["category"], first["department"]
        state = self._state(first, proposal, data)
        due, wake = self._times(state, batch.now.astimezone(_PARIS).date(), partner, department)
        fallbacks = orjson.dumps(self._fallbacks(proposal, data)).decode() if len(proposal["recipients"]) > 1 else "[]"
        head = (id_, data["orientation_id"], place, data["visit_id"], data["case"], data["site"], proposal["need"])
        words = (partner, category, department, fallbacks, proposal["reason"], state.value)
        batch.rows["referrals"].append((*head, *words, 1, due, wake, now, now, now))
        batch.rows["history"].append((id_, 1, state.value, "relais", None, now))
        if state != "sent":
            return
        shared = {"need": proposal["need"], "site": data["site"], "department": department}
        shared |= {"reason": proposal["reason"], "due_at": due}
        inside = {"referral_id": id_, "visit_id": data["visit_id"], "case": data["case"], **shared}
        inside |= {"partner": partner, "category": category, "step": 1, "sender": None, "previous": None, "bounces": 0}
        key = f"ReferralSent.{category}.{partner}.{department}"
        batch.emit(self._inside, key, event.get("traceparent"), inside)
        path = f"/v1/referrals/{id_}"
        links = {
            "story": f"{self._urls['intake']}{path}/story",
            "case": f"{self._urls['reporting']}{path}/case",
            "answers": f"{self._urls['referral']}{path}/answers",
        }
        outside = {"referral_id": id_, **shared, "links": links}
        batch.emit(self._outside, "ReferralSent", _new_trace(), outside, recipient=partner)


def count_visit(event: Json, batch: Batch) -> None:
    """Reporting: count a visit and its needs."""
    visit = event["data"]
    site, id_, needs, at = visit["site"], visit["visit_id"], visit["needs"], visit["occurred_at"]
    kind = codes.visit_class(need["code"] for need in needs).value
    facts = (visit["charter"], visit["commune"], visit["department"], visit["quarter"], visit["age_band"], visit["sex"])
    head = (site, id_, at, _day(at).isoformat(), visit["mode"], visit["channel"], kind, _bool(visit["spie"]))
    batch.rows["visits"].append((*head, *facts, "{" + ",".join(visit["publics"]) + "}", visit["case"]))
    batch.rows["needs"] += [
        (site, id_, place, need["code"], need["outcome"], need["operator"], need["label"])
        for place, need in enumerate(needs)
    ]


def count_proposals(event: Json, batch: Batch) -> None:
    """Reporting: count what was proposed."""
    data, rows = event["data"], batch.rows["proposals"]
    day = _day(data["occurred_at"]).isoformat()
    for place, one in enumerate(data["proposals"]):
        first = one["recipients"][0] if one["recipients"] else {}
        head = (data["orientation_id"], place, data["site"], data["visit_id"], day, one["need"], one["rule"])
        flags = (_bool(one["desk_first"]), _bool(one["unmet"]), one["chosen"])
        rows.append((*head, first.get("partner"), first.get("category"), *flags, data["case"], event["time"]))


def count_referral(event: Json, batch: Batch) -> None:
    """Reporting: a referral left."""
    sent, at = event["data"], event["time"]
    head = (sent["referral_id"], sent["step"], "sent", at, sent["case"], _day(at).isoformat())
    words = (sent["need"], sent["partner"], sent["category"], sent["department"])
    batch.rows["referral_steps"].append((*head, sent["site"], sent["visit_id"], *words))


def batch_of(events: Iterable[Json], handle: Handler) -> Batch:
    """What events lead to together."""
    batch = Batch()
    for event in events:
        handle(event, batch)
    return batch


def _bool(value: bool) -> str:  # noqa: FBT001 - a JSON value
    return "t" if value else "f"


def _day(instant: str) -> date:
    return datetime.fromisoformat(instant).astimezone(_PARIS).date()
