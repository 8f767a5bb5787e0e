"""What looks like an invitation and is none: it opens nothing, breaks nothing and is not used up."""

import base64
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from services.chassis.settings import Settings
from services.chassis.tokens import Tokens
from tests.support.databases import dump
from tests.support.entering import HERE, claims_of, enter, invited, is_in
from tests.support.house import House


@pytest.fixture
def browser(house: House) -> Iterator[httpx.Client]:
    """Open a browser without a cookie."""
    with httpx.Client(base_url=house.url("orientation"), headers=HERE, timeout=20, trust_env=False) as client:
        yield client


def unsigned(house: House, _folder: Path) -> str:
    """An invitation that says it needs no signature."""
    _, claims, _ = invited(house).split(".")
    return base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=") + f".{claims}."


def critical(house: House, _folder: Path) -> str:
    """An invitation whose header names as critical what is no list."""
    _, claims, signature = invited(house).split(".")
    head = base64.urlsafe_b64encode(b'{"alg":"ES256","crit":5}').decode().rstrip("=")
    return f"{head}.{claims}.{signature}"


def of_another_key(_house: House, folder: Path) -> str:
    """An invitation by someone who knows everything but the key."""
    return Tokens(Settings(state=folder)).invite("agent", "fs-moreuil", "orientation")


@pytest.mark.parametrize(
    "forge",
    [
        pytest.param(lambda *_: "garbage", id="garbage"),
        pytest.param(unsigned, id="unsigned"),
        pytest.param(of_another_key, id="of another key"),
        pytest.param(lambda house, _: invited(house, valid=-1), id="expired"),
        pytest.param(lambda house, _: house.tokens.sign("agent", "fs-moreuil"), id="a bearer token"),
        pytest.param(lambda house, _: invited(house)[:-8] + "AAAAAAAA", id="signature altered"),
        pytest.param(critical, id="a header of a wrong kind"),
        pytest.param(lambda house, _: house.tokens.invite("agent", "hem", "referral"), id="another service's"),
        pytest.param(lambda house, _: invited(house, "partner", "cpam"), id="of a role without a page"),
    ],
)
def test_what_is_no_invitation_opens_nothing(
    house: House, browser: httpx.Client, tmp_path: Path, forge: Callable[[House, Path], str]
) -> None:
    """The same refusal whatever is wrong: how to get a link, and not a word of what was sent."""
    forged, before = forge(house, tmp_path), len(house.log("orientation"))
    for page in (enter(browser, forged), browser.get("/login", params={"invitation": forged})):
        assert (page.status_code, page.headers.get("Set-Cookie")) == (403, None)
        assert "n’est pas valable" in page.text
        assert "demandez un lien à la personne qui administre Relais" in page.text
        assert forged not in page.text
    assert not is_in(browser)
    tables = dump(house.databases["orientation"])
    assert "." not in forged or claims_of(forged).get("jti", "none") not in tables["invitations_used"]
    assert "request failed" not in house.log("orientation")[before:]


def test_an_invitation_is_no_bearer_token(house: House) -> None:
    """401 from a call that takes an agent's token; the session it opened is no token, either."""
    url = f"{house.url('orientation')}/v1/orientations/simulate"
    for token in (invited(house), invited(house, "site")):
        answer = house.client.post(url, json={}, headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 401
        assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]
    right = house.client.post(url, json={}, headers=house.bearer("agent", "fs-moreuil"))
    assert right.status_code == 422
