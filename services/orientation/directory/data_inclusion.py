"""The directory in the words of others: data·inclusion v1, the French schema of insertion offers (gip-inclusion).

Importing this takes a quarter of a second, which only the commands that read or write such files need.
"""

import csv
import io
import json
import math
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from difflib import get_close_matches
from enum import Enum
from functools import lru_cache
from typing import Any, Literal

from data_inclusion.schema.v1 import (
    Frais,
    ModeAccueil,
    ModeMobilisation,
    PersonneMobilisatrice,
    Public,
    ReseauPorteur,
    Service,
    Structure,
    Thematique,
    TypeService,
)
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from services.network import communes
from services.orientation.directory.official_list import ListedSite
from services.orientation.directory.places import COUNTRY, point_of
from services.orientation.directory.row_files import Unreadable
from services.orientation.directory.thematiques import BETWEEN

Kind = Literal["structures", "services"]
MODELS: dict[Kind, type[Structure | Service]] = {"structures": Structure, "services": Service}
FIELDS: dict[Kind, tuple[str, ...]] = {kind: tuple(model.model_fields) for kind, model in MODELS.items()}

# The schema's lists of codes, by field.
CODES: dict[str, type[Enum]] = {
    "type": TypeService,
    "thematiques": Thematique,
    "frais": Frais,
    "publics": Public,
    "modes_accueil": ModeAccueil,
    "modes_mobilisation": ModeMobilisation,
    "mobilisable_par": PersonneMobilisatrice,
    "reseaux_porteurs": ReseauPorteur,
}
MANY = 25  # codes: a longer list is not told whole

_SOURCE = "france-services"
_NAME_LENGTH = 150
_KEY_LENGTH = 500  # an index of PostgreSQL takes 2,700 bytes
_KEYS = ("source", "id", "structure_id")
_LISTS = ("thematiques", "publics", "modes_accueil", "zone_eligibilite", "modes_mobilisation", "mobilisable_par")
_LIST_FIELDS = frozenset({*_LISTS, "reseaux_porteurs"})
_ROW = "ligne"  # the field's name where the row as a whole is wrong
_ONLY_SERVICES = frozenset(FIELDS["services"]) - frozenset(FIELDS["structures"])
_REMOTE = {ModeAccueil.A_DISTANCE.value}
# What pandas writes in a cell for a list of codes, and data·inclusion publishes: ['a', 'b'].
_CODES = re.compile(r"\[\s*(?:'[^'\\]*'(?:\s*,\s*'[^'\\]*')*)?\s*\]")
_CODE = re.compile(r"[a-z0-9-]{1,100}")

# pydantic speaks English; whoever imports a file reads French.
_REASONS = {
    "missing": "champ obligatoire",
    "enum": "valeur inconnue",
    "string_type": "un texte est attendu",
    "string_unicode": "caractères illisibles",
    "string_too_short": "au moins {min_length} caractères",
    "string_too_long": "au plus {max_length} caractères",
    "string_pattern_mismatch": "forme attendue : {pattern}",
    "set_type": "une liste est attendue",
    "list_type": "une liste est attendue",
    "too_short": "au moins {min_length} élément",
    "date_type": "une date est attendue (AAAA-MM-JJ)",
    "date_parsing": "une date est attendue (AAAA-MM-JJ)",
    "date_from_datetime_parsing": "une date est attendue (AAAA-MM-JJ)",
    "date_from_datetime_inexact": "une date sans heure est attendue (AAAA-MM-JJ)",
    "float_type": "un nombre est attendu",
    "float_parsing": "un nombre est attendu",
    "finite_number": "un nombre est attendu",
    "int_type": "un nombre entier est attendu",
    "int_parsing": "un nombre entier est attendu",
    "int_from_float": "un nombre entier est attendu",
    "greater_than_equal": "au moins {ge:g}",
    "url_type": "une adresse web est attendue (https://…)",
    "url_parsing": "une adresse web est attendue (https://…)",
    "url_scheme": "une adresse web est attendue (https://…)",
    "url_too_long": "adresse web trop longue",
}
# Fields with several accepted forms, of which pydantic tells each one's reason.
_BY_FIELD = {
    "zone_eligibilite": "code de commune, de département, d’EPCI ou de pays attendu, ou « france »",
    "courriel": "une adresse électronique est attendue",
    "code_insee": "code INSEE de commune attendu, en cinq caractères",
    "code_postal": "code postal attendu, en cinq chiffres",
    "siret": "numéro SIRET attendu, en quatorze chiffres",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a row is refused, in French; `field` is the schema's name, or "ligne" for the row as a whole."""

    field: str
    reason: str


def kind_of(rows: Iterable[object]) -> Kind | None:
    """What rows are, told by their fields; None when none of them has the fields of either."""
    names = {name for row in rows if isinstance(row, Mapping) for name in row}
    if not names & {"id", "source"}:
        return None
    return "services" if names & _ONLY_SERVICES else "structures"


def id_of(row: object) -> str | None:
    """The id of a row, however wrong the rest is; None where it cannot be told."""
    value = row.get("id") if isinstance(row, Mapping) else None
    readable = isinstance(value, str) and 0 < len(value) <= _KEY_LENGTH and not list(_unclean("id", value))
    return value if readable else None


def entry(kind: Kind, row: object) -> dict[str, Any] | list[Problem]:
    """A row as the directory's table keeps it, or why it cannot be."""
    if isinstance(row, Unreadable):
        return [Problem(_ROW, row.reason)]
    if not isinstance(row, Mapping):
        return [Problem(_ROW, "un objet est attendu")]
    given = {name: _value(name, row[name]) for name in FIELDS[kind] if name in row and row[name] not in (None, "")}
    if unclean := [Problem(name, reason) for name, value in given.items() for reason in _unclean(name, value)]:
        return unclean
    try:
        found = MODELS[kind].model_validate(given)
    except ValidationError as error:
        return list(_problems(error.errors(include_url=False)))
    document = _document(found)
    return [*_not_finite(document), *_wrong_places(document)] or _columns(kind, document)


def structure(site: ListedSite, listed_on: date) -> Structure:
    """A site as a structure, as of the list of that date. Raises pydantic's ValidationError if it cannot be one."""
    return Structure(
        source=_SOURCE,
        id=f"{_SOURCE}--{site.id}",
        nom=site.name[:_NAME_LENGTH].rstrip("."),
        date_maj=listed_on,
        commune=site.town or None,
        code_postal=site.postcode,
        code_insee=site.commune,
        adresse=site.address,
        complement_adresse=site.complement,
        longitude=site.longitude,
        latitude=site.latitude,
        telephone=site.phone,
        courriel=site.emails[0] if site.emails else None,
        horaires_accueil=site.opening_hours,
        reseaux_porteurs={ReseauPorteur.FRANCE_SERVICE},
    )


def as_json(documents: Iterable[str]) -> Iterator[str]:
    """Documents as a JSON list, in pieces: one on a line."""
    between = "[\n"
    for document in documents:
        yield between + document
        between = ",\n"
    yield "[]\n" if between == "[\n" else "\n]\n"


def as_csv(kind: Kind, documents: Iterable[str]) -> Iterator[str]:
    """Documents as CSV, in pieces: a column for each field of the schema, lists as JSON."""
    piece = io.StringIO(newline="")
    rows = csv.DictWriter(piece, FIELDS[kind], lineterminator="\r\n")
    rows.writeheader()
    for document in documents:
        values = json.loads(document).items()
        rows.writerow({name: json.dumps(each) if isinstance(each, list) else each for name, each in values})
        yield piece.getvalue()
        piece.seek(0)
        piece.truncate()
    yield piece.getvalue()


def _value(name: str, value: object) -> object:
    """Lists that a cell holds, as JSON or as data·inclusion's CSV has them; anything else as it is."""
    if name not in _LIST_FIELDS or not isinstance(value, str):
        return value
    if _CODES.fullmatch(value):
        return re.findall(r"'([^']*)'", value)
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def _unclean(name: str, value: object) -> Iterator[str]:
    """What the schema lets pass and no database, or no index, takes."""
    if isinstance(value, str):
        if "\0" in value:
            yield "caractère interdit (NUL)"
        if not _is_text(value):
            yield "caractères illisibles"
        if name in _KEYS and len(value) > _KEY_LENGTH:
            yield f"au plus {_KEY_LENGTH} caractères"
    elif isinstance(value, list):
        for each in value:
            if isinstance(each, str):
                yield from _unclean(name, each)


def _is_text(value: str) -> bool:
    """Whether it can be written at all: JSON may hold halves of characters."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _problems(errors: Iterable[ErrorDetails]) -> Iterator[Problem]:
    """One for each field, and the first reason of several."""
    seen = set[str]()
    for error in errors:
        field = str(error["loc"][0])
        if field not in seen:
            seen.add(field)
            yield Problem(field, _reason(field, error))


def _reason(field: str, error: ErrorDetails) -> str:
    """Without what was sent, but for a code that is in none of the schema's lists: with those that are."""
    context = error.get("ctx", {})
    if error["type"] == "value_error" and "error" in context:
        return str(context["error"])  # the schema's own words, in French
    if field in _BY_FIELD:
        return _BY_FIELD[field]
    reason = _REASONS.get(error["type"], "valeur refusée").format(**context)
    if error["type"] != "enum":
        return reason
    sent = error["input"]
    code = sent if isinstance(sent, str) and _CODE.fullmatch(sent) else None
    return (f"{reason} « {code} »" if code else reason) + _known(field, code)


# A file of another version has the same few codes wrong in every row, and comparing takes milliseconds.
@lru_cache(maxsize=1024)
def _known(field: str, code: str | None) -> str:
    """The end of a reason: all codes of a short list; of a long one the category's, the nearest, or the categories."""
    codes = [str(each.value) for each in CODES[field]]
    if len(codes) <= MANY:
        return f" ; valeurs possibles : {', '.join(codes)}"
    if code is None:
        return ""
    of_category = [each for each in codes if _category(each) == _category(code)]
    near = of_category if code == _category(code) else []
    near = near or get_close_matches(code, codes) or of_category
    if near:
        return f" ; les plus proches : {', '.join(near)}"
    categories = sorted({_category(each) for each in codes})
    return f" ; catégories : {', '.join(categories)}" if len(categories) <= MANY else ""


def _document(found: Structure | Service) -> dict[str, Any]:
    """As JSON, always the same for the same content: the schema's sets have no order."""
    document: dict[str, Any] = found.model_dump(mode="json", exclude_none=True)
    for name in _LIST_FIELDS & document.keys() - {"zone_eligibilite"}:
        document[name].sort()
    return document


def _not_finite(document: Mapping[str, Any]) -> Iterator[Problem]:
    for name, value in document.items():
        if isinstance(value, float) and not math.isfinite(value):
            yield Problem(name, _REASONS["finite_number"])


def _wrong_places(document: Mapping[str, Any]) -> Iterator[Problem]:
    """The code decides where it is, never the name: there are two Royes."""
    code = document.get("code_insee")
    if code and not communes.commune(code):
        yield Problem("code_insee", "aucune commune n’a ce code INSEE")
    for name, most in (("latitude", 90), ("longitude", 180)):
        if abs(document.get(name, 0)) > most:
            yield Problem(name, "hors des limites")


def _columns(kind: Kind, document: dict[str, Any]) -> dict[str, Any]:
    latitude, longitude = _point(document)
    columns = {
        "id": document["id"],
        "source": document["source"],
        "latitude": latitude,
        "longitude": longitude,
        "gone_on": None,
        "document": json.dumps(document, ensure_ascii=False),
    }
    if kind == "structures":
        return columns
    remote = set(document.get("modes_accueil", [])) == _REMOTE
    return columns | {
        "structure_id": document["structure_id"],
        "sort_name": _sort_name(document["nom"]),
        "thematiques": sorted({word for each in document.get("thematiques", []) for word in (each, _category(each))}),
        "publics": document.get("publics", []),
        "zones": sorted({communes.today(code) for code in document.get("zone_eligibilite", COUNTRY if remote else ())}),
        "remote": remote,
    }


def _point(document: Mapping[str, Any]) -> tuple[float | None, float | None]:
    """Where it is, or else the middle of its commune."""
    if "latitude" in document and "longitude" in document:
        return document["latitude"], document["longitude"]
    return (point_of(document["code_insee"]) if "code_insee" in document else None) or (None, None)


def _category(thematique: str) -> str:
    return thematique.partition(BETWEEN)[0]


def _sort_name(name: str) -> str:
    """Without accents and capitals, as a French list is ordered."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return plain.casefold()
