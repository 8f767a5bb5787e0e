"""Makes `communes.csv` anew, once a year when INSEE's geographic code (COG) changes.

    npm pack @etalab/decoupage-administratif && tar xzf etalab-decoupage-administratif-*.tgz
    python -m services.network.cog package/data/communes.json

The package carries the COG, INSEE's list of movements since 1943 and La Poste's postcodes as JSON, all of them under
the Licence Ouverte. Say its version in `communes.py` and in docs/decisions/19-communes.md; then run the tests.
"""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from services.contracts.codes import department_of
from services.network.communes import FILE

CURRENT = "commune-actuelle"
# Part of Guadeloupe until organic law no. 2007-223 of 21 February 2007; the package does not know their codes of then.
_LEFT_GUADELOUPE = {"97123": "97701", "97127": "97801"}


def lines_of(communes: Iterable[Mapping[str, Any]]) -> list[str]:
    """The lines of `communes.csv`, without their ends. Raises ValueError where the source contradicts itself or us.

    `communes` are the entries of the package's `communes.json`. A code has one line: as a commune of today where it is
    one, else as a part of one, else as one that was merged.
    """
    entries = list(communes)
    current = {entry["code"]: entry for entry in entries if entry["type"] == CURRENT}
    parts = {entry["code"]: (entry["nom"], _whole(entry)) for entry in entries if entry["type"] != CURRENT}
    merged = {code: ("", today) for code, today in _merged(entries)}
    table = merged | parts | {code: (entry["nom"], "") for code, entry in current.items()}
    for code, (name, today) in table.items():
        if today and today not in current:
            raise ValueError(f"{code} is part of {today}, which is no commune of today")
        if "," in name:
            raise ValueError(f"{code} has a comma in its name")
    for code, entry in current.items():
        if department_of(code) != entry["departement"]:
            raise ValueError(f"{code} is not in département {department_of(code)}")
    return [",".join((code, *table[code])) for code in sorted(table)]


def _whole(entry: Mapping[str, Any]) -> str:
    """The commune of today: of an arrondissement `commune`, of a delegated or associated commune `chefLieu`."""
    return str(entry.get("commune") or entry["chefLieu"])


def _merged(entries: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """Codes of before, each with its commune of today; none that is a postcode, since whoever sends it means that.

    All of Corsica's were 20xxx until 1976, as its postcodes still are, those of big recipients (CEDEX) included, which
    the package does not list.
    """
    yield from _LEFT_GUADELOUPE.items()
    postcodes = {postcode for entry in entries for postcode in entry.get("codesPostaux", ())}
    for entry in entries:
        for code in entry.get("anciensCodes", ()):
            if code not in postcodes and not code.startswith("20"):
                yield code, entry["code"]


def write(source: Path, target: Path = FILE) -> None:
    """Write `target` anew from the package's `communes.json`. Raises ValueError as `lines_of` does."""
    lines = lines_of(json.loads(source.read_text(encoding="utf-8")))
    target.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
