"""Where communes lie, and what covers them."""

import struct
from itertools import pairwise

import pytest

from services.network import communes
from services.orientation.directory import gazetteer, places
from services.orientation.directory.places import codes_around, point_of


def test_a_commune_has_its_own_place() -> None:
    """The two Royes are 300 km from each other; a merged commune and an arrondissement are where today's commune is."""
    somme, haute_saone = point_of("80685"), point_of("70455")
    assert somme == pytest.approx((49.69, 2.79), abs=0.02)
    assert haute_saone == pytest.approx((47.67, 6.54), abs=0.02)
    assert point_of("75101") == point_of("75056") == pytest.approx((48.86, 2.34), abs=0.02)
    assert point_of("80999") is None


def test_what_covers_a_commune() -> None:
    """Itself, its EPCI (Avre Luce Noye for Moreuil), its département and the country, by code; none for Île-de-Sein."""
    assert codes_around("80570") == ["80570", "200070969", "80", "france", "99100"]
    assert codes_around("29083") == ["29083", "29", "france", "99100"]
    assert codes_around("2A004")[2] == "2A"
    assert codes_around("97411")[2] == "974"


def test_the_file_knows_nearly_every_commune_of_today() -> None:
    """Each line is one, in the order of the codes; but for those of the Pacific and a few others, each has a place."""
    lines = [line.split(",") for line in places.FILE.read_text(encoding="utf-8").splitlines()]
    codes = [line[0] for line in lines]
    assert all(before < after for before, after in pairwise(codes))
    today = {code for code in codes if communes.today(code) == code and communes.commune(code)}
    assert len(codes) - len(today) < 20
    assert len(codes) > 34_800
    assert sum(not line[1] for line in lines) < 20
    assert all(-22 < float(line[1]) < 52 and -64 < float(line[2]) < 56 for line in lines if line[1])


def test_the_file_is_made_of_outlines_and_memberships() -> None:
    """The middle of a square is its middle, whatever stands beside it; what has no outline has no place."""
    squares = [_ring(2, 48, 0.1), _ring(3, 49, 0.001)]
    rows = [
        {"code": "80001", "type": "COM", "geometry": _multipolygon(squares)},
        {"code": "80002", "type": "COM", "geometry": "\\N"},
        {"code": "80003", "type": "COMD", "geometry": _multipolygon(squares)},
    ]
    made = gazetteer.lines_of(rows, [{"code": "200", "membres": [{"code": "80002"}, {"code": "80001"}]}])
    assert made == ["80001,48.050,2.050,200", "80002,,,200"]
    with pytest.raises(ValueError, match="multipolygon"):
        gazetteer.lines_of([{"code": "1", "type": "COM", "geometry": "010100000000000000"}], [])


def _ring(west: float, south: float, side: float) -> list[tuple[float, float]]:
    corners = [(0, 0), (side, 0), (side, side), (0, side), (0, 0)]
    return [(west + x, south + y) for x, y in corners]


def _multipolygon(rings: list[list[tuple[float, float]]]) -> str:
    polygons = b"".join(
        struct.pack("<BIII", 1, 3, 1, len(ring)) + b"".join(struct.pack("<dd", *point) for point in ring)
        for ring in rings
    )
    return (struct.pack("<BII", 1, 6, len(rings)) + polygons).hex()
