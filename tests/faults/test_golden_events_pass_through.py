"""Every recorded version of every event goes through every consumer that listens to it, as processes on the broker."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pika
import pytest

from services.contracts.envelope import BATCH_CONTENT_TYPE, CONTENT_TYPE, EventData
from services.contracts.topology import SUBSCRIPTIONS, queue_of
from tests.support.books import Books
from tests.support.house import House, eventually

_GOLDEN = Path(__file__).parents[1] / "golden"
_TOLD = "WITH event AS (SELECT %s AS event_id, %s::json AS told)"
_STEP = "referral_steps WHERE (referral_id::text, step::text, state) = (told ->> 'referral_id', told ->> 'step', {})"
_MOVED = _STEP.format("told ->> 'to_state'") + " AND event IS NULL"
_STAYED = _STEP.format("told ->> 'to_state'") + " AND event = '{}'"
_NEXT = " AND (next_referral_id::text, partner, bounces::text)"
_NEXT += " = (told ->> 'next_referral_id', told ->> 'partner', told ->> 'bounces')"
_ERASED = "erased WHERE digest = sha256(uuid_send((told ->> 'case')::uuid))"
_HEARD = (
    "sent_referrals WHERE (referral_id::text, case_id::text, step::text, state)"
    " = (told ->> 'referral_id', told ->> 'case', told ->> 'step', {})"
)
_HEARD_SENT = _HEARD.format("'sent'") + " AND (partner, visit_id::text) = (told ->> 'partner', told ->> 'visit_id')"
_HEARD_MOVED = _HEARD.format("told ->> 'to_state'")
# Who may read which story is the same after it.
_UNCHANGED = (
    "inbox WHERE inbox.id = event_id AND NOT EXISTS (SELECT FROM sent_referrals"
    " WHERE (referral_id::text, step::text) = (told ->> 'referral_id', told ->> 'step'))"
)
_DECIDED = "agreements WHERE (case_id::text, recipient) = (told ->> 'case', told ->> 'recipient') AND {}"
_JOINED = "joined_cases WHERE (case_id::text, into_case::text) = (told ->> 'merged', told ->> 'case') AND {}"
_HAPPENED = "case_steps WHERE (\"case\"::text, kind) = (told ->> 'case', '{}')"
# The rows that each consumer has written once it has handled the event, whose data are `told`.
EFFECTS: dict[str, dict[str, str]] = {
    "intake": {
        "ReferralSent.v1": _HEARD_SENT,
        "ReferralSent.v1.toward-a-site": _UNCHANGED,
        "ReferralSent.v1.after-a-refusal": _HEARD_SENT,
        "ReferralReceived.v1": _HEARD_MOVED,
        "ReferralAccepted.v1": _HEARD_MOVED,
        "ReferralDeclined.v1": _HEARD_MOVED,
        "ReferralCompleted.v1": _HEARD_MOVED,
        "ReferralProgressed.v1": _HEARD_MOVED,
        "ReferralFailed.v1": _HEARD_MOVED,
        "ReferralExpired.v1": _HEARD_MOVED,
        "ReferralWithdrawn.v1": _HEARD_MOVED,
        "ReferralVoided.v1": _HEARD_MOVED,
        "ReferralReminded.v1": _UNCHANGED,
        "ReferralEscalated.v1": _UNCHANGED,
        "ReferralRerouted.v1": _UNCHANGED,
        "CaseRead.v1": "accesses WHERE (case_id::text, org, role, subject, action)"
        " = (told ->> 'case', told ->> 'org', told ->> 'role', told ->> 'subject', 'case-read')",
    },
    "orientation": {
        "VisitRecorded.v1": "outbox WHERE body::json -> 'data' ->> 'visit_id' = told ->> 'visit_id'",
        "CaseErased.v1": _ERASED,
    },
    "referral": {
        "OrientationProposed.v1": "referrals WHERE orientation_id::text = told ->> 'orientation_id'",
        "AgreementGiven.v1": _DECIDED.format("given"),
        "AgreementWithdrawn.v1": _DECIDED.format("NOT given"),
        "CasesMerged.v1": _JOINED.format("joined"),
        "CasesUnmerged.v1": _JOINED.format("NOT joined"),
        "CaseErased.v1": _ERASED,
    },
    "reporting": {
        "VisitRecorded.v1": "visits WHERE (visit_id::text, site) = (told ->> 'visit_id', told ->> 'site')",
        "AgreementGiven.v1": _HAPPENED.format("agreement-given"),
        "AgreementWithdrawn.v1": _HAPPENED.format("agreement-withdrawn"),
        "CasesMerged.v1": _HAPPENED.format("merged"),
        "CasesUnmerged.v1": _HAPPENED.format("unmerged"),
        "CaseErased.v1": _ERASED,
        "OrientationProposed.v1": "proposals WHERE orientation_id::text = told ->> 'orientation_id'",
        "ReferralHeld.v1": _STEP.format("'awaiting-agreement'") + " AND partner = told ->> 'partner'",
        "ReferralSent.v1": _STEP.format("'sent'") + " AND partner = told ->> 'partner'",
        "ReferralSent.v1.toward-a-site": _STEP.format("'sent'")
        + " AND sender = told ->> 'sender' AND \"case\" IS NULL",
        "ReferralSent.v1.after-a-refusal": _STEP.format("'sent'")
        + " AND (previous::text, bounces::text) = (told ->> 'previous', told ->> 'bounces')",
        "ReferralReceived.v1": _MOVED,
        "ReferralAccepted.v1": _MOVED,
        "ReferralDeclined.v1": _MOVED,
        "ReferralCompleted.v1": _MOVED,
        "ReferralProgressed.v1": _MOVED,
        "ReferralFailed.v1": _MOVED,
        "ReferralExpired.v1": _MOVED,
        "ReferralWithdrawn.v1": _MOVED,
        "ReferralVoided.v1": _MOVED,
        "ReferralReminded.v1": _STAYED.format("reminded"),
        "ReferralEscalated.v1": _STAYED.format("escalated"),
        "ReferralRerouted.v1": _STAYED.format("rerouted") + _NEXT,
    },
}
# All are about one case: its erasure comes last.
CONSUMED = [
    (service, event, path)
    for service, events in SUBSCRIPTIONS.items()
    for event in sorted(events, key=lambda event: event.FORGETS)
    for path in sorted(_GOLDEN.glob(f"{event.TYPE.removeprefix('fr.relais.')}*.json"))
]


def deliver(house: House, queue: str, body: bytes, content_type: str) -> None:
    """Put a message into one consumer's queue, past all others."""
    with pika.BlockingConnection(pika.URLParameters(house.environment["RELAIS_AMQP_URL"])) as connection:
        properties = pika.BasicProperties(content_type=content_type, delivery_mode=2)
        connection.channel().basic_publish("", queue, body, properties)


@pytest.mark.parametrize(
    ("service", "event", "path"), CONSUMED, ids=[f"{service}-{path.stem}" for service, _, path in CONSUMED]
)
def test_a_recorded_event_still_has_its_effect(
    own_house: House, books: Books, service: str, event: type[EventData], path: Path
) -> None:
    """Its rows are written; twice more in a batch it is known, and nothing of it is parked."""
    body = path.read_bytes()
    recorded: dict[str, Any] = json.loads(body)

    def rows() -> int:
        query = f"{_TOLD} SELECT 1 FROM event, {EFFECTS[service][path.stem]}"  # noqa: S608
        return len(books.rows(service, query, recorded["id"], json.dumps(recorded["data"])))

    def duplicates() -> int:
        return own_house.handled(service, "duplicate")

    queue, known = queue_of(service, event.SERVICE), duplicates()
    assert rows() == 0
    deliver(own_house, queue, body, CONTENT_TYPE)
    written = eventually(rows)
    deliver(own_house, queue, b"[" + body + b"," + body + b"]", BATCH_CONTENT_TYPE)
    eventually(lambda: duplicates() == known + 2)
    assert rows() == written
    assert books.rows(service, "SELECT reason FROM failures") == []


def test_every_version_ever_recorded_has_a_consumer(tell: Callable[[str], None]) -> None:
    """None of the files inside is forgotten above: a new event or version without its effect is noticed here."""
    assert {path for _, _, path in CONSUMED} == set(_GOLDEN.glob("*.json"))
    assert {(service, path.stem) for service, _, path in CONSUMED} == {
        (service, name) for service, effects in EFFECTS.items() for name in effects
    }
    tell(f"{len(CONSUMED)} recorded events of {len(set(_GOLDEN.glob('*.json')))} versions through their consumers")
