"""RFC 9457 problem documents, in French for the people who read them; never a value that was received."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from werkzeug.exceptions import HTTPException
from werkzeug.routing import RequestRedirect
from werkzeug.wrappers import Response

from services.chassis.errors import FieldError, Rejected, RetryLater
from services.contracts.free_text import NIR, holds_nir

F = TypeVar("F", bound=BaseModel)
CONTENT_TYPE = "application/problem+json"
# Of more wrong fields than that the others are not told: an error is a hundred times as long as what it is about.
MOST_ERRORS = 50
_LONGEST_NAME = 100  # characters of one name in a pointer; those that a form knows are shorter
_DEEPEST = 20
UNAVAILABLE = Rejected(
    "unavailable",
    "Un service dont nous dépendons ne répond pas ; réessayez dans quelques secondes.",
    status=503,
    headers={"Retry-After": "5"},
)
INTERNAL = Rejected("internal", "Erreur de notre côté ; elle est consignée.", status=500)

_TITLES = {
    400: "Requête illisible",
    401: "Authentification nécessaire",
    403: "Accès refusé",
    404: "Introuvable",
    405: "Méthode non permise",
    406: "Format non disponible",
    409: "Conflit",
    410: "N’est plus conservé",
    411: "Longueur attendue",
    413: "Corps trop volumineux",
    415: "Type de contenu non accepté",
    422: "Données non valables",
    429: "Trop de demandes",
    500: "Erreur interne",
    503: "Service momentanément indisponible",
}
# pydantic's error types, with its own context where the reader needs it.
_FRENCH = {
    "missing": "Champ obligatoire.",
    "extra_forbidden": "Champ inconnu.",
    "enum": "Valeurs acceptées : {expected}.",
    "literal_error": "Valeurs acceptées : {expected}.",
    "string_type": "Un texte est attendu.",
    "string_too_long": "Au plus {max_length} caractères.",
    "string_too_short": "Au moins {min_length} caractère(s).",
    "string_pattern_mismatch": "Forme attendue : {pattern}",
    "uuid_parsing": "Un UUID est attendu.",
    "uuid_type": "Un UUID est attendu.",
    "int_parsing": "Un nombre entier est attendu.",
    "int_type": "Un nombre entier est attendu.",
    "int_from_float": "Un nombre entier est attendu.",
    "bool_type": "true ou false attendu.",
    "bool_parsing": "true ou false attendu.",
    "greater_than_equal": "Au moins {ge}.",
    "less_than_equal": "Au plus {le}.",
    "less_than": "Moins que {lt}.",
    "date_from_datetime_parsing": "Une date est attendue (AAAA-MM-JJ).",
    "date_parsing": "Une date est attendue (AAAA-MM-JJ).",
    "date_type": "Une date est attendue (AAAA-MM-JJ).",
    "date_from_datetime_inexact": "Une date est attendue (AAAA-MM-JJ).",
    "date_past": "Une date passée est attendue.",
    "datetime_type": "Une date et heure ISO 8601 avec fuseau est attendue.",
    "datetime_from_date_parsing": "Une date et heure ISO 8601 avec fuseau est attendue.",
    "datetime_parsing": "Une date et heure ISO 8601 avec fuseau est attendue.",
    "timezone_aware": "Le fuseau horaire manque.",
    "too_short": "Au moins {min_length} élément(s).",
    "too_long": "Au plus {max_length} éléments.",
    "model_type": "Un objet est attendu.",
    "model_attributes_type": "Un objet est attendu.",
    "tuple_type": "Une liste est attendue.",
    "list_type": "Une liste est attendue.",
}


def retry_later(error: RetryLater) -> Rejected:
    """503 with the time to wait."""
    seconds = str(max(1, round(error.after.total_seconds())))
    return Rejected("retry-later", UNAVAILABLE.detail, status=503, headers={"Retry-After": seconds})


def title(status: int) -> str:
    """What a status means."""
    return _TITLES.get(status, HTTPStatus(status).phrase)


def document(error: Rejected) -> dict[str, object]:
    """The problem document."""
    body: dict[str, object] = {
        "type": f"/problems/{error.slug}",
        "title": title(error.status),
        "status": error.status,
        "detail": error.detail,
    }
    if error.errors:
        body["errors"] = error.errors
    return body


def response(error: Rejected) -> Response:
    """As werkzeug sends it."""
    text = json.dumps(document(error), ensure_ascii=False)
    headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", **error.headers}
    return Response(text, status=error.status, headers=headers, content_type=CONTENT_TYPE)


def of_http(error: HTTPException) -> Response:
    """werkzeug's own errors: unknown path, wrong method. An address that is only nearly one of ours is unknown, too."""
    status = 404 if isinstance(error, RequestRedirect) else error.code or 500
    if error.response is not None:
        return Response(status=status, headers=dict(error.response.headers))
    slug = HTTPStatus(status).phrase.lower().replace(" ", "-")
    detail = "Aucune page ni appel à cette adresse." if status == 404 else _TITLES.get(status, "")  # noqa: PLR2004
    headers = {name: value for name, value in error.get_headers() if name == "Allow"}
    return response(Rejected(slug, detail, status=status, headers=headers))


def invalid(error: ValidationError) -> Rejected:
    """422 with each wrong field up to MOST_ERRORS, or 400 when the body is not even JSON."""
    details = error.errors(include_url=False)
    if details and details[0]["type"] == "json_invalid":
        return Rejected("malformed", "Le corps n’est pas du JSON valable.", status=400)
    # pydantic also calls a list too short whose items were all refused, which was told already.
    details = [detail for detail in details if detail["type"] != "too_short" or not detail["input"]]
    told = "Certains champs ne conviennent pas."
    if len(details) > MOST_ERRORS:
        told = f"{told} Voici les {MOST_ERRORS} premières erreurs\u00a0; il y en a d’autres."
    return Rejected("invalid", told, errors=[_field(detail) for detail in details[:MOST_ERRORS]])


def validate(form: type[F], body: bytes) -> F:
    """JSON bytes as `form`. Raises Rejected: 400 when it is not JSON, 422 naming each wrong field."""
    try:
        return form.model_validate_json(body)
    except ValidationError as error:
        raise invalid(error) from None


def refuse_nir(path_values: Mapping[str, object]) -> None:
    """Refuse a social security number where an address has an id. Raises Rejected (422)."""
    if names := [name for name, value in path_values.items() if isinstance(value, str) and holds_nir(value)]:
        raise Rejected("invalid", NIR, errors=[{"pointer": f"/{name}", "detail": NIR} for name in names])


def _field(detail: ErrorDetails) -> FieldError:
    names = (_name(str(part))[:_LONGEST_NAME] for part in detail["loc"][:_DEEPEST])
    pointer = "".join(f"/{name.replace('~', '~0').replace('/', '~1')}" for name in names)
    context = {key: _accepted(value) if key == "expected" else value for key, value in detail.get("ctx", {}).items()}
    if detail["type"] == "value_error" and "error" in context:
        return {"pointer": pointer, "detail": str(context["error"])}
    if detail["type"] == "value_error":  # an address, whose own message quotes what is wrong in it
        return {"pointer": pointer, "detail": "Une adresse électronique est attendue."}
    french = _FRENCH.get(detail["type"])
    return {"pointer": pointer, "detail": french.format(**context) if french else detail["msg"]}


def _name(part: str) -> str:
    """A field's name, which may be anything where it is unknown."""
    return "…" if holds_nir(part) else part


def _accepted(expected: object) -> str:
    return str(expected).replace("'", "").replace(" or ", ", ")
