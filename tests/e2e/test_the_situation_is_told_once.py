"""A person seen in Moreuil, then in Roye, then by the Département: one case, one story, and a log of who read it."""

import json
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import httpx
import pytest

from services.chassis.tokens import Role
from tests.support.databases import dump
from tests.support.house import House, eventually, need, visit

DEPARTMENT = "departement-80"
STORY = "Seule avec deux enfants, son bail finit en mars ; elle ne retrouve pas de logement à Moreuil."
# Each call of a case, and the role that may make it; others are told so before anything is looked at.
CALLS: dict[tuple[str, str], Role] = {
    ("POST", "/v1/cases/search"): "agent",
    ("POST", "/v1/cases/{case}/confirm"): "agent",
    ("POST", "/v1/cases/{case}/merge"): "agent",
    ("POST", "/v1/cases/{case}/unmerge"): "agent",
    ("GET", "/v1/cases/{case}/story"): "agent",
    ("GET", "/v1/referrals/{case}/story"): "partner",
    ("PUT", "/v1/visits/{case}/story"): "agent",
    ("PUT", "/v1/cases/{case}/person"): "agent",
    ("GET", "/v1/cases/{case}/agreements"): "agent",
    ("PUT", "/v1/cases/{case}/agreements/local"): "agent",
    ("DELETE", "/v1/cases/{case}/agreements/local"): "agent",
    ("PUT", "/v1/cases/{case}/objection"): "agent",
    ("DELETE", "/v1/cases/{case}/objection"): "agent",
    ("PUT", "/v1/cases/{case}/restriction"): "agent",
    ("DELETE", "/v1/cases/{case}/restriction"): "agent",
    ("GET", "/v1/cases/{case}/accesses"): "agent",
    ("GET", "/v1/cases/{case}/export"): "agent",
    ("DELETE", "/v1/cases/{case}"): "agent",
}
ROLES: dict[Role, str] = {
    "site": "fs-moreuil",
    "agent": "fs-moreuil",
    "partner": DEPARTMENT,
    "steering": "spie-somme-santerre",
    "ops": "ops",
}


def agent(house: House, site: str, method: str, path: str, **body: Any) -> httpx.Response:  # noqa: ANN401 - a form
    """What an agent of a site asks of intake."""
    headers = house.bearer("agent", site) | ({"Content-Type": "application/json"} if body else {})
    content = json.dumps(body) if body else None
    return house.client.request(method, f"{house.url('intake')}{path}", headers=headers, content=content)


def test_moreuil_then_roye_then_the_departement(house: House) -> None:
    """One case, one story, entered once; the Département reads it by its referral, and the log says so."""
    told = visit(
        needs=[need("logement")], story=STORY, agreement={"recipients": ["department"]}, publics=[], age_band="30-54"
    )
    told["person"]["family_name"] = f"Récit {told['visit_id'][:8]}"
    case = house.post_visit(told).json()["case"]

    sought = {name: told["person"][name] for name in ("family_name", "given_name", "birth_date")}
    (match,) = agent(house, "fs-roye", "POST", "/v1/cases/search", person=sought).json()["matches"]
    assert match["case"] == case
    assert agent(house, "fs-roye", "GET", f"/v1/cases/{case}/story").status_code == 404
    assert agent(house, "fs-roye", "POST", f"/v1/cases/{case}/confirm").status_code == 200
    story = agent(house, "fs-roye", "GET", f"/v1/cases/{case}/story").json()
    assert [one["text"] for one in story["stories"]] == [STORY]
    again = visit(site="fs-roye", case=case, person=None, story=None, needs=[need("numerique", outcome="resolved")])
    assert house.post_visit(again).json()["case"] == case

    (sent,) = [one for one in house.sent(told) if one["partner"] == DEPARTMENT]
    (of_department,) = [
        one["data"]
        for one in house.events(DEPARTMENT)
        if one["type"] == "fr.relais.ReferralSent.v1" and one["data"]["referral_id"] == sent["referral_id"]
    ]
    assert of_department["links"]["story"].endswith(f"/v1/referrals/{sent['referral_id']}/story")
    eventually(lambda: sent["referral_id"] in dump(house.databases["intake"])["sent_referrals"], within=30)
    url = f"{house.url('intake')}/v1/referrals/{sent['referral_id']}/story"
    read = house.client.get(url, headers=house.bearer("partner", DEPARTMENT))
    assert read.status_code == 200, read.text
    assert [one["text"] for one in read.json()["stories"]] == [STORY]
    assert read.json()["person"]["family_name"] == told["person"]["family_name"]
    assert case not in read.text
    assert told["visit_id"] not in read.text

    def looked() -> list[tuple[str, str]]:
        found = agent(house, "fs-moreuil", "GET", f"/v1/cases/{case}/accesses").json()["accesses"]
        return [(one["name"], one["action"]) for one in reversed(found) if one["action"] != "accesses-read"]

    seen = eventually(looked)
    assert seen[0] == ("France services Roye", "found")
    assert ("France services Roye", "confirmed") in seen
    assert ("France services Roye", "story-read") in seen
    assert seen[-1] == ("Département de la Somme", "story-read")

    before = measured(house)
    assert house.answer(DEPARTMENT, sent["referral_id"], status="accepted", story_sufficient=True).status_code == 201
    eventually(lambda: measured(house) == (before[0] + 1, before[1]), within=30)

    def kinds() -> set[tuple[str, str | None]]:
        return {(entry["kind"], entry["codes"].get("partner")) for entry in house.timeline(case, "fs-roye")}

    eventually(lambda: ("referral-accepted", DEPARTMENT) in kinds(), within=30)

    exported = agent(house, "fs-moreuil", "GET", f"/v1/cases/{case}/export?format=pdf")
    assert exported.headers["Content-Type"] == "application/pdf"
    assert exported.content.startswith(b"%PDF")
    assert told["person"]["family_name"] not in exported.headers["Content-Disposition"]


def test_an_organisation_has_one_copy_made_at_a_time(house: House) -> None:
    """Of four asked for at the same moment some are told to come again in a second; another site's is made."""
    case = house.post_visit(visit(story=STORY)).json()["case"]
    elsewhere = house.post_visit(visit(site="fs-roye", story=STORY)).json()["case"]
    start = Barrier(5)

    def copy(site: str, of: str) -> tuple[int, str | None]:
        start.wait(10)
        answer = agent(house, site, "GET", f"/v1/cases/{of}/export?format=pdf")
        return answer.status_code, answer.headers.get("Retry-After")

    answered: set[tuple[int, str | None]] = set()
    for _ in range(5):
        with ThreadPoolExecutor(5) as pool:
            asked = [pool.submit(copy, "fs-moreuil", case) for _ in range(4)]
            other = pool.submit(copy, "fs-roye", elsewhere)
        answered = {each.result() for each in asked}
        assert (200, None) in answered
        assert answered <= {(200, None), (429, "1")}
        assert other.result() == (200, None)
        if len(answered) > 1:  # on a busy machine they may come one after the other
            break
    assert answered == {(200, None), (429, "1")}


def measured(house: House) -> tuple[int, int]:
    """Of Moreuil: the Départements' answers that the story was enough, and stories told again."""
    url, headers = f"{house.url('reporting')}/v1/reports/activity", house.bearer("steering", "fs-moreuil")
    found = house.client.get(url, headers=headers).json()["told_once"]
    sufficient = [each["sufficient"] for each in found["answers_by_category"] if each["key"] == "department"]
    return sum(sufficient), found["tellings"]["retold"]


@pytest.mark.parametrize("role", [*ROLES, None])
def test_only_its_role_makes_a_call(house: House, role: Role | None) -> None:
    """18 calls for each of five roles and for nobody: 401 without a token, 403 for another role's."""
    case = house.post_visit(visit()).json()["case"]
    headers = house.bearer(role, ROLES[role]) if role else {}
    for (method, path), allowed in CALLS.items():
        if role == allowed:
            continue
        url = f"{house.url('intake')}{path.format(case=case)}"
        answer = house.client.request(method, url, headers=headers)
        assert answer.status_code == (403 if role else 401), (method, path)


def test_every_call_of_a_case_is_among_them(house: House) -> None:
    """Read off what intake says of itself."""
    paths = house.client.get(f"{house.url('intake')}/openapi.json").json()["paths"]
    names = {"{referral_id}": "{case}", "{visit_id}": "{case}", "{recipient}": "local"}
    calls = set()
    for path, each in paths.items():
        if path.startswith(("/v1/cases/", "/v1/referrals/")) or path.endswith("/story"):
            for name, value in names.items():
                path = path.replace(name, value)  # noqa: PLW2901 - as CALLS has it
            kinds = ("objection", "restriction") if "{kind}" in path else ("",)
            calls |= {(method.upper(), path.replace("{kind}", kind)) for method in each for kind in kinds}
    assert calls == set(CALLS)
