"""Bearer tokens and invitations: JWTs signed with ES256, checked against a key set (file, URL, or our own key's)."""

import hashlib
import json
import time
import urllib.request
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, cast

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet

from services.chassis import logs
from services.chassis.clock import Ids
from services.chassis.errors import Rejected
from services.chassis.settings import Settings
from services.chassis.vault import write_private

Role = Literal["site", "agent", "partner", "steering", "ops"]
ROLES: tuple[Role, ...] = ("site", "agent", "partner", "steering", "ops")
# Signatures only, of well-known strength; never "none", never a shared secret.
_ALGORITHMS = ["ES256", "ES384", "RS256", "PS256"]
_KEYS_SECONDS, _REREAD_SECONDS = 300, 10
_VERIFIED = 10_000
CLOCK_SKEW_SECONDS = 30
INVITATION_VALID = timedelta(hours=24)

log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is asking: a role, and the site, partner or charter it speaks for."""

    role: Role
    org: str
    sub: str


@dataclass(frozen=True, slots=True)
class Invitation:
    """Whom a login link lets in; `jti` is its own, so that it does so once."""

    role: Role
    org: str
    jti: str


class TokenError(Exception):
    """The keys that sign or check tokens cannot be used."""


def _unauthorized(detail: str) -> Rejected:
    return Rejected(
        "unauthorized", detail, status=401, headers={"WWW-Authenticate": 'Bearer realm="relais", error="invalid_token"'}
    )


class Tokens:
    """Signs and checks tokens by the settings' issuer, audience and keys."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._keys: KeySet | None = None
        self._read_at = 0.0
        self._verified: dict[bytes, dict[str, Any]] = {}

    def read_keys(self) -> None:
        """Read the keys now rather than at the first request. Raises TokenError."""
        self._key_set()

    def sign(self, role: Role, org: str, *, subject: str | None = None, valid: timedelta = timedelta(hours=12)) -> str:
        """A token for `org` in `role`. Raises TokenError."""
        claims = {"aud": self._settings.jwt_audience, "sub": subject or f"{role}:{org}", "role": role, "org": org}
        return self._sign(claims, valid)

    def invite(self, role: Role, org: str, *, service: str, valid: timedelta = INVITATION_VALID) -> str:
        """An invitation to `service` for somebody of `org` in `role`.

        By its audience it is no bearer token, and no other service takes it. Raises TokenError.
        """
        claims = {"aud": self._invitations(service), "jti": Ids().new_text(), "role": role, "org": org}
        return self._sign(claims, valid)

    def _sign(self, claims: dict[str, Any], valid: timedelta) -> str:
        now, key = int(time.time()), self._signing_key()
        common = {"iss": self._settings.jwt_issuer, "iat": now, "exp": now + int(valid.total_seconds())}
        return jwt.encode({"alg": "ES256", "kid": key.kid}, common | claims, key)

    def _invitations(self, service: str) -> str:
        return f"{self._settings.jwt_audience}/invitation/{service}"

    def check(self, token: str) -> Caller:
        """Who the bearer is. Raises Rejected with status 401."""
        try:
            decoded = self._claims(token, self._settings.jwt_audience, sub={"essential": True})
        except (JoseError, ValueError) as error:
            expired = type(error).__name__ == "ExpiredTokenError"
            raise _unauthorized("Le jeton a expiré." if expired else "Le jeton n’est pas valable.") from None
        role, org = decoded.get("role"), decoded.get("org")
        if role not in ROLES or not isinstance(org, str):
            raise _unauthorized("Le jeton ne dit pas pour qui il parle (role, org).")
        return Caller(cast("Role", role), org, str(decoded["sub"]))

    def check_invitation(self, token: str, *, service: str) -> Invitation | None:
        """Whom it invites to `service`; None when it is no such invitation of ours, or has expired.

        Whether it was used is not seen.
        """
        try:
            decoded = self._claims(token, self._invitations(service), jti={"essential": True})
        except (JoseError, ValueError):
            return None
        role, org, jti = decoded.get("role"), decoded.get("org"), decoded.get("jti")
        if role not in ROLES or not isinstance(org, str) or not isinstance(jti, str):
            return None
        return Invitation(cast("Role", role), org, jti)

    def _claims(self, token: str, audience: str, **needed: Any) -> dict[str, Any]:  # noqa: ANN401 - joserfc's options
        """What a token for `audience` claims. Raises JoseError, ValueError."""
        decoded = self._decode(token)
        jwt.JWTClaimsRegistry(
            leeway=CLOCK_SKEW_SECONDS,
            iss={"essential": True, "value": self._settings.jwt_issuer},
            aud={"essential": True, "value": audience},
            exp={"essential": True},
            **needed,
        ).validate(decoded)
        return decoded

    def _decode(self, token: str) -> dict[str, Any]:
        """What a token claims; its signature is verified once for each reading of the keys.

        A site sends the same token with each visit, and verifying takes a sixteenth of a visit's time.
        """
        keys, digest = self._key_set(), hashlib.sha256(token.encode(errors="replace")).digest()
        if digest not in self._verified:
            if len(self._verified) >= _VERIFIED:
                self._verified.clear()
            self._verified[digest] = self._verify(token, keys)
        return self._verified[digest]

    def _verify(self, token: str, keys: KeySet) -> dict[str, Any]:
        try:
            return decoded(token, keys)
        except (JoseError, ValueError):
            # The signer may have rotated its keys since we read them.
            if time.monotonic() - self._read_at < _REREAD_SECONDS:
                raise
            self._read_at = -_KEYS_SECONDS
            return decoded(token, self._key_set())

    def _key_set(self) -> KeySet:
        """The keys, read again from time to time; while that fails, those we have go on serving."""
        if self._keys is not None and time.monotonic() - self._read_at < _KEYS_SECONDS:
            return self._keys
        self._read_at = time.monotonic()
        self._verified.clear()
        try:
            self._keys = self._import(self._read_keys())
        except TokenError as error:
            if self._keys is None:
                raise
            log.warning("keys not read again", reason=str(error))
        return self._keys

    def _import(self, document: Any) -> KeySet:  # noqa: ANN401 - JSON
        try:
            return KeySet.import_key_set(document)
        except (JoseError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise TokenError(f"RELAIS_JWKS: not a set of public keys: {type(error).__name__}") from None

    def _read_keys(self) -> Any:  # noqa: ANN401 - JSON
        source = self._settings.jwks
        if source is None:
            return {"keys": [self._signing_key().as_dict(private=False)]}
        try:
            if source.startswith(("https://", "http://")):
                with urllib.request.urlopen(source, timeout=5) as answer:  # noqa: S310 - http(s) only, from settings
                    return json.load(answer)
            return json.loads(Path(source).read_text())
        except (OSError, ValueError) as error:
            raise TokenError(f"RELAIS_JWKS: cannot read {source}: {type(error).__name__}") from None

    def _signing_key(self) -> ECKey:
        path = self._settings.signing_key_file or self._settings.state / "signing-key.json"
        if self._settings.signing_key_file is None and not path.exists():
            write_private(path, new_signing_key())
        try:
            return ECKey.import_key(json.loads(path.read_text()))
        except (OSError, ValueError, JoseError) as error:
            kind = type(error).__name__
            raise TokenError(f"RELAIS_SIGNING_KEY_FILE: {path}: {kind}, expected a private JWK") from None


def decoded(token: str, keys: KeySet) -> dict[str, Any]:
    """Its claims, if one of these keys signed it. Raises JoseError, ValueError."""
    try:
        return dict(jwt.decode(token, keys, algorithms=_ALGORITHMS).claims)
    except TypeError:  # joserfc's own, for a header such as {"crit": 5}
        raise ValueError("not a token") from None


def new_signing_key() -> str:
    """A private P-256 JWK, as JSON."""
    key = ECKey.generate_key("P-256", auto_kid=True, private=True)
    return json.dumps(key.as_dict(private=True))
