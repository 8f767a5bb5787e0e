"""What an event leads to, written by hand for speed: plain dicts and tuples, no models. Every peer shares it.

The rules are Relais's own pure functions, and what is written is the same: `python -m tests.bench alike` compares
every row and every message. What Relais does besides is in `peer_duties`, for those that are to do as much: they have
the values of an event as its contract has them, the others as JSON. Of what comes in a queue they know the events of a
visit's way; any other is parked.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime
from functools import cache
from zoneinfo import ZoneInfo

import orjson

from services.chassis.settings import Settings
from services.contracts import codes
from services.contracts.topology import queue_of
from services.network import communes, load
from services.orientation import domain as orientation
from services.orientation.rules import Rules
from services.referral import steps
from tests.bench.peer_batch import UTC_Z, Batch, Json, Kind, new_id, new_trace

_RECORDED = "fr.relais.VisitRecorded.v1"
_PROPOSED = "fr.relais.OrientationProposed.v1"
_HELD = "fr.relais.ReferralHeld.v1"
_SENT = "fr.relais.ReferralSent.v1"
_PARIS = ZoneInfo("Europe/Paris")
Handler = Callable[[Json, Batch], None]
# By the event's type.
Handlers = Mapping[str, Handler]


def handlers(service: str) -> dict[str, Handlers]:
    """What a service does with what it takes from each queue."""
    taken: dict[str, Handlers]
    if service == "intake":
        taken = {"referral": {_SENT: remember_sent}}
    elif service == "orientation":
        taken = {"intake": {_RECORDED: Proposer()}}
    elif service == "referral":
        taken = {"orientation": {_PROPOSED: Opener()}}
    else:
        taken = {
            "intake": {_RECORDED: count_visit},
            "orientation": {_PROPOSED: count_proposals},
            "referral": {_HELD: hold_referral, _SENT: count_referral},
        }
    return {queue_of(service, publisher): each for publisher, each in taken.items()}


class Proposer:
    """Orientation: whom the person should meet, by Relais's own pure rules."""

    def __init__(self) -> None:
        self._rules = Rules(load(Settings().network))
        self._kind = Kind(_PROPOSED, "orientation", "/schemas/OrientationProposed.v1.json")
        self._charter = cache(self._rules.network.charter_in_force)
        self._sheet = cache(self._find_sheet)
        self._commune = cache(self._find_commune)

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
            "agreed_at": data["agreed_at"],
            "sensitive": data["sensitive"],
        }
        batch.emit(self._kind, "OrientationProposed", event.get("traceparent"), proposed)

    def _visit(self, data: Json) -> orientation.Visit:
        day = _day(data["occurred_at"])
        charter = self._charter(data["site"], day)
        return orientation.Visit(
            day=day,
            site_commune=self._commune(data["site"]),
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

    def _find_commune(self, site: str) -> str:
        """Where a site is, by the code of today."""
        found = self._rules.network.site(site)
        return communes.today(found.commune) if found else ""

    def _find_sheet(self, partner: str, need: codes.Need, residence: str) -> Json | None:
        """The contact sheet that Relais would add, looked up once for each partner, need and place."""
        visit = orientation.Visit(date.min, residence, (), codes.AgeBand.UNKNOWN)
        found = self._rules.sheet(partner, need, visit)
        return found.model_dump() if found else None


class Opener:
    """Referral: one for each proposal of an identified person, sent if agreed to."""

    def __init__(self) -> None:
        self._held = Kind(_HELD, "referral", "/schemas/ReferralHeld.v1.json")
        self._inside = Kind(_SENT, "referral", "/schemas/ReferralSent.v1.json")
        self._outside = Kind(_SENT, "referral", "/schemas/partner/ReferralSent.v1.json", outside=True)
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
        covered = recipient["partner"] in data["agreed"] or recipient["category"] in data["agreed"]
        reveals_health = proposal["sensitive"] or (known is not None and known.reveals_health)
        agreed = covered and (data["sensitive"] or not reveals_health)
        return codes.ReferralState.SENT if agreed else codes.ReferralState.AWAITING_AGREEMENT

    def _fallbacks(self, proposal: Json, data: Json) -> list[Json]:
        firsts = {
            one["recipients"][0]["partner"]
            for one in data["proposals"]
            if one["need"] == proposal["need"] and one["recipients"]
        }
        return [
            {**one, "agreed": (yes := self._state(one, proposal, data) == "sent"), "agreed_at": _at(data, yes)}
            for one in proposal["recipients"][1:]
            if one["partner"] not in firsts
        ]

    def _open(self, event: Json, place: int, proposal: Json, batch: Batch) -> None:
        data, now, id_ = event["data"], batch.stamp, new_id(outside=True)
        first = proposal["recipients"][0]
        partner, category, department = first["partner"], first["category"], first["department"]
        state = self._state(first, proposal, data)
        due, wake = self._times(state, batch.now.astimezone(_PARIS).date(), partner, department)
        several = len(proposal["recipients"]) > 1
        fallbacks = orjson.dumps(self._fallbacks(proposal, data), option=UTC_Z).decode() if several else "[]"
        head = (id_, data["orientation_id"], place, data["visit_id"], data["case"], data["site"], proposal["need"])
        words = (partner, category, department, fallbacks, proposal["reason"], state.value)
        agreement = (_at(data, state == "sent"), _bool(proposal["sensitive"]))
        batch.rows["referrals"].append((*head, *words, 1, due, wake, now, now, now, *agreement))
        batch.rows["history"].append((id_, 1, state.value, "relais", None, now))
        shared = {"need": proposal["need"], "site": data["site"], "department": department}
        inside = {"referral_id": id_, "visit_id": data["visit_id"], "case": data["case"], **shared}
        inside |= {"partner": partner, "category": category, "step": 1}
        if state != "sent":
            batch.emit(self._held, "ReferralHeld", event.get("traceparent"), inside)
            return
        shared |= {"reason": proposal["reason"], "due_at": due}
        inside |= {**shared, "sender": None, "previous": None, "bounces": 0}
        key = f"ReferralSent.{category}.{partner}.{department}"
        batch.emit(self._inside, key, event.get("traceparent"), inside)
        path = f"/v1/referrals/{id_}"
        links = {
            "story": f"{self._urls['intake']}{path}/story",
            "case": f"{self._urls['reporting']}{path}/case",
            "answers": f"{self._urls['referral']}{path}/answers",
        }
        outside = {"referral_id": id_, **shared, "links": links}
        batch.emit(self._outside, "ReferralSent", new_trace(), outside, recipient=partner)


def _at(data: Json, agreed: bool) -> str | datetime | None:  # noqa: FBT001 - a row's value
    """When the person agreed: at the visit, unless before."""
    return (data["agreed_at"] or data["occurred_at"]) if agreed else None


def remember_sent(event: Json, batch: Batch) -> None:
    """Intake: whom it is addressed to may read the story."""
    sent = event["data"]
    if sent["case"] is None:
        return
    head = (sent["referral_id"], sent["case"], sent["visit_id"], sent["site"], sent["need"], sent["partner"])
    batch.rows["sent_referrals"].append((*head, sent["category"], sent["sender"], "sent", sent["step"], event["time"]))


def count_visit(event: Json, batch: Batch) -> None:
    """Reporting: count a visit and its needs."""
    visit = event["data"]
    site, id_, needs, at = visit["site"], visit["visit_id"], visit["needs"], visit["occurred_at"]
    kind = codes.visit_class(need["code"] for need in needs).value
    facts = (visit["charter"], visit["commune"], visit["department"], visit["quarter"], visit["age_band"], visit["sex"])
    retold = None if visit["retold"] is None else _bool(visit["retold"])
    head = (site, id_, at, _day(at).isoformat(), visit["mode"], visit["channel"], kind, _bool(visit["spie"]))
    batch.rows["visits"].append((*head, *facts, "{" + ",".join(visit["publics"]) + "}", visit["case"], retold))
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


def hold_referral(event: Json, batch: Batch) -> None:
    """Reporting: a referral waits for the person's agreement."""
    held, at = event["data"], event["time"]
    head = (held["referral_id"], held["step"], "awaiting-agreement", at, held["case"], None, held["site"])
    about = (held["visit_id"], held["need"], held["partner"], held["category"], held["department"])
    batch.rows["referral_steps"].append((*head, *about, None, None, None, None))


def count_referral(event: Json, batch: Batch) -> None:
    """Reporting: a referral left."""
    sent, at = event["data"], event["time"]
    head = (sent["referral_id"], sent["step"], "sent", at, sent["case"], _day(at).isoformat())
    words = (sent["need"], sent["partner"], sent["category"], sent["department"])
    more = (sent["sender"], sent["previous"], sent["bounces"], sent["due_at"])
    batch.rows["referral_steps"].append((*head, sent["site"], sent["visit_id"], *words, *more))


def batch_of(events: Iterable[Json], handlers_: Handlers) -> Batch:
    """What events lead to together. Raises KeyError for one of an unknown type."""
    batch = Batch()
    for event in events:
        handlers_[event["type"]](event, batch)
    return batch


def _bool(value: bool) -> str:  # noqa: FBT001 - a JSON value
    return "t" if value else "f"


def _day(instant: str | datetime) -> date:
    at = datetime.fromisoformat(instant) if isinstance(instant, str) else instant
    return at.astimezone(_PARIS).date()
