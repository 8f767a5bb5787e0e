"""CloudEvents 1.0, structured JSON: the envelope every event travels in.

An event class states its `TYPE` (with a version; a new version is a new class) and the service that publishes it.
Consumers ignore fields they do not know, so that an old and a new release run side by side.
"""

from datetime import datetime
from typing import Annotated, Any, ClassVar, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, StringConstraints

CONTENT_TYPE = "application/cloudevents+json"
BATCH_CONTENT_TYPE = "application/cloudevents-batch+json"
# CloudEvents forbids control characters; PostgreSQL cannot even store NUL.
_Attribute = Annotated[str, StringConstraints(min_length=1, pattern=r"^[^\x00-\x1f\x7f]+$")]


class EventData(BaseModel):
    """What an event says. Subclasses are frozen facts in the past tense."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    TYPE: ClassVar[str]
    SERVICE: ClassVar[str]

    @classmethod
    def name(cls) -> str:
        """`VisitRecorded` out of `fr.relais.VisitRecorded.v1`: the queue's and the routing key's word."""
        return cls.TYPE.split(".")[2]

    @classmethod
    def schema_path(cls) -> str:
        """Where each service serves this version's JSON Schema."""
        return f"/schemas/{cls.TYPE.removeprefix('fr.relais.')}.json"

    def routing_key(self) -> str:
        """The event's name; an event that outsiders select by more says so itself."""
        return self.name()


class CloudEvent(BaseModel):
    """The envelope. `time` is UTC; `traceparent` is the W3C trace context of the request that began it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    specversion: str = "1.0"
    id: _Attribute
    source: _Attribute
    type: _Attribute
    time: AwareDatetime
    datacontenttype: str = "application/json"
    dataschema: str | None = None
    traceparent: str | None = None
    expirytime: datetime | None = None
    data: dict[str, Any]

    @classmethod
    def wrapping(
        cls, data: EventData, *, id_: str, time: datetime, base_url: str, traceparent: str | None = None
    ) -> Self:
        """The envelope for `data`, published by its own service at `time`."""
        return cls(
            id=id_,
            source=f"/relais/{data.SERVICE}",
            type=data.TYPE,
            time=time,
            dataschema=base_url + data.schema_path(),
            traceparent=traceparent,
            data=data.model_dump(mode="json"),
        )

    def to_json(self) -> str:
        """The document as it is published: absent attributes are left out."""
        return self.model_dump_json(exclude_none=True)
