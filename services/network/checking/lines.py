"""What the order of the lines makes of each need: lines never reached, needs left over, lines that cross."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from services.contracts.codes import Need
from services.network.checking.situations import EVERY, held, plainest
from services.network.checking.words import a_few_of
from services.network.loading import Flaw, Severity
from services.network.schema import Line


@dataclass(slots=True)
class Reading:
    """One need, the table read from the top. Lines are numbered as in the file.

    `held` says where each line that is ever reached holds, `reached` where it is the first that does, `left` where none
    is; `crossed` which earlier line a line crosses, and where.
    """

    held: dict[int, int] = field(default_factory=dict)
    reached: dict[int, int] = field(default_factory=dict)
    dead: set[int] = field(default_factory=set)
    crossed: dict[int, tuple[int, int]] = field(default_factory=dict)
    left: int = EVERY


@dataclass(frozen=True, slots=True)
class _Claim:
    """Where a line holds, and where it is the first that does."""

    number: int
    line: Line
    held: int
    reached: int

    def crosses(self, later: "_Claim") -> bool:
        """Whether only their order decides between the two: they meet, and neither is narrower.

        The later one cannot be, or it would never be reached.
        """
        return bool(
            self.reached & later.held
            and self.held & ~later.held
            and (self.line.steps, self.line.msa) != (later.line.steps, later.line.msa)
        )


def read(lines: Sequence[Line]) -> dict[Need, Reading]:
    """Read the table for each need."""
    naming: dict[Need, list[tuple[int, Line]]] = {need: [] for need in Need}
    for number, line in enumerate(lines):
        for need in line.all_needs:
            naming[need].append((number, line))
    return {need: _read(need, named) for need, named in naming.items()}


def _read(need: Need, lines: Sequence[tuple[int, Line]]) -> Reading:
    found = Reading()
    claims: defaultdict[tuple[bool, ...], list[_Claim]] = defaultdict(list)
    for number, line in lines:
        here = held(line, need)
        reached = here & found.left
        if not reached:
            found.dead.add(number)
            continue
        found.left ^= reached
        found.held[number], found.reached[number] = here, reached
        claim = _Claim(number, line, here, reached)
        # Lines with other conditions cross as a matter of course: RSA before charter is what an order is for.
        peers = claims[_conditions(line, need)]
        crossed = next((peer for peer in peers if peer.crosses(claim)), None)
        if crossed is not None:
            found.crossed[number] = crossed.number, crossed.reached & claim.held
        peers.append(claim)
    return found


def _conditions(line: Line, need: Need) -> tuple[bool, ...]:
    """Which conditions a line has for a need, whatever their values."""
    publics = bool(line.publics) and need not in line.or_needs
    return publics, bool(line.ages), line.obstacles is not None, line.charter, line.resident


def line_flaws(file: str, lines: Sequence[Line], readings: Mapping[Need, Reading]) -> Iterator[Flaw]:
    """Tell of lines that are never reached or that cross another, then of needs that no line answers."""
    for number, line in enumerate(lines):
        yield from _never_reached(file, number, line, lines, readings)
        yield from _crossing(file, number, lines, readings)
    for need, reading in readings.items():
        if reading.left:
            why = f"aucune ligne ne s’applique, par exemple : {plainest(reading.left)}"
            if not reading.reached:
                why = "aucune ligne ne nomme ce besoin"
            yield Flaw(file, "lines", f"« {need} » : {why}")


def _never_reached(
    file: str, number: int, line: Line, lines: Sequence[Line], readings: Mapping[Need, Reading]
) -> Iterator[Flaw]:
    dead = [need for need in readings if number in readings[need].dead]
    if len(dead) == len(line.all_needs):
        yield Flaw(file, f"lines[{number}]", f"jamais atteinte : {_before(number, lines, readings, dead)}")
        return
    for place, named in enumerate(line.needs):
        # A group stands for many needs, for short: that lines above took one of them is no mistake.
        if isinstance(named, Need) and named in dead:
            told = _before(number, lines, readings, [named])
            yield Flaw(file, f"lines[{number}].needs[{place}]", f"jamais atteinte pour « {named} » : {told}")


def _crossing(file: str, number: int, lines: Sequence[Line], readings: Mapping[Need, Reading]) -> Iterator[Flaw]:
    need = next((need for need in readings if number in readings[need].crossed), None)
    if need is not None:
        other, where = readings[need].crossed[number]
        reason = (
            f"recoupe « {lines[other].id} » sans être plus étroite ni plus large : leur ordre seul décide du "
            f"destinataire, par exemple pour « {need} », {plainest(where)}"
        )
        yield Flaw(file, f"lines[{number}]", reason, Severity.WARNING)


def _before(number: int, lines: Sequence[Line], readings: Mapping[Need, Reading], needs: Sequence[Need]) -> str:
    """Name the earlier lines that hold whenever this one does, for these needs."""
    takers = sorted({taker for need in needs for taker in _takers(held(lines[number], need), readings[need])})
    names = [f"« {lines[taker].id} »" for taker in takers]
    if len(names) == 1:
        return f"{names[0]} s’applique toujours avant"
    return f"{a_few_of(names)} s’appliquent toujours avant"


def _takers(here: int, reading: Reading) -> list[int]:
    left, takers = here, []
    for earlier, reached in reading.reached.items():
        if not left:
            break
        taken = left & reached
        if taken:
            takers.append(earlier)
            left ^= taken
    alone = next((taker for taker in takers if here & reading.held[taker] == here), None)
    return takers if alone is None else [alone]
