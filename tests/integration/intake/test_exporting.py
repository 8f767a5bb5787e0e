"""What is handed to a person, on a real PostgreSQL."""

import json
import re
import zlib
from datetime import date, datetime
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from services.chassis.errors import Rejected
from services.chassis.http import Answer
from services.contracts.codes import ReferralState
from services.intake import agreements, exporting
from services.intake.tables import accesses
from tests.support import readers
from tests.support.counter import Counter
from tests.support.readers import STORY


def exported(counter: Counter, case: UUID, accept: str = "*/*", **query: str) -> Answer:
    """Ask for it as HTTP does."""
    request: Any = SimpleNamespace(accept=accept, query=lambda form: form.model_validate(query))
    return exporting.export(case, request, counter.call())


def test_everything_that_is_held_is_in_it(counter: Counter) -> None:
    """Identity, stories, notes, facts, agreements with their basis, referrals, who looked, and for how long."""
    case, visit = readers.told_by(counter)
    counter.clock.move(minutes=1)
    counter.record(case=case, story="La suite.", person={**readers_person(), "phone": "01 99 00 99 99"})
    readers.agree(counter, case, "local", sensitive=True)
    counter.clock.move(minutes=1)
    agreements.withdraw(case, "local", counter.call())
    readers.agree(counter, case, "operateur-integration-80")
    sent = readers.sending(case, visit)
    readers.hear(counter, readers.step(sent, ReferralState.WITHDRAWN), sent)
    held = json.loads(exported(counter, case).body)
    assert held["person"]["phone"] == "01 99 00 12 34"
    assert [each["story"] for each in held["visits"]] == [STORY, "La suite."]
    assert held["visits"][0]["needs"][0]["note"] == "La voiture est en panne."
    assert held["visits"][0]["facts"]["publics"] == ["rsa", "rqth"]
    assert held["visits"][1]["person"]["phone"] == "01 99 00 99 99"
    assert [(one["recipient"], one["basis"], bool(one["withdrawn_at"])) for one in held["agreements"]] == [
        ("local", ["agreement", "mission"], True),
        ("operateur-integration-80", ["agreement"], False),
    ]
    (referral,) = held["referrals"]
    assert (referral["recipient_name"], referral["state"]) == ("Mission locale du Santerre", "withdrawn")
    assert {one["action"] for one in held["accesses"]} == {"agreement-given", "agreement-withdrawn"}
    assert re.fullmatch(r"[0-9A-Z]{4}(-[0-9A-Z]{4}){2}", held["cases"][0]["reference"])
    assert date.fromisoformat(held["cases"][0]["kept_until"]) == date(2028, 11, 20)
    assert held["kept"]
    assert counter.rows(accesses, action="exported")


def readers_person() -> dict[str, str]:
    """The person of `readers.told_by`."""
    return {"family_name": "Lefèvre", "given_name": "Zoé", "birth_date": "1984-05-17"}


@pytest.mark.parametrize("how", ["objection", "refusal"])
def test_a_refusal_of_what_was_never_agreed_to_is_in_it(counter: Counter, how: str) -> None:
    """An objection refuses every category, most of them never agreed to; as JSON and as PDF."""
    case, _ = readers.told_by(counter)
    if how == "objection":
        agreements.stop(case, "objection", counter.call())
    else:
        agreements.withdraw(case, "local", counter.call())
    held = json.loads(exported(counter, case).body)
    told = {(one["given_at"], one["withdrawn_at"][:16]) for one in held["agreements"]}
    assert told == {(None, "2026-11-20T09:30")}
    assert exported(counter, case, format="pdf").body.startswith(b"%PDF")


@pytest.mark.parametrize(
    ("accept", "query", "kind"),
    [
        ("*/*", {}, "json"),
        ("application/pdf", {}, "pdf"),
        ("application/json;q=0.5, application/pdf", {}, "pdf"),
        ("text/html, application/pdf;q=0, */*;q=0.1", {}, "json"),
        ("application/json", {"format": "pdf"}, "pdf"),
        ("application/pdf", {"format": "json"}, "json"),
        ("text/html", {}, None),
        ("application/*;q=nonsense", {}, None),
        ("*/*", {"format": "docx"}, None),
    ],
)
def test_it_comes_as_it_is_asked_for(counter: Counter, accept: str, query: dict[str, str], kind: str | None) -> None:
    """By `format`, else by `Accept`; anything else is 406, and hands over and logs nothing."""
    case, _ = readers.told_by(counter)
    if kind is None:
        with pytest.raises(Rejected) as refused:
            exported(counter, case, accept, **query)
        assert refused.value.status == 406
        assert not counter.rows(accesses, action="exported")
        return
    answer = exported(counter, case, accept, **query)
    assert answer.content_type == f"application/{kind}"
    assert answer.headers["Content-Disposition"] == f'attachment; filename="donnees-conservees.{kind}"'


def test_the_pdf_has_pages_in_french_for_stories_of_any_length(counter: Counter) -> None:
    """Of the longest story that a form takes, with what Typst would take for markup, and words without end."""
    hostile = "#panic() $x$ @who <a> *b* `c` \\ // \x00 " + "x" * 500 + "\n" + "L’été, cœur à cœur… « oui » 😀\n" * 500
    case, _ = readers.told_by(counter, story=hostile[:20000])
    body = exported(counter, case, format="pdf").body
    assert body.startswith(b"%PDF-1.7")
    streams = b"".join(_inflated(body))
    assert len(re.findall(rb"/Type ?/Page\b", body + streams)) > 5
    assert b"/Lang" in body + streams, "for screen readers"
    assert b"/StructTreeRoot" in body + streams, "tagged"


def _inflated(body: bytes) -> list[bytes]:
    found = []
    for stream in re.findall(rb"stream\r?\n(.*?)\r?\nendstream", body, re.DOTALL):
        try:
            found.append(zlib.decompress(stream))
        except zlib.error:
            continue
    return found


def test_when_it_was_made_is_in_it(counter: Counter) -> None:
    """The person may come again."""
    case, _ = readers.told_by(counter)
    held = json.loads(exported(counter, case).body)
    assert datetime.fromisoformat(held["exported_at"]) == counter.clock.now()
