"""JSON Schemas and the AsyncAPI 3 document, generated from the event classes.

The generated files live in `schemas/` at the top of the repository, so that a change of a published version shows
in a review; `make lint` fails when they are stale.
"""

from functools import cache
from typing import Any

from services.contracts import topology
from services.contracts.envelope import CONTENT_TYPE, EventData
from services.contracts.referral import FOR_PARTNERS


@cache
def documents() -> dict[str, dict[str, Any]]:
    """Every generated document by its path under `/schemas/`."""
    schemas = {
        event.schema_path().removeprefix("/schemas/"): _event_schema(event)
        for event in (*topology.PUBLISHED, *FOR_PARTNERS)
    }
    return {**schemas, "asyncapi.json": _asyncapi()}


def _event_schema(event: type[EventData]) -> dict[str, Any]:
    """The schema of the event's `data`, which is what `dataschema` points to."""
    schema = event.model_json_schema(mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": event.schema_path(), **schema}


def _asyncapi() -> dict[str, Any]:
    channels: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    messages: dict[str, Any] = {}
    for event in topology.PUBLISHED:
        exchange = topology.exchange_of(event.SERVICE)
        messages[event.name()] = _message(event)
        channel = channels.setdefault(
            exchange,
            {
                "address": exchange,
                "messages": {},
                "bindings": {
                    "amqp": {"is": "routingKey", "exchange": {"name": exchange, "type": "topic", "durable": True}}
                },
            },
        )
        channel["messages"][event.name()] = {"$ref": f"#/components/messages/{event.name()}"}
        operations[f"send{event.name()}"] = _operation("send", exchange, event.name())
    channels["out.{partner}"] = {
        "address": "out.{partner}",
        "parameters": {"partner": {"description": "Partner id of the network file."}},
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in map(_outside, FOR_PARTNERS)},
        "bindings": {"amqp": {"is": "queue", "queue": {"name": "out.{partner}", "durable": True}}},
    }
    for event in FOR_PARTNERS:
        name = _outside(event)
        messages[name] = _message(event)
        operations[f"send{name}"] = _operation("send", "out.{partner}", name)
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Relais", "version": "1", "description": "Events between services and toward partners."},
        "defaultContentType": CONTENT_TYPE,
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages},
    }


def _outside(event: type[EventData]) -> str:
    return f"Partner{event.name()}"


def _message(event: type[EventData]) -> dict[str, Any]:
    return {
        "name": event.TYPE,
        "contentType": CONTENT_TYPE,
        "summary": (event.__doc__ or "").splitlines()[0],
        "payload": {
            "type": "object",
            "required": ["specversion", "id", "source", "type", "data"],
            "properties": {
                "specversion": {"const": "1.0"},
                "id": {"type": "string"},
                "source": {"const": f"/relais/{event.SERVICE}"},
                "type": {"const": event.TYPE},
                "time": {"type": "string", "format": "date-time"},
                "datacontenttype": {"const": "application/json"},
                "dataschema": {"type": "string"},
                "traceparent": {"type": "string"},
                "data": {"$ref": "./" + event.schema_path().removeprefix("/schemas/")},
            },
        },
    }


def _operation(action: str, channel: str, message: str) -> dict[str, Any]:
    escaped = channel.replace("~", "~0").replace("/", "~1")
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{escaped}"},
        "messages": [{"$ref": f"#/channels/{escaped}/messages/{message}"}],
    }
