"""A need or a public, as Relais codes them, in the words of data·inclusion: `thematiques.toml`, beside this file."""

import tomllib
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from services.contracts.codes import Need, Public

FILE = Path(__file__).with_name("thematiques.toml")
# A service for anyone is for whoever asks.
EVERYBODY = "tous-publics"
BETWEEN = "--"  # a category and its thématique


class Words(BaseModel):
    """The file: a whole category has no `--` in its name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    needs: dict[Need, tuple[str, ...]]
    publics: dict[Public, tuple[str, ...]]


@cache
def words() -> Words:
    """The file as it is delivered."""
    return Words.model_validate(tomllib.loads(FILE.read_text(encoding="utf-8")))


def publics_of(public: Public) -> list[str]:
    """The publics of data·inclusion of which a service that suits this one has at least one."""
    return [*words().publics[public], EVERYBODY]
