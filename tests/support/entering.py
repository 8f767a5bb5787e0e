"""How a person gets into orientation's pages by an invitation, without a real browser."""

import base64
import json
from datetime import timedelta

import httpx

from services.chassis.tokens import Role
from tests.support.house import House

COOKIE = "relais_orientation"
HERE = {"Sec-Fetch-Site": "same-origin"}


def invited(house: House, role: Role = "agent", org: str = "fs-moreuil", valid: float = 24) -> str:
    """An invitation, as `relais invite` makes it."""
    return house.tokens.invite(role, org, "orientation", valid=timedelta(hours=valid))


def enter(browser: httpx.Client, invitation: str, **headers: str) -> httpx.Response:
    """Press « Entrer »."""
    return browser.post("/login", data={"invitation": invitation}, headers=headers)


def claims_of(token: str) -> dict[str, str]:
    """What a JWT says."""
    claims: dict[str, str] = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    return claims


def is_in(browser: httpx.Client) -> bool:
    """Whether the first page is shown."""
    answer = browser.get("/")
    assert answer.status_code in {200, 303}
    if answer.status_code == 303:
        assert answer.headers["Location"] == "./login"
    return answer.status_code == 200
