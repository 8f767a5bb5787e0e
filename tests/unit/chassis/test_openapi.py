"""The OpenAPI document that each service makes of its own entrypoints."""

import json
import re
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from typing import Any

import pytest
from nameko.extensions import ENTRYPOINT_EXTENSIONS_ATTR

from services.chassis import openapi
from services.chassis.http import Http
from services.chassis.settings import Settings
from services.contracts.topology import SERVICES

METHODS = {"get", "put", "post", "delete"}


@cache
def service_class(name: str) -> type:
    """Import a service's nameko class."""
    found: type = getattr(import_module(f"services.{name}.service"), f"{name.capitalize()}Service")
    return found


@cache
def document(name: str) -> dict[str, Any]:
    """Make a service's document, through JSON as a client gets it."""
    made: dict[str, Any] = json.loads(json.dumps(openapi.document(service_class(name), name, Settings())))
    return made


def operations(name: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """List (method, path, operation)."""
    for path, methods in document(name)["paths"].items():
        for method, operation in methods.items():
            yield method, path, operation


def entrypoints(name: str) -> list[Http]:
    """List the HTTP entrypoints as nameko sees them."""
    methods = [getattr(service_class(name), attribute) for attribute in dir(service_class(name))]
    found = [entry for method in methods for entry in getattr(method, ENTRYPOINT_EXTENSIONS_ATTR, ())]
    return [entry for entry in found if isinstance(entry, Http)]


def references(node: object) -> Iterator[str]:
    """List every `$ref` below a node."""
    if isinstance(node, dict):
        yield from [node["$ref"]] if isinstance(node.get("$ref"), str) else ()
        for inner in node.values():
            yield from references(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from references(inner)


def called(entry: Http) -> tuple[str, str]:
    """An entrypoint as OpenAPI names it: method and path."""
    return entry.method.lower(), re.sub(r"<(?:[^:<>]+:)?(\w+)>", r"{\1}", entry.url)


@pytest.mark.parametrize("name", SERVICES)
def test_every_call_is_described_and_nothing_else(name: str) -> None:
    """One operation per entrypoint, each with a summary and a name of its own."""
    described = {(method, path) for method, path, _ in operations(name)}
    calls = {called(entry) for entry in entrypoints(name)}
    assert described == calls
    assert {("get", path) for path in ("/healthz", "/readyz", "/metrics", "/openapi.json")} < described
    assert {method for method, _ in described} <= METHODS
    names = [operation["operationId"] for _, _, operation in operations(name)]
    assert len(set(names)) == len(names) == len(calls)
    assert all(operation["summary"].strip() for _, _, operation in operations(name))


@pytest.mark.parametrize("name", SERVICES)
def test_every_reference_leads_somewhere(name: str) -> None:
    """A generated client would otherwise fail to build."""
    found = set(references(document(name)))
    assert "#/components/schemas/Problem" in found
    for reference in found:
        node = document(name)
        for step in reference.removeprefix("#/").split("/"):
            assert step in node, reference
            node = node[step]


@pytest.mark.parametrize("name", SERVICES)
def test_every_parameter_of_a_path_is_declared(name: str) -> None:
    """And no other; a query's come beside, each once."""
    for _, path, operation in operations(name):
        declared = [(one["name"], one["in"]) for one in operation["parameters"]]
        assert len(set(declared)) == len(declared)
        assert [one for one, place in declared if place == "path"] == re.findall(r"{(\w+)}", path)


@pytest.mark.parametrize("name", SERVICES)
def test_a_call_that_names_roles_asks_for_a_token_or_a_session(name: str) -> None:
    """What is open to all says so by its silence; the roles are told."""
    guarded = {called(entry): entry for entry in entrypoints(name)}
    for method, path, operation in operations(name):
        entry = guarded[method, path]
        schemes = {"bearer": entry.roles, "session": entry.session}
        assert operation.get("security", []) == [{name: []} for name, roles in schemes.items() if roles is not None]
        for role in entry.roles or entry.session or ():
            assert role in operation["description"]


def test_a_form_is_the_body_and_a_query_the_parameters() -> None:
    """With the names that go over the wire, such as `from`."""
    post = document("intake")["paths"]["/v1/visits"]["post"]
    assert post["requestBody"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/VisitForm"}
    assert "visit_id" in document("intake")["components"]["schemas"]["VisitForm"]["required"]
    activity = document("reporting")["paths"]["/v1/reports/activity"]["get"]
    assert {"from", "to", "site", "by"} <= {one["name"] for one in activity["parameters"] if one["in"] == "query"}


def test_a_page_takes_a_form_and_its_session_is_a_cookie() -> None:
    """A client generator does not take it for a call in JSON."""
    found = document("orientation")
    assert list(found["paths"]["/login"]["post"]["requestBody"]["content"]) == ["application/x-www-form-urlencoded"]
    assert list(found["paths"]["/"]["get"]["responses"]["default"]["content"]) == ["text/html"]
    assert found["components"]["securitySchemes"]["session"]["name"] == "relais_orientation"
    public = openapi.document(
        service_class("orientation"), "orientation", Settings(public_url="https://relais.example")
    )
    assert public["components"]["securitySchemes"]["session"]["name"] == "__Host-relais_orientation"
