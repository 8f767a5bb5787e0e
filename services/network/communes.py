"""Communes as INSEE's official geographic code (code officiel géographique, COG) knows them.

`communes.csv`, beside this file, is made by `services.network.cog` from the npm package
`@etalab/decoupage-administratif` 6.0.0 (April 2026; the COG of 2026, INSEE; Licence Ouverte): a line
`code,name,today` for each code, in the order of the codes. `today` is the code of the commune that a delegated or
associated commune, a municipal arrondissement or a merged commune is part of, and empty for a commune of today; a
merged commune has no name. See docs/decisions/19-communes.md for what is left out, and why.
"""

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

from services.contracts.codes import department_of

FILE = Path(__file__).with_name("communes.csv")
_UNKNOWN = "Aucune commune n’a ce code INSEE."
_POSTCODE = (
    " Si c’est un code postal, envoyez le code INSEE de la commune : pour Moreuil, 80570 et non 80110. Pour une"
    " personne qui habite à l’étranger, n’envoyez pas de commune."
)


@dataclass(frozen=True, slots=True)
class Commune:
    """A code of the COG. `current` is the INSEE code of the commune of today, and `department` that commune's.

    `name` is the code's own, in French as INSEE writes it; of a merged commune it is the name of the commune of today.
    """

    code: str
    name: str
    department: str
    current: str


@lru_cache(maxsize=4096)
def commune(code: str) -> Commune | None:
    """Look an INSEE code up: a commune, a part of one, or one that was merged; None if there is no such code."""
    line = _line(code)
    if line is None:
        return None
    _, name, today_ = line.split(",")
    whole = commune(today_) if today_ else None
    if whole is None:
        return Commune(code, name, department_of(code), code)
    return Commune(code, name or whole.name, whole.department, whole.code)


def named(text: str) -> list[Commune]:
    """The communes that a person may mean by a code or a name, in the order of the codes; a name is never guessed at.

    A code may stand before its name, as in `80570 Moreuil`. Of a name it is every commune, present or former, called
    exactly so, whatever the case, accents and hyphens: all that are parts of one commune of today count as that one.
    """
    if found := commune(text.strip().upper()):
        return [found]
    code, _, name = text.strip().partition(" ")
    if name and (found := commune(code.upper())):
        return [found] if _letters(found.name) == _letters(name) else []
    wanted = _letters(text)
    found_ = (commune(line.partition(",")[0]) for line in _lines() if _letters(line.split(",")[1]) == wanted)
    today_ = {each.current: commune(each.current) for each in found_ if each and wanted}
    return [each for _, each in sorted(today_.items()) if each]


def today(code: str) -> str:
    """The INSEE code of the commune of today; the code itself if it is unknown, as it may be in what is stored."""
    found = commune(code)
    return found.current if found else code


def problem(code: str) -> str | None:
    """Why a code cannot be taken, in French and without quoting it; None for one that `commune` knows."""
    if commune(code):
        return None
    return _UNKNOWN + _POSTCODE if code.isdigit() else _UNKNOWN


@lru_cache(maxsize=65536)
def _letters(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name).casefold().replace("œ", "oe").replace("æ", "ae")
    plain = re.sub(r"\bst(e?)\b", r"saint\1", plain)
    return "".join(character for character in plain if character.isalnum())


def _line(code: str) -> str | None:
    lines = _lines()
    place = bisect_left(lines, code)
    return lines[place] if place < len(lines) and lines[place].startswith(f"{code},") else None


@cache
def _lines() -> Sequence[str]:
    """The file's lines, which stay text: 37,000 objects would take longer to make, and several times the room."""
    return FILE.read_text(encoding="utf-8").splitlines()
