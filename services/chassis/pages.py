"""HTML pages: one way of making them for all services, one frame (`templates/base.html`), one style sheet."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from services.chassis import problems
from services.chassis.errors import Rejected

_HERE = Path(__file__).parent
STYLESHEET = (_HERE / "static" / "relais.css").read_text(encoding="utf-8")


def environment(*folders: Path) -> Environment:
    """Templates of these folders, which may extend `base.html`; what is not given is an error, all text is escaped.

    `logged_in` is false unless a page says otherwise: true shows the button that logs out.
    """
    made = Environment(
        loader=FileSystemLoader([*folders, _HERE / "templates"]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    made.globals["logged_in"] = False
    return made


_OWN = environment()


def login(invitation: str | None, *, refused: bool = False) -> str:
    """The page that an invitation's link leads to: a button that uses it, or how to get one."""
    return _OWN.get_template("login.html").render(invitation=invitation, refused=refused)


def error(rejected: Rejected) -> str:
    """A refusal to be read by a person: never a value that was received."""
    return _OWN.get_template("error.html").render(title=problems.title(rejected.status), detail=rejected.detail)
