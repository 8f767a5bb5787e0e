"""The OpenAPI 3.1 document of a service, read off its entrypoints."""

import inspect
import re
from typing import Any

from nameko.extensions import ENTRYPOINT_EXTENSIONS_ATTR
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from services.chassis.http import Http, entrypoints
from services.chassis.sessions import cookie_name
from services.chassis.settings import Settings

_REF = "#/components/schemas/{model}"
_FORM = "application/x-www-form-urlencoded"
_PAGES = {"default": {"description": "A page for people.", "content": {"text/html": {}}}}
_PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["pointer", "detail"],
                "properties": {"pointer": {"type": "string"}, "detail": {"type": "string"}},
            },
        },
    },
}


def document(service: type, name: str, settings: Settings) -> dict[str, Any]:
    """Paths, bodies and answers of every `@http` entrypoint of `service`."""
    calls = sorted(entrypoints(service), key=lambda call: (call[1].url, call[1].method))
    models = {model for _, entry in calls for model in (entry.form, entry.query_form, entry.answer) if model}
    _, definitions = models_json_schema(
        [(model, "validation") for model in sorted(models, key=_name)], ref_template=_REF
    )
    paths: dict[str, Any] = {}
    for method, entry in calls:
        path = re.sub(r"<(?:[^:<>]+:)?(\w+)>", r"{\1}", entry.url)
        paths.setdefault(path, {})[entry.method.lower()] = _operation(method, entry, path)
    return {
        "openapi": "3.1.0",
        "info": {"title": f"Relais, {name}", "version": "1"},
        "paths": paths,
        "components": {
            "schemas": {**definitions.get("$defs", {}), "Problem": _PROBLEM},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
                "session": {"type": "apiKey", "in": "cookie", "name": cookie_name(settings, name)},
            },
        },
    }


def _only(method: Any) -> bool:  # noqa: ANN401 - a method of any service
    return len(getattr(method, ENTRYPOINT_EXTENSIONS_ATTR)) == 1


def _operation(method: Any, entry: Http, path: str) -> dict[str, Any]:  # noqa: ANN401 - a method of any service
    operation: dict[str, Any] = {
        "operationId": method.__name__ if _only(method) else f"{method.__name__}_{entry.method.lower()}",
        "summary": (inspect.getdoc(method) or method.__name__).splitlines()[0],
        "parameters": [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
            for name in re.findall(r"{(\w+)}", path)
        ],
        "responses": _PAGES if entry.page else _responses(entry),
    }
    if entry.query_form:
        properties = entry.query_form.model_json_schema(ref_template=_REF).get("properties", {})
        operation["parameters"] += [{"name": key, "in": "query", "schema": value} for key, value in properties.items()]
    if entry.form and entry.body_type not in {"application/json", _FORM}:
        line = "Une ligne JSON par élément ; schéma de chaque ligne : " + entry.form.__name__
        operation["requestBody"] = {
            "required": True,
            "content": {entry.body_type: {"schema": {"type": "string", "description": line}}},
        }
    elif entry.form:
        operation["requestBody"] = {
            "required": True,
            "content": {entry.body_type: {"schema": _schema(entry.form)}},
        }
    if entry.roles is not None:
        operation["security"] = [{"bearer": []}]
        operation["description"] = "Rôles : " + ", ".join(entry.roles)
    if entry.session is not None:
        operation["security"] = [{"session": []}]
        operation["description"] = "Rôles : " + ", ".join(entry.session)
    return operation


def _responses(entry: Http) -> dict[str, Any]:
    return {
        "2XX": {"description": "OK", "content": {"application/json": {"schema": _schema(entry.answer)}}},
        "default": {
            "description": "Problem (RFC 9457)",
            "content": {"application/problem+json": {"schema": {"$ref": _REF.format(model="Problem")}}},
        },
    }


def _schema(model: type[BaseModel] | None) -> dict[str, Any]:
    return {"$ref": _REF.format(model=model.__name__)} if model else {}


def _name(model: type[BaseModel]) -> str:
    return model.__name__
