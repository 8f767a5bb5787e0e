"""Words that several tables of a network file share: places, needs and groups of needs, texts."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, StringConstraints, Tag

from services.contracts.codes import EMPLOYMENT_NEEDS, Need

EVERYWHERE: Literal["all"] = "all"

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Place = Annotated[str, StringConstraints(pattern=r"^(?:2[AB]|\d{2,3}|(?:2[AB]|\d{2})\d{3})$")]


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
