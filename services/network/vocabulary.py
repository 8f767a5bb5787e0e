"""Words that several tables of a network file share: places, needs and groups of needs, texts."""

from enum import StrEnum
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, StringConstraints, Tag, validate_email
from pydantic_core import PydanticCustomError

from services.contracts.codes import EMPLOYMENT_NEEDS, Need

EVERYWHERE: Literal["all"] = "all"

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Place = Annotated[str, StringConstraints(pattern=r"^(?:2[AB]|\d{2,3}|(?:2[AB]|\d{2})\d{3})$")]


_LOCAL_HOSTS = {"localhost", "127.0.0.1"}


def _receives(address: str) -> str:
    """Refuse what is no address to post to. A reason never quotes it: its path may be a secret."""
    try:
        parts = urlsplit(address)
        _ = parts.port  # raises where it is no number
    except ValueError:
        parts = urlsplit("")
    plain = address.isascii() and address.isprintable() and " " not in address
    for wrong, reason in (
        (not parts.hostname or not plain, "adresse illisible"),
        (
            parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOCAL_HOSTS),
            "une adresse https:// est attendue (http:// seulement vers localhost ou 127.0.0.1)",
        ),
        ("@" in parts.netloc, "ni nom ni mot de passe dans l’adresse : chaque envoi est signé"),
        ("#" in address, "pas de fragment (#) dans l’adresse"),
    ):
        if wrong:
            raise ValueError(reason)
    return address


WebhookAddress = Annotated[str, AfterValidator(_receives)]


def _mailbox(address: str) -> str:
    """Refuse what is no address of one mailbox: no name beside it, nothing that would be another line of a mail."""
    try:
        found = validate_email(address)[1]
    except PydanticCustomError:
        found = ""
    if not found or not found.isascii() or found.casefold() != address.casefold():
        reason = "une adresse électronique est attendue, sans nom ni accent, telle que accueil@exemple.fr"
        raise ValueError(reason)
    return found


EmailAddress = Annotated[str, AfterValidator(_mailbox)]


def shape(value: object) -> str:
    """Tell which branch of a "word or structure" union is meant, so that an error names that branch only."""
    return "word" if isinstance(value, str) else "structure"


Covers = Annotated[
    Annotated[Literal["all"], Tag("word")] | Annotated[frozenset[Place], Field(min_length=1), Tag("structure")],
    Discriminator(shape),
]


class NeedGroup(StrEnum):
    """A word that stands for several needs in a line."""

    EMPLOYMENT = "employment"


def _need_or_group(value: object) -> str:
    return "group" if value in list(NeedGroup) else "need"


NeedOrGroup = Annotated[
    Annotated[NeedGroup, Tag("group")] | Annotated[Need, Tag("need")], Discriminator(_need_or_group)
]


def spelt_out(needs: tuple[NeedOrGroup, ...]) -> frozenset[Need]:
    """Spell the groups out."""
    codes = {need for need in needs if isinstance(need, Need)}
    return frozenset(codes | EMPLOYMENT_NEEDS if NeedGroup.EMPLOYMENT in needs else codes)


class FileTable(BaseModel):
    """A table of the file: unknown keys are refused, because a misspelt condition would route people wrongly."""

    model_config = ConfigDict(frozen=True, extra="forbid")
