"""Who may ask: tokens signed and checked."""

import base64
import json
import time
from collections.abc import Callable
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws, jwt
from joserfc.jwk import ECKey, OctKey, RSAKey

from services.chassis import tokens as module
from services.chassis.errors import Rejected
from services.chassis.settings import Settings
from services.chassis.tokens import Caller, TokenError, Tokens, new_signing_key

Forge = Callable[..., str]
SERVICE = "orientation"


@pytest.fixture
def tokens(tmp_path: Path) -> Tokens:
    """Make the checker of a fresh installation, on its own key."""
    return Tokens(Settings(state=tmp_path))


@pytest.fixture
def forge(tokens: Tokens, tmp_path: Path) -> Forge:
    """Return a maker of tokens signed with the right key, whose claims or header a test makes wrong."""
    tokens.sign("site", "hem")
    key = ECKey.import_key(json.loads((tmp_path / "signing-key.json").read_text()))

    def make(header: dict[str, Any] | None = None, **claims: Any) -> str:  # noqa: ANN401 - a claim of any type
        now = int(time.time())
        right = {
            "iss": "relais",
            "aud": "relais",
            "iat": now,
            "exp": now + 60,
            "sub": "s",
            "role": "site",
            "org": "hem",
        }
        changed = {name: value for name, value in (right | claims).items() if value is not ...}
        return jwt.encode({"alg": "ES256", "kid": key.kid} | (header or {}), changed, key)

    return make


@cache
def own() -> Tokens:
    """Make one checker for the many examples of a property: of a key that nobody else has."""
    key = ECKey.import_key(json.loads(new_signing_key()))
    checker = Tokens(Settings(jwks="given below"))
    checker._read_keys = lambda: {"keys": [key.as_dict(private=False)]}  # type: ignore[method-assign]  # noqa: SLF001
    return checker


def refused(tokens: Tokens, token: str) -> str:
    """Check a token that must not pass; the detail of the 401."""
    with pytest.raises(Rejected) as caught:
        tokens.check(token)
    assert caught.value.status == 401
    assert caught.value.headers == {"WWW-Authenticate": 'Bearer realm="relais", error="invalid_token"'}
    return caught.value.detail


def part(content: object) -> str:
    """One of the three parts of a token."""
    return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()


def test_a_token_says_whom_it_speaks_for(tokens: Tokens, forge: Forge) -> None:
    """Role, organisation and subject come back as they were signed; extra audiences do no harm."""
    assert tokens.check(tokens.sign("partner", "cap-emploi-80")) == Caller(
        "partner", "cap-emploi-80", "partner:cap-emploi-80"
    )
    assert tokens.check(forge(aud=["other", "relais"])) == Caller("site", "hem", "s")


def test_an_expired_token_is_told_so(tokens: Tokens, forge: Forge) -> None:
    """After thirty seconds of grace for clocks that differ."""
    assert tokens.check(forge(exp=int(time.time()) - 20)).org == "hem"
    assert refused(tokens, forge(exp=int(time.time()) - 40)) == "Le jeton a expiré."
    assert refused(tokens, tokens.sign("site", "hem", valid=timedelta(minutes=-1))) == "Le jeton a expiré."


WRONG: dict[str, dict[str, Any]] = {
    "issuer": {"iss": "other"},
    "issuer-list": {"iss": ["relais"]},
    "no-issuer": {"iss": ...},
    "audience": {"aud": "other"},
    "no-audience": {"aud": ...},
    "no-expiry": {"exp": ...},
    "expiry-text": {"exp": "never"},
    "expiry-true": {"exp": True},
    "not-yet": {"nbf": int(time.time()) + 3600},
    "no-subject": {"sub": ...},
    "role": {"role": "root"},
    "role-list": {"role": ["site"]},
    "no-role": {"role": ...},
    "org-number": {"org": 1},
    "no-org": {"org": ...},
}


@pytest.mark.parametrize("claims", WRONG.values(), ids=WRONG)
def test_a_wrong_claim_is_refused_whatever_the_signature(tokens: Tokens, forge: Forge, claims: dict[str, Any]) -> None:
    """Each claim of the contract is needed, and must be exactly ours."""
    refused(tokens, forge(**claims))


def test_a_subject_like_a_social_security_number_is_refused(tokens: Tokens, forge: Forge) -> None:
    """It would be kept with each access; and the reason does not repeat it."""
    detail = refused(tokens, forge(sub="agent-1850578006084"))
    assert "numéro de sécurité sociale" in detail
    assert "1850578006084" not in detail


def test_a_token_without_signature_is_refused(tokens: Tokens, forge: Forge) -> None:
    """`alg: none` is no algorithm, with or without what is left of a signature."""
    _, claims, signature = forge().split(".")
    for alg in ("none", "None", "NONE", "", None):
        refused(tokens, f"{part({'alg': alg})}.{claims}.")
        refused(tokens, f"{part({'alg': alg})}.{claims}.{signature}")


def test_a_token_signed_by_another_key_is_refused(tokens: Tokens, forge: Forge, tmp_path: Path) -> None:
    """Even when it calls itself by our key's name, or brings a key of its own; what is public signs nothing."""
    head, claims, _ = forge().split(".")
    kid = json.loads(base64.urlsafe_b64decode(head + "=="))["kid"]
    payload = base64.urlsafe_b64decode(claims + "==")
    theirs = ECKey.generate_key("P-256")
    refused(tokens, jws.serialize_compact({"alg": "ES256", "kid": kid}, payload, theirs))
    refused(tokens, jws.serialize_compact({"alg": "ES256", "jwk": theirs.as_dict(private=False)}, payload, theirs))
    refused(tokens, jws.serialize_compact({"alg": "RS256", "kid": kid}, payload, RSAKey.generate_key(2048)))
    public = ECKey.import_key(json.loads((tmp_path / "signing-key.json").read_text())).as_pem(private=False)
    secret = OctKey.import_key(public.replace(b"-----", b""))
    refused(tokens, jws.serialize_compact({"alg": "HS256", "kid": kid}, payload, secret))


def test_one_altered_character_is_refused(tokens: Tokens, forge: Forge) -> None:
    """Of the claims or of the signature."""
    head, claims, signature = forge().split(".")
    other = {"A": "B"}
    refused(tokens, f"{head}.{other.get(claims[5], 'A').join((claims[:5], claims[6:]))}.{signature}")
    refused(tokens, f"{head}.{claims}.{other.get(signature[5], 'A').join((signature[:5], signature[6:]))}")


@pytest.mark.parametrize("crit", [None, True, 5, [1], [None], "x", {}])
def test_a_header_of_a_wrong_kind_is_a_wrong_token(
    tokens: Tokens, forge: Forge, monkeypatch: pytest.MonkeyPatch, crit: object
) -> None:
    """401, and no invitation, whatever extensions it calls critical; also where the keys are read again for it."""
    _, claims, signature = forge().split(".")
    token = f"{part({'alg': 'ES256', 'crit': crit})}.{claims}.{signature}"
    for seconds in (10, 0):
        monkeypatch.setattr(module, "_REREAD_SECONDS", seconds)
        refused(tokens, token)
        assert tokens.check_invitation(token, service=SERVICE) is None


@given(st.one_of(st.text(), st.text().map(lambda text: f"{part({'alg': text})}.{text}.{text}"), st.binary().map(str)))
def test_nothing_else_gets_past_or_breaks_the_check(text: str) -> None:
    """Whatever the header holds, the answer is 401."""
    refused(own(), text)


@pytest.mark.parametrize("depth", [10, 100_000])
def test_a_deeply_nested_token_is_refused(tokens: Tokens, depth: int) -> None:
    """It does not exhaust the stack."""
    nested = base64.urlsafe_b64encode(b'{"a":' * depth).decode()
    refused(tokens, f"{nested}.{nested}.AA")


def test_a_rotated_key_set_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The new signer's tokens pass, the old one's no longer, without a restart; not read for each wrong token."""
    keys = {name: ECKey.import_key(json.loads(new_signing_key())) for name in ("old", "new")}
    files = {name: tmp_path / f"{name}.json" for name in keys}
    for name, key in keys.items():
        files[name].write_text(json.dumps(key.as_dict(private=True)))
    jwks = tmp_path / "jwks.json"
    signers = {name: Tokens(Settings(signing_key_file=file)) for name, file in files.items()}
    checker = Tokens(Settings(jwks=str(jwks)))

    def publish(name: str) -> None:
        jwks.write_text(json.dumps({"keys": [keys[name].as_dict(private=False)]}))

    publish("old")
    known = signers["old"].sign("site", "hem")
    assert checker.check(known).org == "hem"
    publish("new")
    refused(checker, signers["new"].sign("site", "hem"))
    assert checker.check(signers["old"].sign("site", "hem")).org == "hem"
    monkeypatch.setattr(module, "_REREAD_SECONDS", 0)
    assert checker.check(signers["new"].sign("site", "hem")).org == "hem"
    refused(checker, signers["old"].sign("site", "hem"))
    refused(checker, known)


def test_a_token_that_was_good_expires_all_the_same(tokens: Tokens, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its signature is not verified again; what it claims is."""
    token = tokens.sign("site", "hem", valid=timedelta(seconds=60))
    assert tokens.check(token).org == "hem"
    late = time.time() + 120
    monkeypatch.setattr(time, "time", lambda: late)
    refused(tokens, token)


def test_a_key_set_that_cannot_be_read_again_does_not_lock_everyone_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the identity provider is away, a wrong token is refused and the right ones still pass."""
    jwks = tmp_path / "jwks.json"
    signer = Tokens(Settings(state=tmp_path))
    right = signer.sign("site", "hem")
    key = ECKey.import_key(json.loads((tmp_path / "signing-key.json").read_text()))
    jwks.write_text(json.dumps({"keys": [key.as_dict(private=False)]}))
    checker = Tokens(Settings(jwks=str(jwks)))
    assert checker.check(right).org == "hem"
    jwks.unlink()
    monkeypatch.setattr(module, "_REREAD_SECONDS", 0)
    refused(checker, "wrong")
    assert checker.check(right).org == "hem"


@pytest.mark.parametrize("content", [None, "", "[", "[]", '{"keys": 1}', '{"keys": [{"kty": "EC"}]}'])
def test_a_key_set_that_makes_no_sense_is_told_by_its_variable(tmp_path: Path, content: str | None) -> None:
    """The operator reads which setting is wrong, not a traceback."""
    jwks = tmp_path / "jwks.json"
    if content is not None:
        jwks.write_text(content)
    token = Tokens(Settings(state=tmp_path)).sign("site", "hem")
    with pytest.raises(TokenError, match=r"^RELAIS_JWKS"):
        Tokens(Settings(jwks=str(jwks))).check(token)


def test_an_invitation_says_whom_it_lets_in(tokens: Tokens) -> None:
    """Role and organisation, and a name of its own, another for each."""
    one, other = (tokens.check_invitation(tokens.invite("agent", "hem", SERVICE), service=SERVICE) for _ in range(2))
    assert one is not None
    assert other is not None
    assert (one.role, one.org) == ("agent", "hem")
    assert one.jti != other.jti


def test_an_invitation_is_for_one_service(tokens: Tokens, forge: Forge) -> None:
    """Another takes it as little as one that names no service."""
    invitation = tokens.invite("agent", "hem", "orientation")
    assert tokens.check_invitation(invitation, service="orientation") is not None
    for other in ("referral", "", "orientatio"):
        assert tokens.check_invitation(invitation, service=other) is None
    assert tokens.check_invitation(forge(aud="relais/invitation", jti="1"), service="orientation") is None


def test_an_invitation_may_be_for_several_services_in_their_order(tokens: Tokens) -> None:
    """Each takes the same one, and learns whom the person goes on to; nobody else takes it."""
    invitation = tokens.invite("agent", "hem", "referral", "intake", "orientation")
    for service in ("referral", "intake", "orientation"):
        found = tokens.check_invitation(invitation, service=service)
        assert found is not None
        assert found.services == ("referral", "intake", "orientation")
    assert tokens.check_invitation(invitation, service="reporting") is None


@pytest.mark.parametrize(
    "claims", [each for name, each in WRONG.items() if "subject" not in name] + [{"jti": ...}, {"jti": 1}, {}]
)
def test_a_wrong_invitation_is_none(tokens: Tokens, forge: Forge, claims: dict[str, Any]) -> None:
    """Each claim is needed and must be ours; with everything right but the audience it is a bearer token: none."""
    right = {"aud": "relais/invitation/orientation", "jti": "1"}
    assert tokens.check_invitation(forge(**right), service=SERVICE) is not None
    assert tokens.check_invitation(forge(**(right | claims if claims else {"jti": "1"})), service=SERVICE) is None


def test_an_invitation_is_no_bearer_token_and_no_bearer_token_an_invitation(tokens: Tokens, forge: Forge) -> None:
    """The audience alone keeps them apart, whatever else they claim; an invitation is good for 24 hours."""
    invitation = tokens.invite("agent", "hem", SERVICE)
    refused(tokens, invitation)
    refused(tokens, forge(aud="relais/invitation/orientation", jti="1"))
    assert tokens.check_invitation(tokens.sign("agent", "hem"), service=SERVICE) is None
    assert tokens.check_invitation(forge(jti="1"), service=SERVICE) is None
    claims = json.loads(base64.urlsafe_b64decode(invitation.split(".")[1] + "=="))
    assert claims["exp"] - claims["iat"] == 24 * 3600
    assert claims.keys() == {"iss", "aud", "iat", "exp", "jti", "role", "org"}


def test_an_invitation_is_signed(tokens: Tokens, forge: Forge, tmp_path: Path) -> None:
    """By our key: not by nobody, not by another's, not by what is public."""
    _, claims, signature = forge(aud="relais/invitation/orientation", jti="1").split(".")
    for alg in ("none", "HS256", "ES256"):
        assert tokens.check_invitation(f"{part({'alg': alg})}.{claims}.", service=SERVICE) is None
        assert tokens.check_invitation(f"{part({'alg': alg})}.{claims}.{signature}", service=SERVICE) is None
    other = Tokens(Settings(state=tmp_path / "other"))
    assert tokens.check_invitation(other.invite("agent", "hem", SERVICE), service=SERVICE) is None


def test_the_signing_key_is_made_once_for_its_owner_only(tokens: Tokens, tmp_path: Path) -> None:
    """A second process signs with the same key; nobody else may read it."""
    tokens.sign("site", "hem")
    assert tokens.check(Tokens(Settings(state=tmp_path)).sign("site", "roye")).org == "roye"
    assert (tmp_path / "signing-key.json").stat().st_mode & 0o777 == 0o600
