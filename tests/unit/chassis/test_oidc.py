"""What an ID token must say, and what a login under way tells of its secret; without a provider."""

import base64
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey
from pydantic import ValidationError

from services.chassis import oidc
from services.chassis.settings import Settings

ISSUER = "https://id.example"
ATTEMPT = oidc.Attempt.begin()
KEY, RSA, OTHER = (
    ECKey.generate_key("P-256", auto_kid=True),
    RSAKey.generate_key(2048, auto_kid=True),
    ECKey.generate_key("P-256", auto_kid=True),
)
SHARED = OctKey.generate_key(256, parameters={"kid": "shared"})
KEYS: dict[str, Any] = {
    "keys": [
        {"kty": "of the future", "kid": "x"},
        OKPKey.generate_key("Ed25519", auto_kid=True).as_dict(private=False),
        KEY.as_dict(private=False),
        RSA.as_dict(private=False),
        SHARED.as_dict(private=True),
        OTHER.as_dict(private=False) | {"use": "enc"},
    ]
}


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings of a client of that issuer."""
    file = tmp_path_factory.mktemp("oidc") / "secret"
    file.write_text("secret")
    return Settings(oidc_issuer=ISSUER, oidc_client_id="relais", oidc_client_secret_file=file)


def claims(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - a claim is of any type
    """What a right ID token says; `None` leaves a claim out."""
    now = int(time.time())
    right = {
        "iss": ISSUER,
        "aud": "relais",
        "sub": "amina",
        "nonce": ATTEMPT.derive("nonce"),
        "iat": now,
        "exp": now + 60,
    }
    return {name: value for name, value in (right | changes).items() if value is not None}


def signed(key: Any = KEY, algorithm: str = "ES256", **changes: Any) -> str:  # noqa: ANN401 - a key of any kind
    """An ID token."""
    return jwt.encode({"alg": algorithm, "kid": key.kid}, claims(**changes), key, algorithms=[algorithm])


def unsigned() -> str:
    """One that says it needs no signature."""
    head, body = (
        base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in ({"alg": "none"}, claims())
    )
    return f"{head}.{body}."


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(signed, id="ES256"),
        pytest.param(lambda: signed(RSA, "RS256"), id="RS256"),
        pytest.param(lambda: signed(RSA, "PS256"), id="PS256"),
        pytest.param(lambda: signed(aud=["relais"]), id="one audience in a list"),
        pytest.param(lambda: signed(aud=["relais", "x"], azp="relais"), id="several, and ours is the party"),
        pytest.param(lambda: signed(exp=int(time.time()) - 10), id="a clock that differs a little"),
    ],
)
def test_a_right_token_tells_who_it_is(settings: Settings, make: Callable[[], str]) -> None:
    """By any strong algorithm, whatever other keys the provider has."""
    assert oidc.check(make(), KEYS, settings, ATTEMPT)["sub"] == "amina"


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: signed(iss="https://evil.example"), id="another issuer"),
        pytest.param(lambda: signed(aud="neighbour"), id="for another client"),
        pytest.param(lambda: signed(aud=["neighbour", "relais"]), id="for several, and no party named"),
        pytest.param(lambda: signed(aud=["neighbour", "relais"], azp="neighbour"), id="given to another client"),
        pytest.param(lambda: signed(azp="neighbour"), id="another party"),
        pytest.param(lambda: signed(nonce=oidc.Attempt.begin().derive("nonce")), id="of another login"),
        pytest.param(lambda: signed(nonce=None), id="of no login"),
        pytest.param(lambda: signed(exp=int(time.time()) - 60), id="expired"),
        pytest.param(lambda: signed(exp=None), id="for ever"),
        pytest.param(lambda: signed(iss=None), id="by nobody"),
        pytest.param(lambda: signed(sub=None), id="of nobody"),
        pytest.param(lambda: signed(OTHER), id="by a key that does not sign"),
        pytest.param(lambda: signed(ECKey.generate_key("P-256", auto_kid=True)), id="by an unknown key"),
        pytest.param(lambda: signed(SHARED, "HS256"), id="by a shared secret"),
        pytest.param(lambda: signed()[:-8] + "AAAAAAAA", id="altered"),
        pytest.param(unsigned, id="unsigned"),
        pytest.param(lambda: "garbage", id="garbage"),
    ],
)
def test_any_other_token_is_none(settings: Settings, make: Callable[[], str]) -> None:
    """One thing wrong is enough."""
    with pytest.raises((JoseError, ValueError)):
        oidc.check(make(), KEYS, settings, ATTEMPT)


def test_keys_that_are_none_are_refused(settings: Settings) -> None:
    """An answer that is no key set is no reason to crash."""
    wrong: list[dict[str, Any]] = [{}, {"keys": []}, {"keys": "x"}, {"keys": [5]}, {"keys": [{"kty": "EC"}]}]
    for keys in wrong:
        with pytest.raises((JoseError, ValueError)):
            oidc.check(signed(), keys, settings, ATTEMPT)


def test_what_is_derived_tells_nothing_else() -> None:
    """State, nonce and verifier differ, with each login, and are the same again for whoever has its cookie."""
    other = oidc.Attempt.begin()
    drawn = {each.derive(purpose) for each in (ATTEMPT, other) for purpose in ("state", "nonce", "verifier")}
    assert len(drawn | {ATTEMPT.secret, other.secret, ATTEMPT.challenge, other.challenge}) == 10
    assert oidc.Attempt(ATTEMPT.secret).derive("state") == ATTEMPT.derive("state")


@pytest.mark.parametrize(
    "field",
    ["authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint", "end_session_endpoint"],
)
def test_every_address_of_the_provider_is_as_safe_as_its_issuer(field: str) -> None:
    """Our secret, the code and the keys go by them: TLS, or this very machine."""
    required = ("authorization_endpoint", "token_endpoint", "jwks_uri")
    right = {"issuer": ISSUER} | {name: f"{ISSUER}/{name}" for name in required}
    oidc._Provider.model_validate(right | {field: f"{ISSUER}/x"})  # noqa: SLF001 - what a discovery document may say
    oidc._Provider.model_validate(right | {field: "http://127.0.0.1/x"})  # noqa: SLF001 - same
    with pytest.raises(ValidationError):
        oidc._Provider.model_validate(right | {field: "http://id.example/x"})  # noqa: SLF001 - same
