"""Bearer tokens and invitations: JWTs signed with ES256, checked against a key set (file, URL, or our own key's)."""

import base64
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
from services.contracts.free_text import holds_nir
from services.contracts.topology import SERVICES

Role = Literal["site", "agent", "partner", "steering", "ops"]
ROLES: tuple[Role, ...] = ("site", "agent", "partner", "steering", "ops")
# Signatures only, of well-known strength; never "none", never a shared secret.
_ALGORITHMS = ["ES256", "ES384", "RS256", "PS256"]
_KEYS_SECONDS, _REREAD_SECONDS = 300, 10
_VERIFIED = 10_000
CLOCK_SKEW_SECONDS = 30
INVITATION_VALID = timedelta(hours=24)
# A page asks another service on its reader's behalf, at once.
_READER_VALID = timedelta(seconds=60)
# Where a key set has the keys that may sign readers' tokens and nothing else. RFC 7517 (5): who does not know a member
# of a set ignores it, so that no other reader of the set, an earlier release included, takes them for keys of tokens.
READERS = "readers"

log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is asking: a role, and the site, partner or charter it speaks for."""

    role: Role
    org: str
    sub: str


@dataclass(frozen=True, slots=True)
class Invitation:
    """Whom a login link lets in, and at which services, in their order; `jti` is its own: once at each."""

    role: Role
    org: str
    jti: str
    services: tuple[str, ...] = ()


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
        self._keys: _Keys | None = None
        self._read_at = 0.0
        self._verified: dict[bytes, dict[str, Any]] = {}
        self._readers = f"{settings.jwt_audience}/reader"

    def read_keys(self) -> None:
        """Read the keys now rather than at the first request. Raises TokenError."""
        self._key_set()

    def sign(self, role: Role, org: str, *, subject: str | None = None, valid: timedelta = timedelta(hours=12)) -> str:
        """A token for `org` in `role`. Raises TokenError."""
        claims = {"aud": self._settings.jwt_audience, "sub": subject or f"{role}:{org}", "role": role, "org": org}
        return self._sign(claims, valid)

    def invite(self, role: Role, org: str, *services: str, valid: timedelta = INVITATION_VALID) -> str:
        """An invitation to these services, one after the other, for somebody of `org` in `role`.

        By its audiences it is no bearer token, and no other service takes it. Raises TokenError.
        """
        claims = {"aud": list(map(self._invitations, services)), "jti": Ids().new_text(), "role": role, "org": org}
        return self._sign(claims, valid)

    def for_reader(self, caller: Caller) -> str:
        """A token by which a page asks another service as whoever is logged in there; valid for 60 s.

        By its audience and by its key it is taken only where an entrypoint says so. Raises TokenError.
        """
        claims = {"aud": self._readers, "sub": caller.sub, "role": caller.role, "org": caller.org}
        return self._sign(claims, _READER_VALID, self._reader_key())

    def _sign(self, claims: dict[str, Any], valid: timedelta, key: ECKey | None = None) -> str:
        now, key = int(time.time()), key or self._signing_key()
        common = {"iss": self._settings.jwt_issuer, "iat": now, "exp": now + int(valid.total_seconds())}
        return jwt.encode({"alg": "ES256", "kid": key.kid}, common | claims, key)

    def _invitations(self, service: str) -> str:
        return f"{self._settings.jwt_audience}/invitation/{service}"

    def check(self, token: str, *, reader: bool = False) -> Caller:
        """Who the bearer is; with `reader` one of `for_reader` will do, too. Raises Rejected with status 401."""
        audience = self._settings.jwt_audience
        if reader and _audience(token) == self._readers:
            audience = self._readers
        try:
            decoded = self._claims(token, audience, sub={"essential": True})
        except (JoseError, ValueError) as error:
            expired = type(error).__name__ == "ExpiredTokenError"
            raise _unauthorized("Le jeton a expiré." if expired else "Le jeton n’est pas valable.") from None
        role, org = decoded.get("role"), decoded.get("org")
        if role not in ROLES or not isinstance(org, str):
            raise _unauthorized("Le jeton ne dit pas pour qui il parle (role, org).")
        if holds_nir(str(decoded["sub"])):
            raise _unauthorized("Le jeton nomme son porteur par ce qui ressemble à un numéro de sécurité sociale.")
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
        audiences = decoded["aud"] if isinstance(decoded["aud"], list) else [decoded["aud"]]
        named = {self._invitations(each): each for each in SERVICES}
        return Invitation(cast("Role", role), org, jti, tuple(named[each] for each in audiences if each in named))

    def _claims(self, token: str, audience: str, **needed: Any) -> dict[str, Any]:  # noqa: ANN401 - joserfc's options
        """What a token for `audience` claims. Raises JoseError, ValueError."""
        decoded = self._decode(token, reader=audience == self._readers)
        jwt.JWTClaimsRegistry(
            leeway=CLOCK_SKEW_SECONDS,
            iss={"essential": True, "value": self._settings.jwt_issuer},
            aud={"essential": True, "value": audience},
            exp={"essential": True},
            **needed,
        ).validate(decoded)
        return decoded

    def _decode(self, token: str, *, reader: bool) -> dict[str, Any]:
        """What a token claims; its signature is verified once for each reading of the keys.

        A site sends the same token with each visit, and verifying takes a sixteenth of a visit's time.
        """
        keys, digest = self._key_set(), hashlib.sha256(f"{reader} {token}".encode(errors="replace")).digest()
        if digest not in self._verified:
            if len(self._verified) >= _VERIFIED:
                self._verified.clear()
            self._verified[digest] = self._verify(token, keys, reader=reader)
        return self._verified[digest]

    def _verify(self, token: str, keys: "_Keys", *, reader: bool) -> dict[str, Any]:
        try:
            return decoded(token, keys.of(reader=reader))
        except (JoseError, ValueError):
            # The signer may have rotated its keys since we read them.
            if time.monotonic() - self._read_at < _REREAD_SECONDS:
                raise
            self._read_at = -_KEYS_SECONDS
            return decoded(token, self._key_set().of(reader=reader))

    def _key_set(self) -> "_Keys":
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

    def _import(self, document: Any) -> "_Keys":  # noqa: ANN401 - JSON
        try:
            readers = document.get(READERS, [])
            return _Keys(
                KeySet.import_key_set({"keys": document["keys"]}),
                KeySet.import_key_set({"keys": readers}) if readers else None,
            )
        except (JoseError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise TokenError(f"RELAIS_JWKS: not a set of public keys: {type(error).__name__}") from None

    def _read_keys(self) -> Any:  # noqa: ANN401 - JSON
        source = self._settings.jwks
        if source is None:
            return {"keys": [self._signing_key().as_dict(private=False)], READERS: self._own_readers()}
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
        return _private_key(path, "RELAIS_SIGNING_KEY_FILE")

    def _own_readers(self) -> list[Any]:
        try:
            return [self._reader_key().as_dict(private=False)]
        except TokenError as error:
            log.warning("no key for readers", reason=str(error))
            return []

    def _reader_key(self) -> ECKey:
        """Who checks by a key set that others made cannot be made to trust a key of our own."""
        path = self._settings.reader_key_file
        if path is None and self._settings.jwks is not None:
            raise TokenError("RELAIS_READER_KEY_FILE: needed where RELAIS_JWKS is set")
        return _private_key(path, "RELAIS_READER_KEY_FILE") if path else self._signing_key()


@dataclass(frozen=True, slots=True)
class _Keys:
    """Those of ordinary tokens and of invitations, and those of readers' tokens; None where nobody may sign such."""

    ordinary: KeySet
    readers: KeySet | None

    def of(self, *, reader: bool) -> KeySet:
        """Raises ValueError."""
        found = self.readers if reader else self.ordinary
        if found is None:
            raise ValueError(READERS)
        return found


def _private_key(path: Path, setting: str) -> ECKey:
    try:
        return ECKey.import_key(json.loads(path.read_text()))
    except (OSError, ValueError, JoseError) as error:
        raise TokenError(f"{setting}: {path}: {type(error).__name__}, expected a private JWK") from None


def _audience(token: str) -> str | None:
    """What a token says it is for, its signature not yet looked at: which keys may have signed it."""
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (IndexError, ValueError, RecursionError):
        return None
    found = claims.get("aud") if isinstance(claims, dict) else None
    return found if isinstance(found, str) else None


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
