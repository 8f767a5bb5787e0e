"""What a browser sends from the pages: what was left empty is there, and empty."""

from typing import Annotated, Any, Literal, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from services.chassis.errors import Rejected
from services.chassis.problems import invalid
from services.contracts.free_text import WithoutNir

_STRICT = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, str_strip_whitespace=True)
_Line = Annotated[str, StringConstraints(max_length=200)]
F = TypeVar("F", bound=BaseModel)
Problems = dict[str, str]


class SearchPost(BaseModel):
    """A reference, or a person."""

    model_config = _STRICT

    reference: _Line = ""
    family_name: _Line = ""
    given_name: _Line = ""
    birth_date: _Line = ""

    @property
    def asked(self) -> dict[str, Any]:
        """As the API takes it."""
        if self.reference:
            return {"reference": self.reference}
        return {"person": self.model_dump(exclude={"reference"})}


class PersonPost(BaseModel):
    """An identity put right."""

    model_config = _STRICT

    family_name: _Line = ""
    given_name: _Line = ""
    birth_date: _Line = ""
    phone: _Line = ""
    email: _Line = ""

    @property
    def asked(self) -> dict[str, Any]:
        """As the API takes it."""
        return {name: value for name, value in self.model_dump().items() if value}


class AgreementPost(BaseModel):
    """A decision for one recipient."""

    model_config = _STRICT

    recipient: Annotated[_Line, WithoutNir] = ""
    decision: Literal["give", "withdraw"]
    sensitive: Literal["", "yes"] = ""
    form: Literal["oral", "written"] = "oral"
    by: Literal["person", "guardian"] = "person"

    @property
    def asked(self) -> dict[str, Any]:
        """As the API takes it."""
        return {"sensitive": bool(self.sensitive), "form": self.form, "by": self.by}


class StopPost(BaseModel):
    """Objection or restriction, and whether it begins or ends."""

    model_config = _STRICT

    kind: Literal["objection", "restriction"]
    on: Literal["", "yes"] = ""


class JoinPost(BaseModel):
    """The reference of the other case, or its id where it is to be parted."""

    model_config = _STRICT

    reference: Annotated[_Line, WithoutNir] = ""
    part: Literal[""] | UUID = ""


class ErasePost(BaseModel):
    """Erasure is asked for twice."""

    model_config = _STRICT

    sure: Literal["", "yes"] = ""


class Nothing(BaseModel):
    """A button."""

    model_config = _STRICT


def read(form: type[F], asked: dict[str, Any]) -> tuple[F | None, Problems]:
    """The API's own form out of what a page sent; or, by field, what is wrong with it."""
    try:
        return form.model_validate(asked), {}
    except ValidationError as error:
        return None, of_refusal(invalid(error))


def of_refusal(refused: Rejected) -> Problems:
    """What a refusal says, by the last word of each pointer; under `""` where it is about no field."""
    found = {error["pointer"].rpartition("/")[2]: error["detail"] for error in refused.errors}
    return found or {"": refused.detail}
