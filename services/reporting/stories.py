"""A case's story, which intake keeps: asked for on the reader's own token, since intake decides at that very read."""

from typing import Any, NamedTuple
from uuid import UUID

from services.chassis import fetching
from services.chassis.errors import Rejected, not_found
from services.chassis.settings import Settings
from services.chassis.tokens import Caller, TokenError, Tokens

_OK, _UNKNOWN, _TOO_MANY = 200, 404, 429
_UNAUTHORIZED = frozenset({401, 403})
_LATER = "Réessayez dans quelques minutes\u00a0; le reste est à jour."
_SOON = "60"

AWAY = f"L’histoire de la personne manque\u00a0: le service qui la garde ne répond pas. {_LATER}"
SLOW = f"L’histoire de la personne manque\u00a0: le service qui la garde tarde trop à répondre. {_LATER}"
BROKEN = f"L’histoire de la personne manque\u00a0: le service qui la garde a rencontré un incident. {_LATER}"
NOT_ENTITLED = "L’histoire de la personne manque\u00a0: elle n’est pas ouverte à votre site en ce moment."
NOT_TRUSTED = (
    "L’histoire de la personne manque\u00a0: le service qui la garde n’a pas reconnu cette demande."
    " Prévenez la personne qui exploite Relais."
)
NO_KEY = (
    "L’histoire de la personne manque\u00a0: cette page n’a pas encore la clé qui permet de la demander."
    " Prévenez la personne qui exploite Relais."
)


class Reader(NamedTuple):
    """Who reads, in which trace; `token` is its own, or None where this page cannot have one."""

    caller: Caller
    token: str | None
    traceparent: str


class Story(NamedTuple):
    """What intake gives, as it gives it; or what is `missing`, in French."""

    told: dict[str, Any] | None = None
    missing: str | None = None


def unknown_referral() -> Rejected:
    """The one refusal for every reason: no such referral, another's, no longer open, no agreement (404)."""
    return not_found("Aucune orientation ouverte de ce numéro ne vous est adressée.")


def reader_on_page(caller: Caller, traceparent: str, tokens: Tokens) -> Reader:
    """Somebody who has a session here and no token at hand."""
    try:
        return Reader(caller, tokens.for_reader(caller), traceparent)
    except TokenError:
        return Reader(caller, None, traceparent)


def of_case(case: UUID, reader: Reader, settings: Settings) -> Story:
    """For an agent; what is missing is said."""
    found = _ask(f"/v1/cases/{case}/story", reader, settings)
    if isinstance(found, Story):
        return found
    return Story(missing=NOT_ENTITLED if found.status == _UNKNOWN else _missing(found))


def of_referral(referral_id: UUID, reader: Reader, settings: Settings) -> Story:
    """For the addressed partner. Raises Rejected: 404 where intake refuses, 429 where it does so too often."""
    found = _ask(f"/v1/referrals/{referral_id}/story", reader, settings)
    if isinstance(found, Story):
        return found
    if found.status == _UNKNOWN:
        raise unknown_referral()
    if found.status == _TOO_MANY:
        detail = "Trop de demandes refusées\u00a0: attendez avant la suivante."
        headers = {"Retry-After": found.retry_after or _SOON}
        raise Rejected("too-many-requests", detail, status=_TOO_MANY, headers=headers)
    return Story(missing=_missing(found))


def _ask(path: str, reader: Reader, settings: Settings) -> Story | fetching.Fetched:
    """The story, or why there is none; or an answer that is a refusal."""
    if reader.token is None:
        return Story(missing=NO_KEY)
    try:
        found = fetching.fetch(settings, "intake", path, reader.token, reader.traceparent)
    except fetching.TooSlow:
        return Story(missing=SLOW)
    except fetching.Away:
        return Story(missing=AWAY)
    if found.status == _OK and found.document is not None:
        return Story(told=found.document)
    return found


def _missing(found: fetching.Fetched) -> str:
    return NOT_TRUSTED if found.status in _UNAUTHORIZED else BROKEN
