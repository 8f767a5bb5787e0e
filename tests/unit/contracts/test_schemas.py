"""The published schemas: generated, current, valid, and every reference leads somewhere."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from services.contracts import schemas

SCHEMAS = Path(__file__).parents[3] / "schemas"
DOCUMENTS = schemas.documents()
EVENTS = sorted(set(DOCUMENTS) - {"asyncapi.json"})


def references(value: object) -> Iterator[str]:
    """Every `$ref` of a document."""
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for each in value.values():
            yield from references(each)
    elif isinstance(value, list):
        for each in value:
            yield from references(each)


def resolve(name: str, reference: str) -> Any:  # noqa: ANN401 - any part of a document
    """What a reference in the document `name` means; KeyError when it leads nowhere."""
    file, _, pointer = reference.partition("#")
    found: Any = DOCUMENTS[str(Path(name).parent / file) if file else name]
    for part in pointer.split("/")[1:]:
        found = found[part.replace("~1", "/").replace("~0", "~")]
    return found


def test_the_folder_is_current() -> None:
    """`make schemas` would change nothing, and no file is left of an event that is gone."""
    written = {str(path.relative_to(SCHEMAS)): json.loads(path.read_text()) for path in SCHEMAS.rglob("*.json")}
    assert written == DOCUMENTS


@pytest.mark.parametrize("name", sorted(DOCUMENTS))
def test_every_reference_leads_somewhere(name: str) -> None:
    """Inside the document, and from the AsyncAPI document to the schemas beside it."""
    for reference in references(DOCUMENTS[name]):
        assert resolve(name, reference)


@pytest.mark.parametrize("name", EVENTS)
def test_every_schema_is_a_json_schema(name: str) -> None:
    """And its `$id` is the address that services give it."""
    Draft202012Validator.check_schema(DOCUMENTS[name])
    assert DOCUMENTS[name]["$id"] == f"/schemas/{name}"


def test_the_asyncapi_document_speaks_of_every_event() -> None:
    """Each schema is the payload of exactly one message, and each message travels on some channel."""
    document = DOCUMENTS["asyncapi.json"]
    messages = document["components"]["messages"]
    payloads = [message["payload"]["properties"]["data"]["$ref"] for message in messages.values()]
    assert sorted(payloads) == sorted(f"./{name}" for name in EVENTS)
    travelling = {ref["$ref"] for channel in document["channels"].values() for ref in channel["messages"].values()}
    assert travelling == {f"#/components/messages/{name}" for name in messages}
    assert document["asyncapi"] == "3.0.0"
