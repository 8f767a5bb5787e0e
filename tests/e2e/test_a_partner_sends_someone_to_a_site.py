"""A partner orients a person toward a site: the site sees it waiting, answers it, and nobody else learns of it."""

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pika
import pytest

from services.chassis.tokens import Role
from services.contracts.topology import SERVICES
from services.network import load
from tests.support.broker import listener
from tests.support.databases import dump
from tests.support.house import House, eventually, visit

PARTNER, SITE = "mission-locale-santerre", "fs-roye"
NETWORKS = Path(__file__).parents[2] / "deploy" / "networks"
NOTE = "told: cannot fill in the form alone"


def toward(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - a field's value is of any type
    """A fresh referral toward a site; `changes` replace its fields."""
    return {"referral_id": str(uuid4()), "site": SITE, "need": "declarer-revenus", "agreed": True} | changes


def send(house: House, body: dict[str, Any], *, partner: str = PARTNER, role: Role = "partner") -> httpx.Response:
    """Post it as this partner."""
    return house.client.post(f"{house.url('referral')}/v1/referrals", json=body, headers=house.bearer(role, partner))


def answer(house: House, body: dict[str, Any], role: Role, org: str, **form: Any) -> httpx.Response:  # noqa: ANN401 - any field
    """Answer it as this organisation."""
    url = f"{house.url('referral')}/v1/referrals/{body['referral_id']}/answers"
    return house.client.post(url, json={"answer_id": str(uuid4())} | form, headers=house.bearer(role, org))


def view(house: House, role: Role, org: str, body: dict[str, Any]) -> dict[str, Any] | None:
    """The referral as this organisation sees it; None when it does not."""
    found = [one for one in house.referrals(role, org, limit="1000") if one["referral_id"] == body["referral_id"]]
    assert len(found) <= 1
    return found[0] if found else None


@pytest.fixture
def addressed(house: House) -> dict[str, Any]:
    """What a visit to Moreuil sent to the partner, as the site sees it."""
    body = visit()
    house.post_visit(body)
    (sent,) = house.sent(body)
    return sent


def test_the_site_sees_it_waiting_and_answers_to_the_end(house: House) -> None:
    """Site and agent see it `sent`, take it on and close it; the sender reads each state; neither is told a case."""
    body = toward(note=NOTE)
    taken = send(house, body)
    assert taken.status_code == 201, taken.text
    url = f"{house.url('referral')}/v1/referrals"
    links = {"referrals": url}
    told = {"referral_id": body["referral_id"], "site": SITE, "need": body["need"], "state": "sent", "links": links}
    assert taken.json() == told
    roles: tuple[Role, ...] = ("site", "agent")
    for role in roles:
        waiting = view(house, role, SITE, body)
        assert waiting is not None
        assert (waiting["state"], waiting["sender"], waiting["category"]) == ("sent", PARTNER, "site")
        assert (waiting["partner"], waiting["site"], waiting["department"]) == (SITE, SITE, "80")
        assert (waiting["case"], waiting["visit_id"]) == (None, None)
        assert waiting["links"] == {"answers": f"{url}/{body['referral_id']}/answers"}
    assert answer(house, body, "agent", SITE, status="accepted", note=NOTE).status_code == 201
    assert answer(house, body, "site", SITE, status="received").status_code == 409
    assert answer(house, body, "site", SITE, status="completed", outcome="helped").status_code == 201
    seen = view(house, "partner", PARTNER, body)
    assert seen is not None
    assert (seen["state"], seen["sender"], seen["links"], seen["case"]) == ("completed", PARTNER, None, None)


def test_what_is_addressed_to_a_partner_has_no_sender(house: House, addressed: dict[str, Any]) -> None:
    """So that its software can tell what to answer from what it sent."""
    seen = view(house, "partner", PARTNER, addressed)
    assert seen is not None
    assert (seen["sender"], seen["case"], seen["visit_id"]) == (None, None, None)
    assert set(seen["links"]) == {"story", "case", "answers"}


def test_both_sides_come_in_the_order_of_their_last_change(house: House, addressed: dict[str, Any]) -> None:
    """Page by page of one: what the partner sent and what is addressed to it, none of them twice or never."""
    headers, url = house.bearer("partner", PARTNER), f"{house.url('referral')}/v1/referrals"

    def page(**query: str) -> dict[str, Any]:
        found: dict[str, Any] = house.client.get(url, headers=headers, params=query).json()
        return found

    last = page(limit="1000")
    while last["referrals"]:
        last = page(limit="1000", after=last["next"])
    sent = [toward(), toward()]
    send(house, sent[0])
    house.answer(PARTNER, addressed["referral_id"], status="received")
    send(house, sent[1])
    seen = []
    while (last := page(limit="1", after=last["next"]))["referrals"]:
        seen += [one["referral_id"] for one in last["referrals"]]
    assert seen == [sent[0]["referral_id"], addressed["referral_id"], sent[1]["referral_id"]]
    waiting = page(limit="1000", status="received")["referrals"]
    assert addressed["referral_id"] in [one["referral_id"] for one in waiting]
    assert sent[0]["referral_id"] not in [one["referral_id"] for one in waiting]


def test_the_same_again_is_the_same_answer(house: House) -> None:
    """200 and the first answer, also once the site has moved on; the site sees one."""
    body = toward(note=NOTE, about=None)
    first = send(house, body)
    answer(house, body, "site", SITE, status="accepted")
    again = send(house, {name: value for name, value in body.items() if name != "about"})
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json()
    seen = view(house, "site", SITE, body)
    assert seen is not None
    assert seen["state"] == "accepted"


@pytest.mark.parametrize(
    ("changes", "partner"),
    [
        ({"site": "fs-moreuil"}, PARTNER),
        ({"need": "logement"}, PARTNER),
        ({"note": "told: something else"}, PARTNER),
        ({}, "france-travail"),
    ],
)
def test_an_id_that_is_taken_is_a_conflict(house: House, changes: dict[str, str], partner: str) -> None:
    """409 for other content, and for another sender, who is told nothing of the first."""
    body = toward(note=NOTE)
    send(house, body)
    other = send(house, body | changes, partner=partner)
    assert other.status_code == 409
    assert PARTNER not in other.text
    seen = view(house, "site", SITE, body)
    assert seen is not None
    assert (seen["need"], seen["sender"]) == (body["need"], PARTNER)
    assert view(house, "partner", "france-travail", body) is None


def test_what_cannot_wait_is_not_sent(house: House) -> None:
    """422 at the need, ending with what the network files say to do now (call 115), first of all; nothing is kept."""
    (urgent,) = (line for line in load(NETWORKS).lines if line.urgent)
    for also in ({}, {"site": "nowhere"}):
        body = toward(need="hebergement-urgence", **also)
        refused = send(house, body)
        assert refused.status_code == 422, refused.text
        problem = refused.json()
        assert [error["pointer"] for error in problem["errors"]] == ["/need", *(f"/{field}" for field in also)]
        assert problem["detail"] == problem["errors"][0]["detail"]
        assert problem["detail"].endswith(f" {urgent.reason}")
        assert "115" in problem["detail"]
        assert body["referral_id"] not in "\n".join(dump(house.databases["referral"]).values())


def test_an_id_of_a_visits_referral_is_taken(house: House, addressed: dict[str, Any]) -> None:
    """409, and the referral stays the one that the visit made."""
    assert send(house, toward(referral_id=addressed["referral_id"])).status_code == 409
    assert view(house, "site", addressed["site"], addressed) == addressed


def test_the_same_from_many_at_once_is_one(house: House, addressed: dict[str, Any]) -> None:
    """One 201, the others 200 with the same answer; one row, one event, one step; with a case and without."""
    for body in (toward(note=NOTE), toward(note=NOTE, about=addressed["referral_id"])):
        with ThreadPoolExecutor(12) as pool:
            taken = list(pool.map(lambda body: send(house, body), [body] * 12))
        assert sorted(one.status_code for one in taken) == [200] * 11 + [201]
        assert {one.text for one in taken} == {taken[0].text}
        assert view(house, "site", SITE, body) is not None
        found = dump(house.databases["referral"])
        for table in ("outbox", "history"):
            assert found[table].count(body["referral_id"]) == 1


def test_of_different_ones_at_once_one_wins(house: House) -> None:
    """One 201, and 409 for every other content under the same id: none of them is overwritten."""
    id_ = str(uuid4())
    bodies = [toward(referral_id=id_, note=f"told: {number}") for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        codes = [one.status_code for one in pool.map(lambda body: send(house, body), bodies)]
    assert sorted(codes) == [201] + [409] * 7
    winner = bodies[codes.index(201)]
    assert send(house, winner).status_code == 200


@pytest.mark.parametrize(
    ("role", "org"),
    [("partner", PARTNER), ("partner", "france-travail"), ("site", "fs-moreuil"), ("agent", "fs-moreuil")],
)
def test_only_the_addressed_site_may_answer(house: House, role: Role, org: str) -> None:
    """403 for its sender, and 404 for another partner and another site, who do not see it, as if it were nobody's."""
    body = toward()
    send(house, body)
    refused = answer(house, body, role, org, status="received")
    nobodys = answer(house, toward(), role, org, status="received")
    if org == PARTNER:
        assert (refused.status_code, "« sent »" in refused.json()["detail"]) == (403, True)
    else:
        assert (refused.status_code, refused.json()) == (404, nobodys.json())
    assert (view(house, role, org, body) is not None) == (org == PARTNER)
    seen = view(house, "site", SITE, body)
    assert seen is not None
    assert seen["state"] == "sent"


def test_a_site_may_not_answer_what_it_sent(house: House, addressed: dict[str, Any]) -> None:
    """A site answers what is addressed to it, not what its visits sent to a partner: 403."""
    assert answer(house, addressed, "site", addressed["site"], status="received").status_code == 403


def test_about_a_referral_it_is_of_the_same_case(house: House, addressed: dict[str, Any]) -> None:
    """The site that knows the case finds it in the timeline, in French, with the site's answers."""
    body = toward(about=addressed["referral_id"])
    assert send(house, body).status_code == 201
    assert answer(house, body, "site", SITE, status="declined", reason="no-capacity").status_code == 201

    def told() -> list[dict[str, Any]]:
        found = house.timeline(addressed["case"], "fs-moreuil")
        mine = [one for one in found if one["codes"].get("referral_id") == body["referral_id"]]
        return mine if len(mine) == 2 else []

    sent, declined = eventually(told)
    assert sent["label"] == (
        "Orientation reçue de Mission locale du Santerre vers le site France services Roye\u00a0: Déclarer ses revenus"
    )
    assert declined["label"] == "Orientation déclinée par le site\u00a0: plus de place"
    assert sent["codes"]["visit_id"] == addressed["visit_id"]


def test_a_health_fact_is_told_to_the_addressed_site_and_to_no_other_that_knows_the_case(
    house: House, addressed: dict[str, Any]
) -> None:
    """In the case's timeline every site that knows the case would read it: refused with `about`, taken without."""
    body = toward(need="droits-handicap", sensitive=True)
    refused = send(house, body | {"about": addressed["referral_id"]})
    assert refused.status_code == 422
    assert [error["pointer"] for error in refused.json()["errors"]] == ["/about"]
    assert send(house, body).status_code == 201


def test_only_the_visits_own_site_is_told_the_case(house: House, addressed: dict[str, Any]) -> None:
    """The addressed site learns the case when it opened it, and never another site's; the partner in no case."""
    own, others = (toward(about=addressed["referral_id"], site=site) for site in ("fs-moreuil", SITE))
    for body in (own, others):
        send(house, body)
        seen = view(house, "partner", PARTNER, body)
        assert seen is not None
        assert (seen["case"], seen["visit_id"]) == (None, None)
    for body, case, visit_id in ((own, addressed["case"], addressed["visit_id"]), (others, None, None)):
        seen = view(house, "site", body["site"], body)
        assert seen is not None
        assert (seen["case"], seen["visit_id"]) == (case, visit_id)
    assert house.timeline(addressed["case"], SITE) == []


def test_the_note_is_told_to_its_reader_alone_and_nothing_knows_a_case(house: House) -> None:
    """Sealed: in no table, log, metric or event; without `about` no event, no row and no other service names a case."""
    body = toward(note=NOTE)
    with listener(house, "referral.events") as inside:
        send(house, body)
        answer(house, body, "site", SITE, status="received", note=NOTE)
        mine = [body["referral_id"], "fr.relais.ReferralReceived.v1"]
        inside.wait_for(lambda event: [event["data"]["referral_id"], event["type"]] == mine)
        delivery, event = inside.delivery_of(lambda event: event["data"]["referral_id"] == body["referral_id"])
    assert delivery.routing_key == f"ReferralSent.site.{SITE}.80"
    facts = {name: event["data"][name] for name in ("case", "visit_id", "sender", "partner", "site", "category")}
    expected = {"case": None, "visit_id": None, "sender": PARTNER, "partner": SITE, "site": SITE, "category": "site"}
    assert facts == expected
    published = "\n".join(one.body.decode() for one in inside.read)
    eventually(lambda: dump(house.databases["reporting"])["referral_steps"].count(body["referral_id"]) == 2)
    tables = {service: dump(house.databases[service]) for service in SERVICES}
    exposed = [house.log(service) + house.metrics(service) for service in SERVICES]
    for text in (published, *exposed, *("\n".join(found.values()) for found in tables.values())):
        assert NOTE not in text
        assert NOTE.encode().hex() not in text
    knowing = {service for service in SERVICES if body["referral_id"] in "\n".join(tables[service].values())}
    assert knowing == {"referral", "reporting"}
    assert body["referral_id"] not in tables["referral"]["vault_keys"]  # an owner that no sender can name
    told = [event for event in house.events(PARTNER) if event["data"]["referral_id"] == body["referral_id"]]
    assert [event["type"].split(".")[2] for event in told] == ["ReferralReceived"]
    assert house.events(SITE) == []
    read = view(house, "site", SITE, body)
    assert read is not None
    assert (read["note"], read["answers"][0]["note"]) == (NOTE, NOTE)


def test_it_is_counted_once_however_often_it_is_delivered(house: House) -> None:
    """In the activity report under the category `site`, and in referral's own gauge."""

    def counted() -> int:
        return int(house.activity("spie-somme-santerre")["referrals"]["by_category"].get("site", 0))

    def standing() -> int:
        gauges = re.findall(r"relais_referrals{(.*)} (\d+)", house.metrics("referral"))
        return sum(int(value) for labels, value in gauges if 'category="site"' in labels)

    before, body = dump(house.databases["referral"])["referrals"].count(",site,80,"), toward()
    eventually(lambda: counted() == before)
    with listener(house, "referral.events") as inside:
        send(house, body)
        delivery, _ = inside.delivery_of(lambda event: event["data"]["referral_id"] == body["referral_id"])
        eventually(lambda: counted() == before + 1)
        known = house.handled("reporting", "duplicate")
        properties = pika.BasicProperties(content_type=delivery.properties.content_type, delivery_mode=2)
        inside.channel.basic_publish("referral.events", delivery.routing_key, delivery.body, properties)
        eventually(lambda: house.handled("reporting", "duplicate") > known)
    assert counted() == before + 1
    eventually(lambda: standing() == before + 1, within=60)  # a gauge is read again more rarely than it is scraped
