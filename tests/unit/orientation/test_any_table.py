"""What holds for every table a network may write: it is read from the top, as docs/network-files.md says."""

from collections.abc import Sequence
from datetime import date
from typing import TypeVar

from hypothesis import given, settings
from hypothesis import strategies as st

from services.contracts.codes import AgeBand, Need, Obstacle, Public
from services.orientation.domain import ExpressedNeed, Line, Rulebook, Visit

T = TypeVar("T")
# Few codes, so that lines overlap often.
NEEDS = [Need.CHERCHER_UN_EMPLOI, Need.FREINS_MULTIPLES, Need.LOGEMENT]
PUBLICS = [Public.RSA, Public.NEET, Public.RQTH]
AGES = [AgeBand.FROM_16, AgeBand.FROM_18]


def some(codes: Sequence[T]) -> st.SearchStrategy[frozenset[T]]:
    """Any set of these codes."""
    return st.frozensets(st.sampled_from(codes))


# Each condition is mostly absent, or no two lines would ever hold for the same visit.
LINES = st.builds(
    Line,
    id=st.uuids().map(str),
    needs=st.just(frozenset(NEEDS)) | some(NEEDS),
    reason=st.just(""),
    publics=st.just(frozenset[Public]()) | some(PUBLICS),
    or_needs=some(NEEDS),
    ages=st.just(frozenset[AgeBand]()) | some(AGES),
    obstacles=st.sampled_from([None, None, frozenset[Obstacle](), frozenset({Obstacle.SANTE})]),
    charter=st.sampled_from([False, False, True]),
    resident=st.sampled_from([False, False, True]),
)
VISITS = st.builds(
    Visit,
    day=st.just(date(2026, 11, 20)),
    site_commune=st.just("80570"),
    needs=st.builds(ExpressedNeed, code=st.sampled_from(NEEDS), obstacles=some([Obstacle.SANTE])).map(
        lambda need: (need,)
    ),
    age_band=st.sampled_from([*AGES, AgeBand.UNKNOWN]),
    commune=st.sampled_from([None, "59299"]),
    publics=some(PUBLICS),
    charter_department=st.sampled_from([None, "80"]),
)


def holds(line: Line, need: ExpressedNeed, visit: Visit) -> bool:
    """Say the conditions of a line one by one."""
    return (
        need.code in line.needs
        and (not line.publics or bool(line.publics & visit.publics) or need.code in line.or_needs)
        and (not line.ages or visit.age_band in line.ages)
        and (line.obstacles is None or line.obstacles == need.obstacles)
        and (not line.charter or visit.charter_department is not None)
        and (not line.resident or visit.charter_department == visit.department)
    )


@settings(deadline=None, max_examples=300)
@given(st.lists(LINES, max_size=6).map(tuple), VISITS)
def test_first_line_whose_conditions_all_hold_applies(lines: tuple[Line, ...], visit: Visit) -> None:
    """The index finds the line that a reader would, whatever the lines and whatever the visit."""
    (need,) = visit.needs
    expected = next((line for line in lines if holds(line, need, visit)), None)
    assert Rulebook("1", lines, ()).line(need, visit) is expected
