"""HTML pages: one way of making them for all services, one frame (`templates/base.html`), one style sheet."""

import re
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from services.chassis import problems
from services.chassis.errors import Rejected
from services.chassis.tokens import Invitation, Role

_HERE = Path(__file__).parent
ONCE_SCRIPT = (_HERE / "static" / "once.js").read_text(encoding="utf-8")
STYLESHEET = (_HERE / "static" / "relais.css").read_text(encoding="utf-8")


# Stands for the way from a page back to its service's first one, which `services.chassis.http` writes in its place: a
# service may be anywhere under an origin, and is told nowhere. All data is escaped, so none can hold it.
ROOT = "<root/>"


def environment(*folders: Path) -> Environment:
    """Templates of these folders, which may extend `base.html`; what is not given is an error, all text is escaped.

    An address in them is one of `@http` after `root`: `{{ root }}/login`. `logged_in` is false unless a page says
    otherwise: true shows the button that logs out. `spaced` is a filter for French text.
    """
    made = Environment(
        loader=FileSystemLoader([*folders, _HERE / "templates"]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    made.filters["spaced"] = _spaced
    made.globals |= {"logged_in": False, "root": Markup(ROOT)}  # noqa: S704 - no data
    return made


def _spaced(text: str) -> str:
    """With the spaces that do not break, which French wants before high punctuation."""
    return re.sub(r" (?=[:;!?»])|(?<=«) ", "\u00a0", text)


_OWN = environment()
_ROLES: dict[Role, str] = {
    "site": "site",
    "agent": "agent",
    "partner": "partenaire",
    "steering": "pilotage",
    "ops": "exploitation",
}


def login(token: str, invitation: Invitation, *, at_once: bool = False) -> str:
    """The page that an invitation's link leads to: whom it is for, a button that uses it, and `ONCE_SCRIPT`.

    `at_once`: the script presses the button.
    """
    facts = {"token": token, "org": invitation.org, "role": _ROLES[invitation.role], "at_once": at_once}
    return _OWN.get_template("login.html").render(facts)


def logged_in(further: str) -> str:
    """What leads on, at once, to the next service that an invitation is for, or to where work begins."""
    return _OWN.get_template("logged_in.html").render(further=further)


def no_login(*, refused: bool = False, provider: str | None = None) -> str:
    """How to get in: by the OpenID `provider`, if there is one, or by a link; `refused` when one was given."""
    return _OWN.get_template("no_login.html").render(refused=refused, provider=provider)


def logged_out(further: str, provider: str) -> str:
    """What leads on, at once, to the address where the OpenID provider ends its own session."""
    return _OWN.get_template("logged_out.html").render(further=further, provider=provider)


def error(rejected: Rejected, *, logged_in: bool = False) -> str:
    """A refusal to be read by a person: never a value that was received."""
    title = problems.title(rejected.status)
    return _OWN.get_template("error.html").render(title=title, detail=rejected.detail, logged_in=logged_in)
