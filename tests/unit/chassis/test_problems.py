"""Errors as RFC 9457 problem documents."""

import json
from datetime import UTC, datetime
from typing import Annotated, Literal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound
from werkzeug.routing import RequestRedirect

from services.chassis import problems
from services.chassis.errors import Rejected, forbidden, not_found


class Inner(BaseModel):
    """A part of the form."""

    model_config = ConfigDict(extra="forbid")

    code: Literal["a", "b"]
    many: Annotated[tuple[int, ...], Field(max_length=2)] = ()


class Form(BaseModel):
    """A form with one field of each kind that ours have."""

    model_config = ConfigDict(extra="forbid")

    id: UUID
    at: AwareDatetime = datetime(2026, 1, 1, tzinfo=UTC)
    name: Annotated[str, StringConstraints(min_length=2, max_length=3, pattern="^[a-z]*$")] = "ab"
    number: Annotated[int, Field(ge=1, le=9)] = 1
    parts: Annotated[tuple[Inner, ...], Field(min_length=1)] = (Inner(code="a"),)
    by_name: dict[str, Inner] = {}
    yes: bool = True


ID = "0193508e-7a5c-7cc1-9a59-3f6d0c7a2b11"


def problem_of(body: dict[str, object] | str) -> Rejected:
    """Validate what is wrong; the problem it makes."""
    text = body if isinstance(body, str) else json.dumps({"id": ID} | body)
    with pytest.raises(ValidationError) as caught:
        Form.model_validate_json(text)
    return problems.invalid(caught.value)


WRONG: list[tuple[dict[str, object], str, str]] = [
    ({"id": "¤"}, "/id", "Un UUID est attendu."),
    ({"at": "¤"}, "/at", "Une date et heure ISO 8601 avec fuseau est attendue."),
    ({"at": "2026-01-01T00:00:00"}, "/at", "Le fuseau horaire manque."),
    ({"name": "¤¤¤¤"}, "/name", "Au plus 3 caractères."),
    ({"name": "¤"}, "/name", "Au moins 2 caractère(s)."),
    ({"name": "¤¤"}, "/name", "Forme attendue : ^[a-z]*$"),
    ({"name": 1}, "/name", "Un texte est attendu."),
    ({"number": "¤"}, "/number", "Un nombre entier est attendu."),
    ({"number": 0}, "/number", "Au moins 1."),
    ({"number": 10}, "/number", "Au plus 9."),
    ({"yes": "¤"}, "/yes", "true ou false attendu."),
    ({"parts": []}, "/parts", "Au moins 1 élément(s)."),
    ({"parts": "¤"}, "/parts", "Une liste est attendue."),
    ({"parts": ["¤"]}, "/parts/0", "Un objet est attendu."),
    ({"parts": [{"code": "a"}, {"code": "¤"}]}, "/parts/1/code", "Valeurs acceptées : a, b."),
    ({"parts": [{}]}, "/parts/0/code", "Champ obligatoire."),
    ({"parts": [{"code": "a", "many": [1, 2, 3]}]}, "/parts/0/many", "Au plus 2 éléments."),
    ({"parts": [{"code": "a", "many": [1, "¤"]}]}, "/parts/0/many/1", "Un nombre entier est attendu."),
    ({"extra": "¤"}, "/extra", "Champ inconnu."),
    ({"a~b/c": "¤"}, "/a~0b~1c", "Champ inconnu."),
]


@pytest.mark.parametrize(("body", "pointer", "detail"), WRONG, ids=[f"{one[1]}: {one[2]}" for one in WRONG])
def test_each_wrong_field_is_pointed_at_in_french_and_never_quoted(
    body: dict[str, object], pointer: str, detail: str
) -> None:
    """A JSON pointer (RFC 6901), and what would be right."""
    problem = problem_of(body)
    assert problem.errors == [{"pointer": pointer, "detail": detail}]
    assert (problem.status, problem.slug) == (422, "invalid")
    assert "¤" not in json.dumps(problems.document(problem), ensure_ascii=False)


@given(st.recursive(st.text().map("¤".__add__), lambda inner: st.lists(inner) | st.dictionaries(st.just("x"), inner)))
def test_no_value_is_ever_quoted(value: object) -> None:
    """Whatever is in whichever field."""
    for field in Form.model_fields:
        problem = problem_of({field: [value], "number": 0})
        assert "¤" not in json.dumps(problems.document(problem), ensure_ascii=False)


@pytest.mark.parametrize("text", ["", "{", "¤", '{"id": "\\ud800"}', "[" * 100_000])
def test_a_body_that_is_no_json_is_400(text: str) -> None:
    """Not 422: nothing in it can be pointed at."""
    problem = problem_of(text)
    assert (problem.status, problem.slug, problem.errors) == (400, "malformed", [])


def test_a_document_has_what_the_rfc_asks_for() -> None:
    """`errors` only where there are some."""
    assert problems.document(Rejected("conflict", "Déjà là.", status=409)) == {
        "type": "/problems/conflict",
        "title": "Conflit",
        "status": 409,
        "detail": "Déjà là.",
    }
    assert problems.document(Rejected("teapot", "Non.", status=418))["title"] == "I'm a Teapot"


def test_what_does_not_exist_and_what_is_hidden_look_the_same() -> None:
    """404 either way; another's own token is 403."""
    assert problems.document(not_found()) == problems.document(not_found("Introuvable."))
    assert (not_found().status, forbidden("Non.").status) == (404, 403)


def test_a_response_is_neither_cached_nor_sniffed() -> None:
    """And it carries the headers that the error asks for."""
    response = problems.response(problems.UNAVAILABLE)
    assert response.status_code == 503
    assert response.content_type == "application/problem+json"
    assert response.headers["Retry-After"] == "5"
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert json.loads(response.get_data())["status"] == 503


@pytest.mark.parametrize(
    ("error", "status", "slug"),
    [
        (NotFound(), 404, "not-found"),
        (RequestRedirect("http://127.0.0.1/assets/relais.css"), 404, "not-found"),
        (MethodNotAllowed(["GET"]), 405, "method-not-allowed"),
    ],
)
def test_unknown_paths_and_methods_are_problems_too(error: HTTPException, status: int, slug: str) -> None:
    """werkzeug's own HTML never leaves the house; `Allow` does. It corrects nobody's address."""
    response = problems.of_http(error)
    said = json.loads(response.get_data())
    assert (response.status_code, said["status"], said["type"]) == (status, status, f"/problems/{slug}")
    assert response.headers.get("Allow") == ("GET" if status == 405 else None)


def test_of_many_errors_the_first_are_told() -> None:
    """A body of 64 KiB has room for 30,000; the document says that there are more, and stays short."""
    problem = problem_of({"parts": [{"code": "a", "many": ["¤"] * 30_000}]})
    assert len(problem.errors) == problems.MOST_ERRORS
    assert problem.detail.endswith("Voici les 50 premières erreurs\u00a0; il y en a d’autres.")
    assert problem_of({str(number): 1 for number in range(50)}).detail == "Certains champs ne conviennent pas."


def test_a_name_without_end_is_cut() -> None:
    """Nobody looks for it by its 60,000th letter."""
    (error,) = problem_of({"a" * 60_000: 1}).errors
    assert error["pointer"] == "/" + "a" * 100
