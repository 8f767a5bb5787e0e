"""Told once: a case with its story, as its sites and the addressed partner read it; and what is missing is said."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import httpx
import pytest

from services.chassis.settings import Settings
from services.chassis.tokens import Role, Tokens
from tests.support.databases import dump
from tests.support.hollow import Hollow, hollow_intake, nobody
from tests.support.house import VISIT, House, eventually, visit

SITE, OTHER, PARTNER = "fs-moreuil", "fs-roye", "mission-locale-santerre"


def get(house: House, path: str, role: Role, org: str) -> httpx.Response:
    """Ask reporting."""
    return house.client.get(f"{house.url('reporting')}{path}", headers=house.bearer(role, org))


def post(house: House, service: str, path: str, role: Role, org: str, **body: Any) -> httpx.Response:  # noqa: ANN401
    """Ask any service for something."""
    return house.client.post(f"{house.url(service)}{path}", json=body, headers=house.bearer(role, org))


def sent(house: House, **changes: Any) -> tuple[dict[str, Any], dict[str, Any]]:  # noqa: ANN401 - a field's value
    """A visit of Moreuil, what it was answered, and its referral to the Mission locale, which the others know."""
    body = visit(**changes)
    answer = house.post_visit(body)
    assert answer.status_code == 201, answer.text
    (referral,) = house.sent(body)
    case = answer.json()["case"]
    eventually(lambda: "referral-sent" in [each["kind"] for each in house.timeline(case, SITE)], within=30)
    eventually(lambda: heard(house, referral, "sent"), within=30)
    return answer.json(), referral


def heard(house: House, referral: dict[str, Any], state: str) -> bool:
    """Whether intake, which decides who may read, has been told of this step of a referral."""
    rows = dump(house.databases["intake"])["sent_referrals"].splitlines()
    return any(referral["referral_id"] in row and f",{state}," in row for row in rows)


def accesses(house: House, case: str, site: str = SITE) -> list[tuple[str, str]]:
    """Who looked, and what for, as the person's own site reads it."""
    url = f"{house.url('intake')}/v1/cases/{case}/accesses"
    answer = house.client.get(url, headers=house.bearer("agent", site))
    assert answer.status_code == 200, answer.text
    return [(each["org"], each["action"]) for each in answer.json()["accesses"]]


def test_told_once_from_the_counter_to_the_answer_and_the_measure(house: House) -> None:
    """Seen in Moreuil, found again in Roye, sent on: the partner reads it, the log shows it, the answer is measured."""
    told, referral = sent(house)
    search = post(house, "intake", "/v1/cases/search", "agent", OTHER, reference=told["reference"])
    assert [each["case"] for each in search.json()["matches"]] == [told["case"]]
    assert post(house, "intake", f"/v1/cases/{told['case']}/confirm", "agent", OTHER).status_code == 200
    # Roye has said that it is this person, and has not met it yet.
    read = get(house, f"/v1/cases/{told['case']}", "agent", OTHER).json()
    assert [each["text"] for each in read["story"]["stories"]] == [VISIT["story"]]
    assert read["missing"] is None
    second = visit(site=OTHER, case=told["case"], person=None, story=None, agreement=None)
    assert house.post_visit(second).status_code == 201
    eventually(lambda: get(house, f"/v1/cases/{told['case']}", "agent", OTHER).json()["sites"] == [SITE, OTHER])
    before = measure(house)
    seen = get(house, f"/v1/referrals/{referral['referral_id']}/case", "partner", PARTNER)
    assert seen.status_code == 200, seen.text
    assert [each["text"] for each in seen.json()["story"]["stories"]] == [VISIT["story"]]
    assert told["case"] not in seen.text
    assert eventually(lambda: {(PARTNER, "case-read"), (PARTNER, "story-read")} <= set(accesses(house, told["case"])))
    assert (OTHER, "case-read") in accesses(house, told["case"])
    said = house.answer(PARTNER, referral["referral_id"], status="accepted", story_sufficient=True)
    assert said.status_code == 201
    assert eventually(lambda: measure(house) == (before[0] + 1, before[1]))


def measure(house: House) -> tuple[int, int]:
    """Of Moreuil: referrals whose story was enough, and stories told again."""
    url, headers = f"{house.url('reporting')}/v1/reports/activity", house.bearer("steering", SITE)
    found = house.client.get(url, headers=headers).json()["told_once"]
    return found["answers"]["sufficient"], found["tellings"]["retold"]


def test_links_lead_where_they_say(house: House) -> None:
    """What a partner is told of a referral leads to its case and its story."""
    _, referral = sent(house)
    (mine,) = [
        one
        for one in house.referrals("partner", PARTNER, limit="1000")
        if one["referral_id"] == referral["referral_id"]
    ]
    for link in ("case", "story"):
        assert house.client.get(mine["links"][link], headers=house.bearer("partner", PARTNER)).status_code == 200


def test_a_partner_that_may_not_gets_one_answer(house: House) -> None:
    """Another's, an unknown, an ended one, one whose person agrees no more: alike to the letter, and as slow."""
    _, anothers = sent(house)
    _, ended = sent(house)
    assert house.answer(PARTNER, ended["referral_id"], status="declined", reason="no-capacity").status_code == 201
    eventually(lambda: heard(house, ended, "declined"), within=30)
    told, withdrawn = sent(house)
    url = f"{house.url('intake')}/v1/cases/{told['case']}/agreements/{PARTNER}"
    assert house.client.delete(url, headers=house.bearer("agent", SITE)).status_code == 200
    asked = [
        (anothers["referral_id"], "france-travail"),
        (str(uuid4()), PARTNER),
        (ended["referral_id"], PARTNER),
        (withdrawn["referral_id"], PARTNER),
    ]
    apart = []
    for _ in range(2):
        answers, times = [], []
        for referral_id, partner in asked:
            begun = time.monotonic()
            answers.append(get(house, f"/v1/referrals/{referral_id}/case", "partner", partner))
            times.append(time.monotonic() - begun)
        assert {(answer.status_code, answer.text) for answer in answers} == {(404, answers[0].text)}
        apart.append(max(times) - min(times))
    assert min(apart) < 0.8  # once the machine may have been busy with something else
    assert get(house, f"/v1/referrals/{withdrawn['referral_id']}/case", "agent", SITE).status_code == 403


class Apart:
    """Reporting alone knows this intake: one that tests make misbehave."""

    def __init__(self, house: House, hollow: Hollow) -> None:
        self.house, self.hollow = house, hollow
        _, self.referral = sent(house)
        self.case = self.referral["case"]
        house.stop("reporting")
        self._own = house.environment["RELAIS_INTAKE_HTTP"]
        self.point_to(hollow.address)

    def point_to(self, address: str) -> None:
        """Start reporting with intake at this address."""
        if self.house.alive("reporting"):
            self.house.stop("reporting")
        self.house.environment["RELAIS_INTAKE_HTTP"] = address
        self.house.start("reporting")
        self.house.environment["RELAIS_INTAKE_HTTP"] = self._own

    def as_agent(self) -> tuple[int, dict[str, Any], float]:
        """Status, body, seconds."""
        begun = time.monotonic()
        answer = get(self.house, f"/v1/cases/{self.case}", "agent", SITE)
        return answer.status_code, answer.json(), time.monotonic() - begun

    def as_partner(self) -> httpx.Response:
        """The partner's answer."""
        return get(self.house, f"/v1/referrals/{self.referral['referral_id']}/case", "partner", PARTNER)


@pytest.fixture(scope="module")
def apart(house: House) -> Iterator[Apart]:
    """The shared house, whose reporting asks a hollow intake meanwhile."""
    with hollow_intake() as hollow:
        made = Apart(house, hollow)
        yield made
        house.stop("reporting")
        house.start("reporting")


@pytest.mark.parametrize("mood", ["hang", "drip"])
def test_a_slow_intake_holds_nobody_up(apart: Apart, mood: str) -> None:
    """After two seconds the timeline is there and says why there is no story; others are answered meanwhile."""
    apart.hollow.mood = mood
    with ThreadPoolExecutor(20) as pool:
        reading = [pool.submit(apart.as_agent) for _ in range(20)]
        time.sleep(0.5)
        begun = time.monotonic()
        assert apart.house.client.get(f"{apart.house.url('reporting')}/healthz").status_code == 200
        assert apart.house.client.get(f"{apart.house.url('reporting')}/").status_code == 200
        meanwhile = time.monotonic() - begun
        found = [each.result() for each in reading]
    # One after the other they would take 40 seconds.
    assert meanwhile < 10
    assert {status for status, _, _ in found} == {200}
    assert all("tarde trop à répondre" in body["missing"] and body["timeline"] for _, body, _ in found)
    assert max(seconds for *_, seconds in found) < 15


def test_more_than_a_third_of_the_workers_never_wait(apart: Apart) -> None:
    """Of 60 at once half wait for it, the others are told at once."""
    apart.hollow.mood = "hang"
    with ThreadPoolExecutor(60) as pool:
        found = [each.result() for each in [pool.submit(apart.as_agent) for _ in range(60)]]
    assert {status for status, _, _ in found} == {200}
    assert len({body["missing"] for _, body, _ in found}) == 1


@pytest.mark.parametrize(
    ("status", "words"),
    [(404, "n’est pas ouverte à votre site"), (500, "un incident"), (401, "n’a pas reconnu"), (429, "un incident")],
)
def test_what_intake_refuses_an_agent_is_said(apart: Apart, status: int, words: str) -> None:
    """The timeline is its own site's all the same."""
    apart.hollow.mood = status
    got, body, _ = apart.as_agent()
    assert (got, body["story"]) == (200, None)
    assert words in body["missing"]
    assert body["timeline"]


def test_what_intake_refuses_a_partner_is_refused_here(apart: Apart) -> None:
    """Unknown is unknown; too many is too many, until then; a fault of intake's own leaves the timeline."""
    apart.hollow.mood = 404
    refused = apart.as_partner()
    assert refused.status_code == 404
    apart.hollow.mood, apart.hollow.headers = 429, {"Retry-After": "17"}
    slowed = apart.as_partner()
    assert (slowed.status_code, slowed.headers["Retry-After"]) == (429, "17")
    apart.hollow.mood, apart.hollow.headers = 500, {}
    faulty = apart.as_partner()
    assert (faulty.status_code, faulty.json()["story"]) == (200, None)
    assert "un incident" in faulty.json()["missing"]


@pytest.mark.parametrize("body", [b"", b"<p>", b"[1]", b'"story"', b"\xff\xfe"])
def test_what_is_no_story_is_missing(apart: Apart, body: bytes) -> None:
    """Another program may answer at that address."""
    apart.hollow.mood, apart.hollow.body = 200, body
    _, read, _ = apart.as_agent()
    assert (read["story"], bool(read["missing"])) == (None, True)


def test_intake_is_asked_on_the_readers_own_token(apart: Apart) -> None:
    """Not on one of reporting's: intake decides about the reader."""
    apart.hollow.mood, apart.hollow.body = 200, b'{"stories": []}'
    apart.hollow.asked.clear()
    headers = apart.house.bearer("agent", SITE)
    url = f"{apart.house.url('reporting')}/v1/cases/{apart.case}"
    assert apart.house.client.get(url, headers=headers).json()["story"] == {"stories": []}
    assert apart.hollow.asked == [(f"/v1/cases/{apart.case}/story", headers["Authorization"])]


def test_an_intake_that_is_away_is_said(apart: Apart) -> None:
    """To the agent and to the partner, at once; who may not read it gets the same nothing as ever."""
    apart.point_to(nobody())
    found = [apart.as_agent() for _ in range(3)]
    assert all("ne répond pas" in body["missing"] for _, body, _ in found)
    assert min(seconds for *_, seconds in found) < 1
    seen = apart.as_partner().json()
    assert "ne répond pas" in seen["missing"]
    assert [each["kind"] for each in seen["timeline"]] == ["referral-sent"]
    stranger = get(apart.house, f"/v1/referrals/{apart.referral['referral_id']}/case", "partner", "france-travail")
    assert stranger.status_code == 404


def test_a_readers_token_opens_a_story_and_nothing_else(house: House) -> None:
    """Intake's two story calls take it; every other call, here and elsewhere, refuses it."""
    told, _ = sent(house)
    tokens = Tokens(Settings(state=house.folder))
    caller = tokens.check(tokens.sign("agent", SITE))
    headers = {"Authorization": f"Bearer {tokens.for_reader(caller)}"}

    def status(service: str, path: str) -> int:
        return house.client.get(f"{house.url(service)}{path}", headers=headers).status_code

    case = f"/v1/cases/{told['case']}"
    assert status("intake", f"{case}/story") == 200
    refused = [("intake", f"{case}/accesses"), ("intake", f"{case}/agreements"), ("reporting", case)]
    assert {status(service, path) for service, path in [*refused, ("referral", "/v1/referrals")]} == {401}
