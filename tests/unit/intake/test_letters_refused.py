"""What a site is told of visits that were refused, whatever they hold."""

import json
import time
import tracemalloc
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

import pytest

from services.chassis.errors import Rejected
from services.chassis.letters import Letter, Reply
from services.chassis.tokens import Caller
from services.intake import handlers
from services.intake.forms import VisitForm
from services.orientation.forms import SimulateForm

if TYPE_CHECKING:
    from services.chassis.app import App
    from services.network import Network

CALLER = Caller("site", "fs-moreuil", "site.fs-moreuil")
LIMIT = 65_536
TOO_LARGE = Rejected("too-large", "Trop grand.", status=413)


def refused(body: bytes, problem: Rejected | None = None) -> Reply:
    """The reply to a visit that reaches neither network nor database."""
    letter = Letter(CALLER, body, "", problem)
    (reply,) = handlers.record_letters([letter], cast("App", None), cast("Network", None))
    return reply


def told(reply: Reply) -> dict[str, Any]:
    """Its document."""
    assert reply.body is not None
    document: dict[str, Any] = json.loads(reply.body)
    return document


def filled(start: dict[str, Any], name: str, item: str, end: str) -> bytes:
    """A visit of just the largest size, with as many items in a list as go into it."""
    head = json.dumps(start)[:-1] + f", {name}: ["
    return f"{head}{','.join([item] * ((LIMIT - len(head) - len(end)) // (len(item) + 1)))}{end}".encode()


def facts() -> dict[str, Any]:
    """What each visit has."""
    return {"visit_id": str(uuid4()), "site": "x", "occurred_at": "2026-11-20T09:30:00Z", "channel": "desk"}


FLOODS = {
    "publics": filled(facts(), '"publics"', "0", "]}"),
    "needs": filled(facts(), '"needs"', "{}", "]}"),
    "obstacles": filled(facts(), '"needs": [{"obstacles"', "0", "]}]}"),
    "recipients": filled(facts(), '"agreement": {"recipients"', "0", "]}}"),
    "unknown names": json.dumps(facts() | {f"{number:x}": 1 for number in range(6000)}).encode(),
    "judgements": json.dumps(facts() | {"x" * 30_000: [{"score": 1}] * 2000}).encode(),
}


@pytest.mark.parametrize("body", FLOODS.values(), ids=FLOODS)
def test_a_small_visit_never_makes_a_large_problem(body: bytes) -> None:
    """64 KiB of mistakes: some KiB of reply, without which the broker would end the channel."""
    assert len(body) <= LIMIT
    reply = refused(body)
    assert (reply.status, told(reply)["visit_id"]) == (422, json.loads(body)["visit_id"])
    assert len(str(reply.body).encode()) < 20_000


@pytest.mark.parametrize("form", [VisitForm, SimulateForm])
@pytest.mark.parametrize("name", ["publics", "needs", "obstacles"])
def test_a_list_that_is_too_long_costs_little(form: type[VisitForm] | type[SimulateForm], name: str) -> None:
    """It is refused before anything in it is looked at: else 30,000 errors take some 200 ms."""
    letter = Letter(CALLER, FLOODS[name], "")
    seconds = []
    for _ in range(3):
        start = time.process_time()
        with pytest.raises(Rejected) as caught:
            letter.read(form)
        seconds.append(time.process_time() - start)
    assert min(seconds) < 0.05
    assert any("Au plus" in error["detail"] for error in caught.value.errors)


def test_honest_mistakes_in_a_list_are_all_told() -> None:
    """Each by its place."""
    body = facts() | {"age_band": "18-20", "publics": ["rsa", "rmi", "neet", "cmu"], "needs": []}
    pointers = [error["pointer"] for error in told(refused(json.dumps(body).encode()))["errors"]]
    assert pointers == ["/publics/1", "/publics/3", "/needs"]


def test_what_is_too_large_is_named_and_not_read() -> None:
    """Its parsing would take a hundred times its size in memory."""
    visit_id = str(uuid4())
    body = f'{{"visit_id" : "{visit_id}", "publics": [{"[]," * 500_000}'.encode()
    tracemalloc.start()
    try:
        reply = refused(body, TOO_LARGE)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (reply.status, told(reply)["visit_id"]) == (413, visit_id)
    assert most < 100_000
    assert told(refused(b"[]", TOO_LARGE))["visit_id"] is None
