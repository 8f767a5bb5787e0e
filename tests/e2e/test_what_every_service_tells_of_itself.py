"""Health, metrics and the published documents: what ops teams and their tools build on."""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from services.contracts.topology import PUBLISHED, SERVICES
from tests.support.house import House, eventually, visit
from tests.support.prometheus import complaints, samples

CALLS = {
    "intake": {
        ("post", "/v1/visits"),
        ("post", "/v1/visits/batch"),
        ("put", "/v1/visits/{visit_id}/story"),
        ("post", "/v1/cases/search"),
        ("post", "/v1/cases/{case}/confirm"),
        ("post", "/v1/cases/{case}/merge"),
        ("post", "/v1/cases/{case}/unmerge"),
        ("get", "/v1/cases/{case}/story"),
        ("get", "/v1/referrals/{referral_id}/story"),
        ("put", "/v1/cases/{case}/person"),
        ("get", "/v1/cases/{case}/agreements"),
        ("put", "/v1/cases/{case}/agreements/{recipient}"),
        ("delete", "/v1/cases/{case}/agreements/{recipient}"),
        ("put", "/v1/cases/{case}/{kind}"),
        ("delete", "/v1/cases/{case}/{kind}"),
        ("get", "/v1/cases/{case}/accesses"),
        ("get", "/v1/cases/{case}/export"),
        ("delete", "/v1/cases/{case}"),
    },
    "orientation": {
        ("post", "/v1/orientations/simulate"),
        ("post", "/v1/orientations/explain"),
        ("get", "/v1/contact-sheets"),
        ("get", "/v1/services"),
    },
    "referral": {
        ("get", "/v1/referrals"),
        ("post", "/v1/referrals"),
        ("get", "/v1/referrals/events"),
        ("post", "/v1/referrals/{referral_id}/answers"),
        ("post", "/v1/referrals/{referral_id}/withdraw"),
    },
    "reporting": {
        ("get", "/v1/cases/{case}"),
        ("get", "/v1/referrals/{referral_id}/case"),
        ("get", "/v1/reports/activity"),
        ("get", "/"),
    },
}
EVERYWHERE = {
    "relais_outbox_pending": {"service"},
    "relais_broker_blocked": {"service"},
    "relais_outbox_oldest_seconds": {"service"},
    "relais_parked_events": {"service"},
    "relais_http_requests_total": {"service", "route", "status"},
    "relais_http_request_seconds_bucket": {"le"},
}
OWN = {
    "intake": {
        "relais_visits_total": {"site", "channel"},
        "relais_events_published_total": {"service", "type"},
    },
    "orientation": {
        "relais_proposals_total": {"rule", "overridden"},
        "relais_contact_sheets_stale": {"partner"},
        "relais_events_published_total": {"service", "type"},
        "relais_events_handled_total": {"service", "type", "outcome"},
        "relais_event_lag_seconds_bucket": {"le"},
    },
    "referral": {
        "relais_events_published_total": {"service", "type"},
        "relais_events_handled_total": {"service", "type", "outcome"},
        "relais_referrals": {"status", "category"},
        "relais_story_sufficient_total": {"category", "answer"},
    },
    "reporting": {
        "relais_events_handled_total": {"service", "type", "outcome"},
        "relais_event_lag_seconds_bucket": {"le"},
    },
}


@pytest.fixture(scope="module")
def busy(house: House) -> House:
    """The house after a visit that went all the way to an answer."""
    body = visit()
    house.post_visit(body)
    (referral,) = house.sent(body)
    taken = house.answer(referral["partner"], referral["referral_id"], status="accepted", story_sufficient=True)
    assert taken.status_code == 201
    eventually(lambda: len(house.timeline(referral["case"], "fs-moreuil")) == 4)
    return house


def document(house: House, service: str, path: str) -> dict[str, Any]:
    """A JSON document that a service publishes to everyone."""
    answer = house.client.get(house.url(service) + path)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


@pytest.mark.parametrize("service", SERVICES)
def test_it_is_alive_and_ready(house: House, service: str) -> None:
    """/healthz and /readyz answer 200 to anybody."""
    assert document(house, service, "/healthz") == {"status": "ok"}
    assert document(house, service, "/readyz") == {"status": "ok"}


@pytest.mark.parametrize("service", SERVICES)
def test_prometheus_accepts_its_metrics(busy: House, service: str) -> None:
    """`promtool check metrics` finds nothing; the promised names are there with exactly the promised labels."""
    exposition = busy.client.get(f"{busy.url(service)}/metrics")
    assert exposition.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert complaints(exposition.text) == ""
    found = samples(exposition.text)
    for name, labels in (EVERYWHERE | OWN[service]).items():
        assert {frozenset(sample) for sample in found.get(name, [])} == {frozenset(labels)}, name


def test_overdue_referrals_have_their_gauge(house: House) -> None:
    """`relais_referrals_overdue` is declared though nothing is overdue yet: an alert may name it from the first day."""
    exposition = house.metrics("referral")
    assert "# TYPE relais_referrals_overdue gauge" in exposition


def test_promtool_does_find_what_is_wrong() -> None:
    """A metric without help is complained about: the check above can fail."""
    assert "no help text" in complaints("# TYPE relais_visits_total counter\nrelais_visits_total 1\n")


def test_requests_are_counted_by_route_and_never_by_address(busy: House) -> None:
    """A case id asked for is in no label: the route is the pattern."""
    busy.timeline("0193508e-7a5c-7cc1-9a59-3f6d0c7a2b11", "fs-moreuil")
    exposition = busy.metrics("reporting")
    routes = {sample["route"] for sample in samples(exposition)["relais_http_requests_total"]}
    assert "/v1/cases/<uuid:case>" in routes
    assert "0193508e" not in exposition


@pytest.mark.parametrize("service", SERVICES)
def test_its_openapi_document_is_valid_and_complete(house: House, service: str) -> None:
    """OpenAPI 3.1 by the specification's own rules, every reference resolved, every call of the contract listed."""
    found = document(house, service, "/openapi.json")
    assert found["openapi"].startswith("3.1")
    assert [str(error) for error in OpenAPIV31SpecValidator(found).iter_errors()] == []
    listed = {(method, path) for path, methods in found["paths"].items() for method in methods}
    ours = {("get", path) for path in ("/healthz", "/readyz", "/metrics", "/openapi.json", "/schemas/{name}")}
    assert listed >= CALLS[service] | ours
    with_token = {
        (method, path)
        for path, methods in found["paths"].items()
        for method, call in methods.items()
        if {"bearer": []} in call.get("security", ())
    }
    assert with_token == {call for call in CALLS[service] if call[1].startswith("/v1/")}


def test_a_body_and_a_query_are_described_by_schema(house: House) -> None:
    """Site software can generate its client: the visit's form and the list's query are in the documents."""
    posting = document(house, "intake", "/openapi.json")["paths"]["/v1/visits"]["post"]
    assert posting["requestBody"]["content"]["application/json"]["schema"]["$ref"].endswith("/VisitForm")
    listing = document(house, "referral", "/openapi.json")["paths"]["/v1/referrals"]["get"]
    assert {each["name"] for each in listing["parameters"]} == {"status", "after", "limit"}


@pytest.mark.parametrize("service", SERVICES)
def test_every_published_event_has_its_schema_everywhere(house: House, service: str) -> None:
    """Whichever service is asked: a valid JSON Schema per event, and one AsyncAPI document that refers to them."""
    asyncapi = document(house, service, "/schemas/asyncapi.json")
    assert asyncapi["asyncapi"] == "3.0.0"
    messages = asyncapi["components"]["messages"]
    assert {event.name() for event in PUBLISHED} < set(messages)
    for message in messages.values():
        path = message["payload"]["properties"]["data"]["$ref"].removeprefix("./")
        Draft202012Validator.check_schema(document(house, service, f"/schemas/{path}"))


def test_the_generated_schemas_are_current(house: House) -> None:
    """`relais schemas --check` has nothing to say, and what is served is what it compares."""
    done = house.relais("schemas", "--check")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    published = json.loads((Path(__file__).parents[2] / "schemas" / "asyncapi.json").read_text(encoding="utf-8"))
    assert document(house, "intake", "/schemas/asyncapi.json") == published


def test_an_unknown_schema_is_not_found(house: House) -> None:
    """404 as a problem document, also for a name that climbs out of the folder."""
    for name in ("Nothing.v1.json", "../pyproject.toml", "%2e%2e/pyproject.toml"):
        answer = house.client.get(f"{house.url('intake')}/schemas/{name}")
        assert answer.status_code == 404
        assert answer.headers["Content-Type"] == "application/problem+json"
