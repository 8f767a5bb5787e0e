"""What is shaped like a NIR is refused at each door of the running house: nothing of it is stored, logged, repeated."""

import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest

from services.contracts.free_text import NIR
from services.contracts.topology import SERVICES
from tests.support.databases import dump
from tests.support.entering import HERE
from tests.support.house import House, need, visit
from tests.support.letters import site
from tests.support.rabbit import Rabbit

SITE, PARTNER = "fs-moreuil", "mission-locale-santerre"
DIGITS = "2920980570123"
ID = f"{DIGITS}45"
SPELT = "2\u202f92–09\u00ad80/570\n123 45"
PERSON = {"family_name": "Exemple", "given_name": "Zoé", "birth_date": "1992-09-14"}


@pytest.fixture(scope="module")
def unwritten(house: House) -> Iterator[list[str]]:
    """What was refused, by its ids: at the end of the tests no database has them, and no log or metric the number."""
    ids: list[str] = []
    yield ids
    assert ids
    for service in SERVICES:
        stored = "\n".join(dump(house.databases[service]).values())
        exposed = house.log(service) + house.metrics(service)
        assert [one for one in ids if one in stored] == []
        for form in (DIGITS, SPELT, json.dumps(SPELT)[1:-1], SPELT.encode().hex(), DIGITS.encode().hex()):
            assert form not in stored
            assert form not in exposed


def refused(problem: dict[str, Any], pointer: str) -> None:
    """422 at that field, in French, without the number or a part of it."""
    assert problem["status"] == 422
    assert {"pointer": pointer, "detail": NIR} in problem["errors"]
    told = json.dumps({**problem, "visit_id": None}, ensure_ascii=False)  # a random one may have a part of it
    assert not any(form in told for form in (DIGITS, SPELT, "570"))


FIELDS = [
    pytest.param("/story", {"story": f"Elle a donné son numéro : {SPELT}."}, id="story"),
    pytest.param("/needs/0/note", {"needs": [need("logement", note=SPELT)]}, id="note"),
    pytest.param(
        "/needs/0/override_reason", {"needs": [need("logement", override_reason=SPELT)]}, id="override reason"
    ),
    pytest.param("/needs/0/label", {"needs": [need("autre", label=ID)]}, id="label"),
    pytest.param("/needs/0/operator", {"needs": [need("logement", operator=ID)]}, id="operator"),
    pytest.param("/needs/0/recipient", {"needs": [need("logement", recipient=ID)]}, id="recipient"),
    pytest.param("/person/family_name", {"person": PERSON | {"family_name": SPELT}}, id="family name"),
    pytest.param("/person/given_name", {"person": PERSON | {"given_name": f"Zoé {ID}"}}, id="given name"),
    pytest.param("/person/phone", {"person": PERSON | {"phone": "2 92 09 80 570 123"}}, id="phone"),
    pytest.param("/person/email", {"person": PERSON | {"email": f"{ID}@exemple.fr"}}, id="email"),
    pytest.param("/agreement/recipients/0", {"agreement": {"recipients": [ID]}}, id="whom the person agreed to"),
    pytest.param("/quarter", {"quarter": SPELT}, id="quarter"),
]


@pytest.mark.parametrize(("pointer", "changes"), FIELDS)
def test_over_http(house: House, unwritten: list[str], pointer: str, changes: dict[str, Any]) -> None:
    """Whichever field has it."""
    body = visit(**changes)
    unwritten.append(body["visit_id"])
    answer = house.post_visit(body)
    assert answer.status_code == 422
    refused(answer.json(), pointer)


def test_in_a_batch(house: House, unwritten: list[str]) -> None:
    """The line that has it, and no other."""
    bodies = [visit(), *(visit(**each.values[1]) for each in FIELDS), visit()]  # type: ignore[arg-type]
    unwritten += [body["visit_id"] for body in bodies[1:-1]]
    first, *lines, last = house.post_lines(SITE, bodies)
    assert (first["status"], last["status"]) == (201, 201)
    for line, each in zip(lines, FIELDS, strict=True):
        refused(line, str(each.values[0]))


def test_over_amqp(house: House, rabbit: Rabbit, unwritten: list[str]) -> None:
    """The very same; and a name that the site gave its message is not repeated, where it is one."""
    body = visit(story=SPELT)
    unwritten.append(body["visit_id"])
    with site(house, rabbit, SITE) as writer:
        writer.write(body, correlation_id=ID, message_id="17")
        delivery, problem = writer.delivery_of(lambda one: one.get("visit_id") == body["visit_id"])
    refused(problem, "/story")
    assert (delivery.properties.correlation_id, delivery.properties.message_id) == (None, "17")


@pytest.fixture(scope="module")
def referral(house: House) -> str:
    """A referral that a partner may answer."""
    body = visit()
    assert house.post_visit(body).status_code == 201
    number: str = house.sent(body)[0]["referral_id"]
    return number


@pytest.mark.parametrize(
    ("pointer", "answer"),
    [
        ("/note", {"note": SPELT}),
        ("/answer_id", {"answer_id": ID}),
        ("/appointment/place", {"appointment": {"at": "2026-12-01T09:30:00+01:00", "place": SPELT}}),
        ("/appointment/contact", {"appointment": {"at": "2026-12-01T09:30:00+01:00", "contact": ID}}),
    ],
)
def test_in_a_partners_answer(
    house: House, unwritten: list[str], referral: str, pointer: str, answer: dict[str, Any]
) -> None:
    """In its note, in the id that it made up, in an appointment; the referral stays as it was."""
    form = {"answer_id": str(uuid4()), "status": "accepted"} | answer
    unwritten.append(form["answer_id"])
    told = house.answer(PARTNER, referral, **form)
    assert told.status_code == 422
    refused(told.json(), pointer)
    assert [one["state"] for one in house.referrals("partner", PARTNER) if one["referral_id"] == referral] == ["sent"]


def test_in_an_address(house: House, unwritten: list[str]) -> None:
    """Where it stands for a recipient; and as a token's bearer, whose name would be in the log of accesses."""
    case, agent = str(uuid4()), house.bearer("agent", SITE)
    unwritten.append(case)
    url = f"{house.url('intake')}/v1/cases/{case}/agreements/{ID}"
    refused(house.client.put(url, json={}, headers=agent).json(), "/recipient")
    named = {"Authorization": f"Bearer {house.tokens.sign('agent', SITE, subject=ID)}"}
    assert house.client.get(f"{house.url('intake')}/v1/cases/{case}/accesses", headers=named).status_code == 401


@pytest.fixture(scope="module")
def browser(house: House) -> Iterator[httpx.Client]:
    """Let somebody of the partner in."""
    with httpx.Client(base_url=house.url("referral"), trust_env=False, headers=HERE, timeout=20) as client:
        invitation = house.tokens.invite("partner", PARTNER, "referral")
        assert client.post("/login", data={"invitation": invitation}).status_code == 303
        yield client


def test_on_a_page(house: House, unwritten: list[str], referral: str, browser: httpx.Client) -> None:
    """The form again, with the reason at the field; what was typed is there to be mended, and nowhere else."""
    form = {"answer_id": str(uuid4()), "status": "accepted", "note": SPELT}
    unwritten.append(form["answer_id"])
    page = browser.post(f"/orientations/{referral}/reponse", data=form)
    assert page.status_code == 422
    assert "numéro de sécurité sociale" in page.text
    assert [one["state"] for one in house.referrals("partner", PARTNER) if one["referral_id"] == referral] == ["sent"]


@pytest.mark.parametrize("name", ["number", "done"])
def test_in_what_a_page_looks_for(browser: httpx.Client, name: str) -> None:
    """A page that says why, without the number."""
    page = browser.get("/", params={name: ID})
    assert page.status_code == 422
    assert DIGITS not in page.text
