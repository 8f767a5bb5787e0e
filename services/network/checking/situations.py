"""Every situation that a routing line can tell from another, each one bit of an integer.

A line looks at publics, age band, obstacles and charter. Of the publics it asks for any one of some, so whoever meets a
line first for several publics would meet it first for one of them alone: nobody with more than one need be tried. That
leaves 9 x 9 x 8 x 3 = 1,944 situations for each need, and "do the lines above leave this one anything?" is exact
arithmetic on sets, however many lines there are. The conditions mean here what they mean in
`services.orientation.domain`, which this package may not import; tests compare the two.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from itertools import combinations

from services.contracts.codes import AgeBand, Need, Obstacle, Public
from services.network.schema import Line


class Standing(StrEnum):
    """Where the visit stands with the site's charter."""

    OUTSIDE = "site hors convention"
    ELSEWHERE = "site en convention, personne d’un autre département"
    RESIDENT = "site en convention, personne du département"


@dataclass(frozen=True, slots=True)
class Situation:
    """What lines may look at in one visit."""

    public: Public | None
    age: AgeBand
    obstacles: frozenset[Obstacle]
    standing: Standing

    def __str__(self) -> str:
        """The situation in words, with the codes that a network file has."""
        return ", ".join(
            (
                f"public {self.public}" if self.public else "aucun public",
                f"âge {self.age}",
                f"frein {' et '.join(sorted(self.obstacles))}" if self.obstacles else "aucun frein",
                self.standing,
            )
        )


# The first step of each axis is the plainest one: examples are taken from there.
_PUBLICS = (None, *Public)
AGES = (AgeBand.FROM_30, *(band for band in AgeBand if band is not AgeBand.FROM_30))
_OBSTACLES = tuple(frozenset(some) for size in range(len(Obstacle) + 1) for some in combinations(Obstacle, size))
_STANDINGS = tuple(Standing)

# How many bits one step on each axis is wide, from the innermost axis out.
_STANDING = 1
_OBSTACLE = _STANDING * len(_STANDINGS)
_AGE = _OBSTACLE * len(_OBSTACLES)
_PUBLIC = _AGE * len(AGES)
COUNT = _PUBLIC * len(_PUBLICS)
EVERY = (1 << COUNT) - 1


def _along(width: int, chosen: Sequence[bool]) -> int:
    """The situations at the chosen steps of the axis whose steps are that wide."""
    step = (1 << width) - 1
    once = sum(step << width * number for number, is_chosen in enumerate(chosen) if is_chosen)
    return EVERY // ((1 << width * len(chosen)) - 1) * once


@cache
def with_any(publics: frozenset[Public]) -> int:
    """Where one of these publics is declared."""
    return _along(_PUBLIC, [each in publics for each in _PUBLICS])


@cache
def aged(ages: frozenset[AgeBand]) -> int:
    """Where the age band is one of these."""
    return _along(_AGE, [each in ages for each in AGES])


@cache
def hindered(obstacles: frozenset[Obstacle]) -> int:
    """Where exactly these obstacles were named."""
    return _along(_OBSTACLE, [each == obstacles for each in _OBSTACLES])


@cache
def standing(*those: Standing) -> int:
    """Where the visit stands like one of those with the charter."""
    return _along(_STANDING, [each in those for each in _STANDINGS])


def held(line: Line, need: Need) -> int:
    """Where the line's conditions hold for a need that it names."""
    found = EVERY
    if line.publics and need not in line.or_needs:
        found &= with_any(line.publics)
    if line.ages:
        found &= aged(line.ages)
    if line.obstacles is not None:
        found &= hindered(line.obstacles)
    if line.resident:
        found &= standing(Standing.RESIDENT)
    elif line.charter:
        found &= standing(Standing.ELSEWHERE, Standing.RESIDENT)
    return found


def plainest(situations: int) -> Situation:
    """The first of these situations; there must be one."""
    number = (situations & -situations).bit_length() - 1
    publics, number = divmod(number, _PUBLIC)
    age, number = divmod(number, _AGE)
    obstacles, number = divmod(number, _OBSTACLE)
    return Situation(_PUBLICS[publics], AGES[age], _OBSTACLES[obstacles], _STANDINGS[number])
