"""OpenID Connect: who somebody is by the word of the provider that the settings name.

The authorization code flow with PKCE. Nothing of a login under way is kept here: the browser holds one random secret,
and state, nonce and verifier are made of it, so that any replica can go on. The provider's own documents are
kept for some minutes, and its keys read anew when a token does not fit them.
"""

import base64
import hmac
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import Annotated, Any, cast
from urllib.parse import quote_plus, urlencode

import httpx
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from pydantic import AfterValidator, BaseModel, ValidationError

from services.chassis import addresses, logs
from services.chassis.errors import Rejected
from services.chassis.oidc_memory import Busy, Memory
from services.chassis.settings import Settings
from services.chassis.tokens import CLOCK_SKEW_SECONDS, ROLES, Caller, Role, decoded
from services.contracts.free_text import holds_nir

ATTEMPT_VALID = timedelta(minutes=10)
CALLBACK = "/oidc/callback"
_SUBJECT = "oidc:"
_SECONDS = 5
# As the issuer itself: encrypted, or on this very machine.
_Endpoint = Annotated[str, AfterValidator(addresses.issuer)]
_KINDS = {"RSA", "EC"}

log = logs.get(__name__)


class Returned(BaseModel):
    """What the provider has the browser bring back."""

    code: str = ""
    state: str = ""
    iss: str = ""
    error: str = ""


class _Provider(BaseModel):
    """What we read of the discovery document, with the specification's defaults."""

    issuer: str
    authorization_endpoint: _Endpoint
    token_endpoint: _Endpoint
    jwks_uri: _Endpoint
    userinfo_endpoint: _Endpoint | None = None
    end_session_endpoint: _Endpoint | None = None
    token_endpoint_auth_methods_supported: list[str] = ["client_secret_basic"]
    authorization_response_iss_parameter_supported: bool = False


class _Tokens(BaseModel):
    id_token: str
    access_token: str


@dataclass(frozen=True)
class Attempt:
    """A login under way, of the one browser that holds `secret` in a cookie."""

    secret: str

    @classmethod
    def begin(cls) -> "Attempt":
        """A new one: 256 random bits."""
        return cls(secrets.token_urlsafe(32))

    def derive(self, purpose: str) -> str:
        """256 bits that tell nothing of the secret: the `state`, the `nonce` and the `verifier` of PKCE."""
        return _base64(hmac.digest(self.secret.encode(), purpose.encode(), "sha256"))

    @property
    def challenge(self) -> str:
        """The verifier's S256."""
        return _base64(sha256(self.derive("verifier").encode()).digest())


def _base64(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode().rstrip("=")


def read_secret(settings: Settings) -> str:
    """What the provider gave us to show that we are its client. Raises OSError."""
    assert settings.oidc_client_secret_file is not None
    return settings.oidc_client_secret_file.read_text(encoding="utf-8").strip()


def is_by_provider(caller: Caller) -> bool:
    """Whether a session was opened by the provider's word."""
    return caller.sub.startswith(_SUBJECT)


class OpenId:
    """The provider, as one service of ours speaks with it; `configured` is false where there is none."""

    def __init__(self, settings: Settings, service: str, memory: Memory) -> None:
        self._settings = settings
        self._memory = memory
        self._home = settings.url(service)
        self._service = service

    @property
    def configured(self) -> bool:
        """Whether the settings name a provider."""
        return self._settings.oidc_issuer is not None

    def where_to_log_in(self, attempt: Attempt) -> str:
        """Where the browser goes. Raises Rejected (503)."""
        provider = self._provider()
        asked = {
            "client_id": self._client_id,
            "response_type": "code",
            "redirect_uri": self._home + CALLBACK,
            "scope": self._settings.oidc_scope,
            "state": attempt.derive("state"),
            "nonce": attempt.derive("nonce"),
            "code_challenge": attempt.challenge,
            "code_challenge_method": "S256",
        }
        return _with_query(provider.authorization_endpoint, asked)

    def where_to_log_out(self) -> str | None:
        """Where the provider ends its own session, and sends the browser back to our login; None where it does not."""
        try:
            end = self._provider().end_session_endpoint
        except Rejected:
            return None
        asked = {"client_id": self._client_id, "post_logout_redirect_uri": f"{self._home}/login"}
        return _with_query(end, asked) if end else None

    def caller(self, returned: Returned, attempt: Attempt | None) -> Caller:
        """Who logged in, of a role there is. Raises Rejected: 403, 503 while the provider is away."""
        if attempt is None or not hmac.compare_digest(returned.state.encode(), attempt.derive("state").encode()):
            raise self._refused("state")
        if returned.error or not returned.code:
            raise self._refused("provider")
        provider = self._provider()
        if returned.iss != provider.issuer and (
            returned.iss or provider.authorization_response_iss_parameter_supported
        ):
            raise self._refused("iss")
        with self._client() as client:
            claims = self._claims(client, provider, returned.code, attempt)
        role, org = claims.get(self._settings.oidc_role_claim), claims.get(self._settings.oidc_org_claim)
        if role not in ROLES or not isinstance(org, str):
            raise unknown_here()
        if holds_nir(str(claims["sub"])):
            raise self._refused("sub")
        return Caller(cast("Role", role), org, f"{_SUBJECT}{claims['sub']}")

    def _claims(self, client: httpx.Client, provider: _Provider, code: str, attempt: Attempt) -> dict[str, Any]:
        """What the provider says of whom it gave `code` for: by its ID token and, for what is not there, userinfo."""
        tokens = self._redeem(client, provider, code, attempt)
        try:
            claims = self._checked(client, provider, tokens.id_token, attempt)
        except (JoseError, ValueError) as error:
            raise self._refused(type(error).__name__) from None
        wanted = {self._settings.oidc_role_claim, self._settings.oidc_org_claim}
        if wanted <= claims.keys() or provider.userinfo_endpoint is None:
            return claims
        bearer = {"Authorization": f"Bearer {tokens.access_token}"}
        told = self._ask(client, "GET", provider.userinfo_endpoint, headers=bearer)
        if told.get("sub") != claims["sub"]:
            raise self._refused("userinfo")
        return claims | {name: told[name] for name in wanted & told.keys()}

    def _checked(self, client: httpx.Client, provider: _Provider, id_token: str, attempt: Attempt) -> dict[str, Any]:
        """What an ID token claims, by keys that were kept or else by those of now. Raises JoseError, ValueError."""
        kept = self._memory.find("keys")
        if kept:
            with suppress(JoseError, ValueError):
                return check(id_token, kept, self._settings, attempt)
        keys = self._ask(client, "GET", provider.jwks_uri)
        claims = check(id_token, keys, self._settings, attempt)
        self._memory.keep("keys", keys)
        return claims

    def _redeem(self, client: httpx.Client, provider: _Provider, code: str, attempt: Attempt) -> _Tokens:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._home + CALLBACK,
            "code_verifier": attempt.derive("verifier"),
        }
        headers, secret = {}, read_secret(self._settings)
        if "client_secret_basic" in provider.token_endpoint_auth_methods_supported:
            pair = f"{quote_plus(self._client_id)}:{quote_plus(secret)}"
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        else:
            form |= {"client_id": self._client_id, "client_secret": secret}
        answer = self._ask(client, "POST", provider.token_endpoint, data=form, headers=headers)
        try:
            return _Tokens.model_validate(answer)
        except ValidationError:
            raise self._refused("token") from None

    def _provider(self) -> _Provider:
        """What the provider says of itself, or said some minutes ago. Raises Rejected (503)."""
        kept: _Provider | None = self._memory.find("provider")
        if kept is None:
            with self._client() as client:
                kept = self._discover(client)
            self._memory.keep("provider", kept)
        return kept

    def _discover(self, client: httpx.Client) -> _Provider:
        issuer = cast("str", self._settings.oidc_issuer)
        answer = self._ask(client, "GET", f"{issuer.rstrip('/')}/.well-known/openid-configuration")
        try:
            found = _Provider.model_validate(answer)
        except ValidationError:
            raise self._away("discovery") from None
        if found.issuer != issuer:
            raise self._away("issuer")
        return found

    def _ask(self, client: httpx.Client, method: str, url: str, **given: Any) -> dict[str, Any]:  # noqa: ANN401 - httpx's
        """The JSON object that the provider answers. Raises Rejected."""
        try:
            answer = client.request(method, url, **given)
            told = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise self._away(type(error).__name__) from None
        if method == "POST" and answer.is_client_error:
            raise self._refused(f"token {answer.status_code}")
        if not answer.is_success or not isinstance(told, dict):
            raise self._away(str(answer.status_code))
        return told

    @contextmanager
    def _client(self) -> Iterator[httpx.Client]:
        """A client for one conversation with the provider. Raises Rejected (503) at once while too many are held."""
        try:
            with self._memory.turn(), httpx.Client(timeout=_SECONDS, headers={"Accept": "application/json"}) as client:
                yield client
        except Busy:
            raise self._away("too many at once") from None

    @property
    def _client_id(self) -> str:
        return cast("str", self._settings.oidc_client_id)

    def _away(self, reason: str) -> Rejected:
        log.warning("openid provider away", service=self._service, reason=reason)
        detail = (
            "Le service par lequel vous vous connectez ne répond pas. Réessayez dans quelques minutes, ou demandez un"
            " lien de connexion à la personne qui administre Relais."
        )
        return Rejected("provider-away", detail, status=503, headers={"Retry-After": "60"})

    def _refused(self, reason: str) -> Rejected:
        log.warning("openid login refused", service=self._service, reason=reason)
        detail = "La connexion n’a pas abouti\u00a0: elle a été interrompue, ou elle a trop duré. Recommencez-la."
        return Rejected("login-failed", detail, status=403)


def unknown_here() -> Rejected:
    """Somebody whom the provider knows and we do not: 403."""
    detail = (
        "Votre identité est vérifiée, mais votre compte n’est rattaché à aucun site ni partenaire qui ait des pages"
        " ici. Demandez à la personne qui administre Relais de le rattacher."
    )
    return Rejected("unknown-here", detail, status=403)


def check(id_token: str, keys: dict[str, Any], settings: Settings, attempt: Attempt) -> dict[str, Any]:
    """What an ID token claims, if the issuer of the settings signed it for us and for this very login.

    `keys` is the provider's key set. Raises JoseError, ValueError.
    """
    issuer, client = cast("str", settings.oidc_issuer), cast("str", settings.oidc_client_id)
    claims = decoded(id_token, _signing(keys))
    jwt.JWTClaimsRegistry(
        leeway=CLOCK_SKEW_SECONDS,
        iss={"essential": True, "value": issuer},
        aud={"essential": True, "value": client},
        exp={"essential": True},
        sub={"essential": True},
        nonce={"essential": True, "value": attempt.derive("nonce")},
    ).validate(claims)
    several = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
    if claims.get("azp", None if several else client) != client:
        reason = "for another client"
        raise ValueError(reason)
    return claims


def _signing(keys: dict[str, Any]) -> KeySet:
    """The keys of a set that may have signed an ID token. Raises ValueError."""
    try:
        kept = [key for key in keys["keys"] if key.get("kty") in _KINDS and key.get("use", "sig") == "sig"]
        return KeySet.import_key_set({"keys": kept})
    except (JoseError, TypeError, KeyError, AttributeError):
        reason = "not a set of public keys"
        raise ValueError(reason) from None


def _with_query(address: str, asked: Mapping[str, str]) -> str:
    return f"{address}{'&' if '?' in address else '?'}{urlencode(asked)}"
