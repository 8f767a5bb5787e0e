"""What may be read of the service directory: services by need, by public, and around a commune."""

import base64
import binascii
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import ColumnElement, Connection, Integer, Row, Select, and_, case, cast, func, literal, or_, select
from sqlalchemy import tuple_ as in_turn

from services.chassis.errors import Rejected
from services.network import communes
from services.orientation.directory.places import Point, codes_around, point_of
from services.orientation.directory.thematiques import publics_of, words
from services.orientation.forms import FoundService, FoundStructure, Reach, ServicesPage, ServicesQuery
from services.orientation.tables import services, structures

_EARTH_METRES = 6_371_009  # its mean radius
_DEGREE_METRES = math.radians(_EARTH_METRES)
_NOWHERE = 2**31 - 1  # after all that has a distance


@dataclass(frozen=True, slots=True)
class _Cursor:
    """Where a page ends."""

    metres: int
    sort_name: str
    id: str


_CURSOR = TypeAdapter(_Cursor)


def list_services(query: ServicesQuery, connection: Connection) -> ServicesPage:
    """Services that suit, the nearest first, then by name; those without a distance last.

    Raises Rejected (422): an unknown commune, a foreign `after`.
    """
    if query.commune and (problem := communes.problem(query.commune)):
        raise _invalid("commune", problem)
    rows = connection.execute(_wanted(query)).all()
    page = rows[: query.limit]
    after = _spelt(_Cursor(page[-1].metres, page[-1].sort_name, page[-1].id)) if len(rows) > query.limit else None
    return ServicesPage(services=[_found(row) for row in page], next=after)


def _wanted(query: ServicesQuery) -> Select[Any]:
    """One row more than the page has."""
    point = point_of(query.commune) if query.commune else None
    metres = func.coalesce(_metres(point), _NOWHERE)
    order = metres, services.c.sort_name.collate("C"), services.c.id.collate("C")
    statement = (
        select(services, structures.c.document.label("structure"), metres.label("metres"))
        .join(structures, structures.c.id == services.c.structure_id)
        .where(services.c.gone_on.is_(None))
    )
    if query.need and (wanted := words().needs[query.need]):
        statement = statement.where(services.c.thematiques.overlap(list(wanted)))
    if query.public:
        statement = statement.where(services.c.publics.overlap(publics_of(query.public)))
    if query.commune:
        covered = services.c.zones.overlap(codes_around(query.commune))
        statement = statement.where(or_(covered, _near(point, query.within_km * 1000)) if point else covered)
    if query.after is not None:
        last = _read(query.after)
        statement = statement.where(in_turn(*order) > in_turn(last.metres, last.sort_name, last.id))
    return statement.order_by(*order).limit(query.limit + 1)


_LATITUDE = func.coalesce(services.c.latitude, structures.c.latitude)
_LONGITUDE = func.coalesce(services.c.longitude, structures.c.longitude)


def _metres(point: Point | None) -> ColumnElement[int | None]:
    """How far a service is, by the haversine formula; null where there is no telling, or nowhere to go."""
    if point is None:
        return literal(None, Integer)
    here, there = func.radians(point.latitude), func.radians(_LATITUDE)
    northward = func.power(func.sin((there - here) / 2), 2)
    eastward = func.power(func.sin(func.radians(_LONGITUDE - point.longitude) / 2), 2)
    half_chord = func.sqrt(northward + func.cos(here) * func.cos(there) * eastward)
    distance = cast(func.round(2 * _EARTH_METRES * func.asin(func.least(1.0, half_chord))), Integer)
    return case((services.c.remote, None), else_=distance)


def _near(point: Point, metres: float) -> ColumnElement[bool]:
    """Within so many metres: of those in a box around, which cost less to find."""
    height = metres / _DEGREE_METRES
    width = height / math.cos(math.radians(point.latitude))
    return and_(
        _LATITUDE.between(point.latitude - height, point.latitude + height),
        _LONGITUDE.between(point.longitude - width, point.longitude + width),
        _metres(point) <= metres,
    )


def _found(row: Row[Any]) -> FoundService:
    service, structure = json.loads(row.document), json.loads(row.structure)

    def of_either(name: str) -> Any:  # noqa: ANN401 - the schema's field
        """The service's own, or else its structure's, as the schema has it."""
        return service.get(name) or structure.get(name)

    placed = service if service.get("adresse") or service.get("code_insee") else structure
    code = placed.get("code_insee")
    return FoundService(
        id=service["id"],
        name=service["nom"],
        structure=FoundStructure(id=structure["id"], name=structure["nom"], link=structure.get("lien_source")),
        description=service["description"],
        thematiques=service.get("thematiques", []),
        publics=service.get("publics", []),
        publics_details=service.get("publics_precisions"),
        conditions=service.get("conditions_acces"),
        fees=service.get("frais"),
        fees_details=service.get("frais_precisions"),
        address=_address(placed),
        commune=communes.today(code) if code else None,
        phone=of_either("telephone"),
        email=of_either("courriel"),
        opening_hours=of_either("horaires_accueil"),
        reach=Reach(
            by=service.get("mobilisable_par", []),
            how=service.get("modes_mobilisation", []),
            link=service.get("lien_mobilisation"),
            details=service.get("mobilisation_precisions"),
        ),
        remote=row.remote,
        distance_km=None if row.metres == _NOWHERE else round(row.metres / 1000, 1),
        source=service["source"],
        updated=service["date_maj"],
        link=service.get("lien_source"),
    )


def _address(placed: Mapping[str, str]) -> str | None:
    """On one line."""
    town = " ".join(filter(None, (placed.get("code_postal"), placed.get("commune"))))
    return ", ".join(filter(None, (placed.get("adresse"), placed.get("complement_adresse"), town))) or None


def _spelt(cursor: _Cursor) -> str:
    return base64.urlsafe_b64encode(_CURSOR.dump_json(cursor)).decode().rstrip("=")


def _read(cursor: str) -> _Cursor:
    try:
        found = _CURSOR.validate_json(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValidationError, ValueError, binascii.Error):
        found = None
    if found is None or not 0 <= found.metres <= _NOWHERE or "\0" in found.sort_name + found.id:
        raise _invalid("after", "Valeur attendue : le « next » d’une page précédente.")
    return found


def _invalid(field: str, detail: str) -> Rejected:
    return Rejected("invalid", detail, errors=[{"pointer": f"/{field}", "detail": detail}])
