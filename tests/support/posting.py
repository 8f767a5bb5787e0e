"""Orientation with a form that only agents may post: `python -m tests.support.posting run …` is `relais run …`."""

from typing import Any

from pydantic import BaseModel

MODULE = "tests.support.posting"
PATH, LONGEST = "/shelf", 200


class Shelf(BaseModel):
    """A field that comes once, and one that comes as often as it likes."""

    name: str
    colours: list[str] = []


def _main() -> None:
    from services.chassis import green  # noqa: F401, PLC0415 - makes the standard library cooperative: not for a test
    from services.chassis.http import Answer, Request, http  # noqa: PLC0415 - as above
    from services.orientation.service import OrientationService  # noqa: PLC0415 - as above

    def post_shelf(_self: object, request: Request) -> Answer:
        """Who posted what."""
        shelf = request.form(Shelf)
        return Answer({"caller": request.caller.org, "name": shelf.name, "colours": shelf.colours})

    changed: Any = OrientationService
    changed.post_shelf = http("POST", PATH, session=("agent",), form=Shelf, max_bytes=LONGEST)(post_shelf)
    from services.__main__ import main  # noqa: PLC0415 - finds the changed class

    main()


if __name__ == "__main__":
    _main()
