"""The routing table seen from outside: simulated before the visit is posted, proposed and sent after."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.contracts.paris import paris_day
from tests.support.broker import listener
from tests.support.databases import dump
from tests.support.house import House, eventually, need, visit

AGREED = {"recipients": ["state", "department", "operator", "local"], "sensitive": True}
JOB = [need("chercher-un-emploi")]


def adult(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - a field's value is of any type
    """A visit to Moreuil of somebody of whom nothing decides but what a test says."""
    plain = {"age_band": "30-54", "publics": [], "agreement": AGREED, "needs": [need("logement")]}
    return visit(**plain | changes)


def simulate(house: House, body: dict[str, Any]) -> dict[str, Any]:
    """What the rules propose, before anything is posted."""
    url, headers = f"{house.url('orientation')}/v1/orientations/simulate", house.bearer("site", body["site"])
    answer = house.client.post(url, json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


@pytest.mark.parametrize(
    ("changes", "rule", "expected"),
    [
        pytest.param(
            {"needs": [need("freins-multiples", obstacles=["mobilite", "garde-enfant"])]},
            "09-freins-spie",
            [("departement-80-spie", "department", "80")],
            id="several obstacles, in the charter",
        ),
        pytest.param(
            {"site": "hem", "commune": "59299", "needs": [need("freins-multiples", obstacles=["mobilite", "sante"])]},
            "13-freins-autres",
            [("departement-59", "department", "59")],
            id="several obstacles, at a site without charter",
        ),
        pytest.param(
            {"site": "fs-roye", "commune": "59350", "publics": ["rsa"], "needs": JOB},
            "03-rsa",
            [("departement-59", "department", "59")],
            id="RSA: the Département of residence, not of the site",
        ),
        pytest.param(
            {"site": "fs-roye", "commune": None, "publics": ["rsa"], "needs": JOB},
            "03-rsa",
            [("departement-80", "department", "80")],
            id="RSA without a commune: the site's Département",
        ),
        pytest.param(
            {"site": "hem", "commune": "59299", "publics": ["protection-internationale"], "needs": JOB},
            "06-protection-internationale",
            [("ddets", "state", "59")],
            id="the State, where no local operator is",
        ),
        pytest.param(
            {"needs": [need("cheque-energie")]},
            "19-cheque-energie",
            [("cheque-energie", "operator", "80")],
            id="a national operator, for the person's département",
        ),
        pytest.param(
            {"needs": [need("endettement")]},
            "18-endettement",
            [("point-conseil-budget-santerre", "local", "80")],
            id="a local partner",
        ),
        pytest.param(
            {"publics": ["sortant-ase"], "age_band": "18-20", "needs": JOB},
            "02-sortant-ase",
            [("ase-80", "department", "80"), ("mission-locale-santerre", "local", "80")],
            id="two at once",
        ),
        pytest.param(
            {"needs": [need("rembourser-soins")], "regime": "msa"},
            "27-rembourser-soins",
            [("msa", "operator", "80")],
            id="a farm worker's own fund",
        ),
        pytest.param(
            {"needs": [need("logement", recipient="departement-80-spie", override_reason="Suit déjà la famille.")]},
            "16-logement",
            [("departement-80-spie", "department", "80")],
            id="the partner that the agent chose",
        ),
    ],
)
def test_what_is_simulated_is_proposed_and_sent(
    house: House, changes: dict[str, Any], rule: str, expected: list[tuple[str, str, str]]
) -> None:
    """The simulation, the event OrientationProposed and the referrals name the same partners for the same rule."""
    body = adult(**changes)
    simulated = simulate(house, body)
    with listener(house, "orientation.events", "OrientationProposed") as reader:
        assert house.post_visit(body).status_code == 201
        proposed = reader.wait_for(lambda event: event["data"]["visit_id"] == body["visit_id"])["data"]
    for key in ("proposals", "spie", "rules_version"):
        assert proposed[key] == simulated[key], key
    assert {proposal["rule"] for proposal in proposed["proposals"]} == {rule}
    sent = house.sent(body, len(expected))
    assert sorted((one["partner"], one["category"], one["department"]) for one in sent) == sorted(expected)
    assert {one["state"] for one in sent} == {"sent"}
    for partner, _, _ in expected:
        own = [one["referral_id"] for one in house.referrals("partner", partner, limit="1000")]
        assert {one["referral_id"] for one in sent if one["partner"] == partner} <= set(own)


def test_the_agents_choice_travels_and_its_reason_stays(house: House) -> None:
    """The proposal says whom the agent chose, the first proposal stays as fallback; why is nobody else's business."""
    chosen = need("logement", recipient="departement-80-spie", override_reason="Suit déjà la famille.")
    body = adult(needs=[chosen])
    with listener(house, "intake.events") as visits, listener(house, "orientation.events") as proposals:
        house.post_visit(body)
        recorded = visits.wait_for(lambda event: event["data"]["visit_id"] == body["visit_id"])
        proposed = proposals.wait_for(lambda event: event["data"]["visit_id"] == body["visit_id"])
    (proposal,) = proposed["data"]["proposals"]
    assert proposal["chosen"] == "departement-80-spie"
    assert [one["partner"] for one in proposal["recipients"]] == ["departement-80-spie", "departement-80"]
    assert "famille" not in f"{recorded}{proposed}"


def test_how_often_agents_override_a_rule_is_told(house: House) -> None:
    """As a metric of orientation, and rule by rule in the exact report; naming the partner proposed is no override."""
    at = datetime.now(UTC) - timedelta(days=6)
    day = paris_day(at).isoformat()
    for recipient in ("departement-80-spie", "departement-80", None):
        body = adult(occurred_at=at.isoformat(), needs=[need("logement", recipient=recipient)])
        assert house.post_visit(body).status_code == 201
        house.sent(body)
    url, headers = f"{house.url('reporting')}/v1/reports/activity", house.bearer("steering", "fs-moreuil")

    def counted() -> list[dict[str, Any]]:
        answer = house.client.get(url, headers=headers, params={"from": day, "to": day})
        found: list[dict[str, Any]] = answer.json()["overrides"]
        return found if sum(each["proposals"] for each in found) >= 3 else []

    (rule,) = eventually(counted, within=30)
    assert rule == {"rule": "16-logement", "proposals": 3, "overridden": 1, "rate": 0.3333}
    told = house.metrics("orientation")
    assert re.search(r'^relais_proposals_total\{overridden="yes",rule="16-logement"\} [1-9]', told, re.MULTILINE)


@pytest.mark.parametrize(
    ("site", "commune", "spie"), [("fs-moreuil", "80570", 1), ("fs-roye", "80685", 1), ("hem", "59299", 0)]
)
def test_spie_is_the_charters_sites_business(house: House, site: str, commune: str, spie: int) -> None:
    """The same need is flagged in both events and counted as SPIE at Moreuil and Roye, and not at Hem."""
    at = datetime.now(UTC) - timedelta(days=5)
    day = {"from": paris_day(at).isoformat(), "to": paris_day(at).isoformat()}
    before = house.activity(site, **day)
    body = adult(site=site, commune=commune, occurred_at=at.isoformat(), needs=[need("freins-multiples")])
    with listener(house, "intake.events") as visits, listener(house, "orientation.events") as proposals:
        house.post_visit(body)
        recorded = visits.wait_for(lambda event: event["data"]["visit_id"] == body["visit_id"])["data"]
        proposed = proposals.wait_for(lambda event: event["data"]["visit_id"] == body["visit_id"])["data"]
    assert (recorded["spie"], proposed["spie"]) == (bool(spie), bool(spie))
    assert recorded["charter"] == ("spie-somme-santerre" if spie else None)
    eventually(lambda: house.activity(site, **day)["visits"] == before["visits"] + 1)
    assert house.activity(site, **day)["spie"] == before["spie"] + spie


def test_a_night_without_shelter_is_a_call_to_115(house: House) -> None:
    """The agent is told to call 115 now; nothing is sent, even to a partner of the agent's choice."""
    body = adult(needs=[need("hebergement-urgence", recipient="departement-80")])
    (advice,) = simulate(house, body)["proposals"]
    assert "115" in advice["reason"]
    assert (advice["desk_first"], advice["recipients"], advice["unmet"]) == (True, [], False)
    later = adult()
    house.post_visit(body)
    house.post_visit(later)
    house.sent(later)  # what came before it on the same way has arrived
    referred = [one["visit_id"] for one in house.referrals("site", "fs-moreuil", limit="1000")]
    assert body["visit_id"] not in referred


def test_the_printed_slip_names_a_person_for_this_very_need(house: House) -> None:
    """For housing the simulation gives the housing contact of the Département, for anything else its secretary."""
    (housing,) = simulate(house, adult(needs=[need("logement")]))["proposals"]
    (income,) = simulate(house, adult(publics=["rsa"], needs=JOB))["proposals"]
    assert housing["recipients"][0]["partner"] == income["recipients"][0]["partner"] == "departement-80"
    assert housing["contact_sheet"]["name"] == "Émilie Exemple"
    assert income["contact_sheet"]["name"] == "Claire Exemple"


def test_what_the_person_is_told_and_what_happens_next_come_with_the_proposals(house: House) -> None:
    """First-level information at a site of the charter, each proposal's source, and its typical journey in full."""
    found = simulate(house, visit())
    (proposal,) = found["proposals"]
    assert (proposal["source"], proposal["journey"]) == ("loi", "jeune-sans-emploi-ni-formation@1")
    (journey,) = found["journeys"]
    assert f"{journey['id']}@{journey['version']}" == proposal["journey"]
    assert {"who", "what", "within"} == set(journey["steps"][0])
    assert any("service public de l’insertion et de l’emploi" in text for text in found["information"])


@pytest.mark.parametrize(("day", "first"), [("2023-12-29", "departement-80"), ("2024-01-02", "france-renov")])
def test_the_basket_is_the_one_of_the_visits_day(house: House, day: str, first: str) -> None:
    """Simulating takes any date: France Rénov' is proposed from its first day in the basket, 1 January 2024."""
    body = adult(needs=[need("renovation-logement")], occurred_at=f"{day}T10:00:00+01:00")
    (proposal,) = simulate(house, body)["proposals"]
    assert proposal["recipients"][0]["partner"] == first


def test_simulating_leaves_no_trace(house: House) -> None:
    """The visit's id is in no database after being simulated, though its whole document was sent; posted, it is."""
    body = adult()
    simulate(house, body)
    assert body["visit_id"] not in "".join(text for url in house.databases.values() for text in dump(url).values())
    house.post_visit(body)
    assert body["visit_id"] in "".join(dump(house.databases["intake"]).values())
