"""HTML forms as pydantic models."""

from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request as WerkzeugRequest

from services.chassis.errors import Rejected
from services.chassis.http import Request

URLENCODED = "application/x-www-form-urlencoded"


class Order(BaseModel):
    """One of each kind of field."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    name: str = ""
    number: int = 0
    colours: list[Literal["red", "blue"]] = []
    sizes: Annotated[tuple[int, ...] | None, Field(alias="size")] = None


def read(body: bytes, content_type: str = URLENCODED) -> Order:
    """What a browser sent, read."""
    built = EnvironBuilder(method="POST", data=body, content_type=content_type)
    return Request(WerkzeugRequest(built.get_environ()), None).form(Order)


@pytest.mark.parametrize(
    ("body", "order"),
    [
        (b"", Order()),
        (b"name=Zo%C3%A9+L%E2%80%99Hermitte&number=3", Order(name="Zoé L’Hermitte", number=3)),
        (b"name=", Order(name="")),
        (b"colours=red", Order(colours=["red"])),
        (b"colours=red&name=a&colours=blue", Order(name="a", colours=["red", "blue"])),
        (b"size=4", Order(sizes=(4,))),
        (b"name=a%26b%3Dc;d", Order(name="a&b=c;d")),
    ],
)
def test_fields_are_read_as_they_were_filled_in(body: bytes, order: Order) -> None:
    """Accents, several values of one name, and one value of a field that may have several."""
    assert read(body) == order


def test_a_charset_beside_the_type_does_no_harm() -> None:
    """Some browsers say it."""
    assert read(b"name=a", f"{URLENCODED}; charset=UTF-8").name == "a"


@pytest.mark.parametrize(
    ("body", "content_type", "status", "pointers"),
    [
        (b"name=a", "application/json", 415, []),
        (b"name=a", "multipart/form-data; boundary=x", 415, []),
        (b"name=%FF", URLENCODED, 400, []),
        ("name=é".encode(), URLENCODED, 400, []),
        (b"&".join(b"colours=red" for _ in range(1001)), URLENCODED, 400, []),
        (b"number=x", URLENCODED, 422, ["/number"]),
        (b"name=a&name=b", URLENCODED, 422, ["/name"]),
        (b"colours=red&colours=green", URLENCODED, 422, ["/colours/1"]),
        (b"secret=x", URLENCODED, 422, ["/secret"]),
    ],
)
def test_what_does_not_fit_is_refused(body: bytes, content_type: str, status: int, pointers: list[str]) -> None:
    """By the same statuses as JSON, naming each field and never its value."""
    with pytest.raises(Rejected) as refused:
        read(body, content_type)
    assert refused.value.status == status
    assert [error["pointer"] for error in refused.value.errors] == pointers
    assert "green" not in str(refused.value.errors)
