"""Who may ask what: tokens that are no tokens, tokens of others, and addresses that do not exist."""

import base64
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from services.chassis.settings import Settings
from services.chassis.tokens import Role, Tokens
from services.contracts.topology import SERVICES
from tests.support.house import House, visit


def post(house: House, authorization: str | None) -> httpx.Response:
    """Post a good visit with this Authorization header."""
    headers = {"Authorization": authorization} if authorization else {}
    return house.client.post(f"{house.url('intake')}/v1/visits", json=visit(), headers=headers)


def unsigned(_house: House) -> str:
    """A token that says it needs no signature."""
    claims = {"iss": "relais", "aud": "relais", "exp": 9_999_999_999, "sub": "x", "role": "site", "org": "fs-moreuil"}
    parts = (base64.urlsafe_b64encode(json.dumps(part).encode()).decode() for part in ({"alg": "none"}, claims))
    return ".".join(part.rstrip("=") for part in parts) + "."


def signed(house: House, *, valid: timedelta = timedelta(hours=1), **settings: str) -> str:
    """A site's token under other settings than the house's."""
    return Tokens(Settings(state=house.folder, **settings)).sign("site", "fs-moreuil", valid=valid)  # type: ignore[arg-type]


@pytest.mark.parametrize("authorization", [None, "Basic cmVsYWlzOnJlbGFpcw==", "Bearer"])
def test_without_a_token_one_is_asked_for(house: House, authorization: str | None) -> None:
    """401 as a problem document, with the challenge that HTTP wants."""
    answer = post(house, authorization)
    assert answer.status_code == 401
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="relais"'


@pytest.mark.parametrize(
    "forge",
    [
        pytest.param(lambda _: "garbage", id="garbage"),
        pytest.param(lambda _: "a.b.c", id="three garbled parts"),
        pytest.param(unsigned, id="unsigned"),
        pytest.param(lambda house: signed(house, valid=timedelta(minutes=-5)), id="expired"),
        pytest.param(lambda house: signed(house, jwt_audience="another"), id="for another audience"),
        pytest.param(lambda house: signed(house, jwt_issuer="another"), id="of another issuer"),
        pytest.param(lambda house: signed(house)[:-8] + "AAAAAAAA", id="signature altered"),
    ],
)
def test_a_token_that_does_not_hold_is_refused(house: House, forge: Callable[[House], str]) -> None:
    """401 saying that the token is invalid, whatever is wrong with it; the genuine one is accepted."""
    answer = post(house, f"Bearer {forge(house)}")
    assert answer.status_code == 401
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]
    assert post(house, f"Bearer {signed(house)}").status_code == 201


def test_a_token_signed_with_another_key_is_refused(house: House, tmp_path: Path) -> None:
    """Someone who knows every claim but not the key gets 401."""
    forged = Tokens(Settings(state=tmp_path)).sign("site", "fs-moreuil")
    assert post(house, f"Bearer {forged}").status_code == 401


@pytest.mark.parametrize(
    ("role", "org"),
    [
        ("site", "hem"),
        ("agent", "hem"),
        ("partner", "mission-locale-santerre"),
        ("steering", "spie-somme-santerre"),
        ("ops", "fs-moreuil"),
    ],
)
def test_a_visit_is_recorded_by_its_own_site_only(house: House, role: Role, org: str) -> None:
    """403 for another site's token and for every other role: it is valid, and it is another's."""
    answer = post(house, house.bearer(role, org)["Authorization"])
    assert answer.status_code == 403
    assert answer.json()["type"] == "/problems/forbidden"


@pytest.mark.parametrize(
    ("service", "path", "role", "org"),
    [
        ("orientation", "/v1/orientations/simulate", "partner", "mission-locale-santerre"),
        ("orientation", "/v1/orientations/simulate", "site", "hem"),
        ("intake", "/v1/visits/batch", "agent", "fs-moreuil"),
        ("referral", "/v1/referrals", "steering", "spie-somme-santerre"),
        ("referral", "/v1/referrals/events", "site", "fs-moreuil"),
        ("reporting", "/v1/reports/activity", "site", "fs-moreuil"),
        ("reporting", "/v1/reports/activity", "steering", "nobody"),
        ("reporting", "/v1/reports/activity?site=hem", "steering", "spie-somme-santerre"),
        ("reporting", "/v1/cases/0193508e-7a5c-7cc1-9a59-3f6d0c7a2b11", "partner", "mission-locale-santerre"),
    ],
)
def test_each_call_is_for_its_roles(house: House, service: str, path: str, role: Role, org: str) -> None:
    """403 for a role that the contract does not name, and for the figures or the visit of another's site."""
    method = "GET" if service in {"referral", "reporting"} else "POST"
    body = None if method == "GET" else visit()
    answer = house.client.request(method, house.url(service) + path, json=body, headers=house.bearer(role, org))
    assert answer.status_code == 403
    assert answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("service", SERVICES)
def test_an_unknown_address_is_a_problem_document(house: House, service: str) -> None:
    """404 of every service, for machines and for people who mistyped."""
    answer = house.client.get(f"{house.url(service)}/v1/nothing")
    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["type"] == "/problems/not-found"


@pytest.mark.parametrize("service", SERVICES)
def test_a_wrong_method_names_the_right_one(house: House, service: str) -> None:
    """405 with Allow, as a problem document."""
    answer = house.client.delete(f"{house.url(service)}/healthz")
    assert answer.status_code == 405
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert "GET" in answer.headers["Allow"]


@pytest.mark.parametrize("path", ["/v1/referrals", "/v1/referrals/events"])
@pytest.mark.parametrize("after", ["tomorrow", "é", "MTAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMA", "LTU"])
def test_only_a_next_is_a_place_to_go_on_from(house: House, path: str, after: str) -> None:
    """422 pointing at `after` for what no page ever gave, were it a number that no table reaches."""
    headers = house.bearer("partner", "mission-locale-santerre")
    answer = house.client.get(f"{house.url('referral')}{path}", params={"after": after}, headers=headers)
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == ["/after"]


@pytest.mark.parametrize(
    "query",
    [
        {"to": "0001-06-01"},
        {"from": "yesterday"},
        {"from": "2026-02-01", "to": "2026-01-01"},
        {"by": "name"},
        {"format": "docx"},
        {"limit": "1"},
    ],
)
def test_an_impossible_report_is_refused(house: House, query: dict[str, str]) -> None:
    """422 saying what is wrong with the question."""
    headers = house.bearer("steering", "spie-somme-santerre")
    answer = house.client.get(f"{house.url('reporting')}/v1/reports/activity", params=query, headers=headers)
    assert answer.status_code == 422
    assert answer.json()["errors"]
