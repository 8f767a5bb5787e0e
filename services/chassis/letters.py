"""What outsiders write to the broker: the same bodies as over HTTP, taken by the same handlers, refused alike."""

from dataclasses import dataclass, field
from typing import TypeVar

from pydantic import BaseModel

from services.chassis import problems
from services.chassis.errors import Rejected
from services.chassis.tokens import Caller

F = TypeVar("F", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Letter:
    """A message of `caller`, unread; `problem` says why it is refused whatever is in it."""

    caller: Caller
    body: bytes = field(repr=False)
    traceparent: str
    problem: Rejected | None = None

    def read(self, form: type[F]) -> F:
        """The JSON body as `form`. Raises Rejected: its problem, 400 when it is not JSON, 422 naming each field."""
        if self.problem:
            raise self.problem
        return problems.validate(form, self.body)


@dataclass(frozen=True, slots=True)
class Reply:
    """What became of a letter, as an HTTP status; `body`, if any, is sent to its writer's queue."""

    status: int
    body: str | None = field(default=None, repr=False)

    @property
    def content_type(self) -> str:
        """What the body is."""
        return problems.CONTENT_TYPE if self.status >= 400 else "application/json"  # noqa: PLR2004 - HTTP's own

    @property
    def outcome(self) -> str:
        """For counting: `taken`, `again`, `refused` or `failed`."""
        kinds = {2: "taken", 4: "refused"}
        return "again" if self.status == 200 else kinds.get(self.status // 100, "failed")  # noqa: PLR2004 - as above
