"""What Relais does besides, for a peer with `PEER_DUTIES` set: check, ask, count.

It reads each event as its contract has it, and asks who of these people was erased and what they decided since.
Nobody is erased in a burst, and nobody decides: what is found all the same is parked, instead of acted upon.
"""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import reduce
from operator import or_
from types import UnionType
from typing import Annotated, Any, Final, NotRequired, Union, get_args, get_origin

from pydantic import BaseModel, Field, TypeAdapter
from sqlalchemy import TextClause
from typing_extensions import TypedDict

from services.chassis.inbox import _envelope
from services.chassis.metrics import Metrics
from services.chassis.outbox import SKEW
from services.contracts import topology
from services.contracts.envelope import BATCH_CONTENT_TYPE
from services.referral import decided
from tests.bench.peer_batch import Json

Question = tuple[str, Sequence[Any]]


def _numbered(statement: TextClause, name: str) -> str:
    return statement.text.replace(f":{name}", "$1")


_LATELY: Final = "SELECT digest FROM erased WHERE at >= $1 LIMIT 1000"
_ERASED: Final = """SELECT digest FROM unnest($1::uuid[]) AS wanted (id)
    CROSS JOIN LATERAL (SELECT digest FROM erased WHERE digest = sha256(uuid_send(id)) OFFSET 0) AS known
    WHERE EXISTS (SELECT FROM erased)"""
_HOLD: Final = f"SELECT WHERE ({_numbered(decided._SHARED, 'key')}) IS NULL"  # noqa: SLF001 - to ask the same
_DECIDED: Final = _numbered(decided._OWN, "cases")  # noqa: SLF001 - the same


class Duties:
    """Those of one queue."""

    def __init__(self, service: str, queue: str) -> None:
        publisher = next(name for name in topology.taken_from(service) if topology.queue_of(service, name) == queue)
        kinds = [_as_dictionary(_envelope(kind)) for kind in topology.taken_from(service)[publisher]]
        one: Any = Annotated[reduce(or_, kinds), Field(discriminator="type")] if len(kinds) > 1 else kinds[0]
        self._one, self._many = TypeAdapter(one), TypeAdapter(list[one])
        self._service, self._publisher = service, publisher
        self._metrics = Metrics(service)

    def read(self, body: bytes, content_type: str) -> list[Json]:
        """The events of a message, each as its contract has it. Raises ValidationError."""
        found: list[Json] = (
            self._many.validate_json(body) if content_type == BATCH_CONTENT_TYPE else [self._one.validate_json(body)]
        )
        return found

    def questions(self, events: Sequence[Json]) -> Iterator[Question]:
        """What Relais asks the database before it handles these events; each must be answered by nothing."""
        cases = list({event["data"]["case"] for event in events if event["data"]["case"]})
        if self._publisher == "intake":
            oldest = min(event["time"].timestamp() for event in events)
            yield _LATELY, [datetime.fromtimestamp(oldest, UTC) - SKEW]
        elif cases:
            yield _ERASED, [cases]
        if self._service == "referral" and cases:
            yield _HOLD, [decided._KEY]  # noqa: SLF001 - the same
            yield _DECIDED, [cases]

    def count(self, events: Sequence[Json]) -> None:
        """Count what was handled, and how long after it was told."""
        for kind, number in Counter(event["type"] for event in events).items():
            self._metrics.handled.labels(self._service, kind, "handled").inc(number)
        now = datetime.now(UTC).timestamp()
        self._metrics.lag.observe(max(0.0, now - event["time"].timestamp()) for event in events)


def duties_of(service: str, queue: str) -> Duties | None:
    """Those of one queue, where a peer is to do them."""
    return Duties(service, queue) if os.environ.get("PEER_DUTIES") else None


def _as_dictionary(model: type[BaseModel]) -> Any:  # noqa: ANN401 - a type
    """The type of a dictionary with the fields of a model: checked as strictly, and made in less time."""
    fields: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        kind = _without_models(field.annotation)
        checked = reduce(lambda inner, each: Annotated[inner, each], field.metadata, kind)
        fields[name] = checked if field.is_required() else NotRequired[checked]
    make: Any = TypedDict
    return make(model.__name__, fields)


def _without_models(kind: Any) -> Any:  # noqa: ANN401 - a type
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return _as_dictionary(kind)
    inner = tuple(map(_without_models, get_args(kind)))
    if get_origin(kind) in (Union, UnionType):
        return reduce(or_, inner)
    if get_origin(kind) is tuple:
        return tuple.__class_getitem__(inner)
    return kind
