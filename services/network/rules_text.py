"""The rules of a network as one text: kept by who applies them, so that a visit can be explained by those of its day.

Contact sheets and information are no part of it: no proposal is made of them, and a sheet names a person.
"""

import hashlib
import json
from collections.abc import Set as AbstractSet
from datetime import date
from typing import Any

from pydantic import BaseModel, ConfigDict

from services.network.advice import Journey
from services.network.schema import Charter, Line, Network, Partner, Site

_DIGEST_LENGTH = 8
# How a partner is told, and when and by whom it is reminded, decides no proposal; an address may be a secret.
_NO_RULES = {"partners": {"__all__": {"subscription", "webhook", "clocks", "contact", "notify"}}}


class _Rules(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    rules_version: str | None = None
    charters: tuple[Charter, ...] = ()
    sites: tuple[Site, ...] = ()
    partners: tuple[Partner, ...] = ()
    lines: tuple[Line, ...] = ()
    journeys: tuple[Journey, ...] = ()


def rules_text(network: Network) -> str:
    """What decides whom to meet, as JSON: the same text from the same rules, in whatever order sets iterate."""
    rules = _Rules.model_validate(network)
    return json.dumps(
        rules.model_dump(exclude_defaults=True, exclude=_NO_RULES),
        default=_plain,
        ensure_ascii=False,
        sort_keys=True,
        separators=(",", ":"),
    )


def read_rules(text: str) -> Network:
    """The network of such a text, without contact sheets. Raises pydantic's ValidationError where it is none."""
    rules = _Rules.model_validate_json(text)
    return Network(**{name: getattr(rules, name) for name in _Rules.model_fields}, contact_sheets=())


def version_of(network: Network) -> str:
    """`2026-11+1f3a09bc`: what the file calls its version, and a digest: a partner may change without a new name."""
    digest = hashlib.sha256(rules_text(network).encode()).hexdigest()
    return f"{network.rules_version or 'none'}+{digest[:_DIGEST_LENGTH]}"


def _plain(value: object) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, AbstractSet):
        return sorted(value)
    assert isinstance(value, date), type(value)
    return value.isoformat()
