"""What the check says of any routing table, held against what orientation does with it."""

from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.contracts.codes import AgeBand, Category, Need, Obstacle, Public, Regime
from services.network import Charter, Line, NetworkFile, Partner, Site, Step, checking
from services.network.checking.lines import line_flaws, read
from services.network.checking.situations import COUNT, Situation, Standing, plainest
from services.network.loading import Source, join
from services.network.schema import Header
from services.network.vocabulary import NeedGroup
from services.orientation.domain import NO_LINE, ExpressedNeed, Rulebook, Visit, orient
from services.orientation.rules import rulebook_of

DAY = date(2026, 11, 22)
# Few of each, so that lines meet, cover and cross each other all the time.
NEEDS = (Need.FREINS_MULTIPLES, Need.CHERCHER_UN_EMPLOI, Need.LOGEMENT)
PUBLICS = (Public.RSA, Public.NEET, Public.RQTH)
AGES = (AgeBand.UNDER_16, AgeBand.FROM_18, AgeBand.FROM_30)
KINDS = ("a", "b", "c")
HERE, THERE = "80570", "59299"


@st.composite
def lines(draw: st.DrawFn, number: int = 0) -> Line:
    """Draw a line with few conditions of each kind."""
    needs = draw(st.lists(st.sampled_from([*NEEDS, NeedGroup.EMPLOYMENT]), min_size=1, max_size=2, unique=True))
    publics = draw(st.frozensets(st.sampled_from(PUBLICS), max_size=2))
    named = [need for need in needs if isinstance(need, Need)]
    charter = draw(st.booleans())
    step = st.builds(
        Step,
        kind=st.sampled_from(KINDS),
        ages=st.just(frozenset()) | st.frozensets(st.sampled_from(AGES), max_size=2),
        france_travail_registered=st.sampled_from([None, None, True, False]),
    )
    return Line(
        id=f"l{number}",
        needs=tuple(needs),
        publics=publics,
        or_needs=draw(st.frozensets(st.sampled_from(named), max_size=2)) if publics and named else frozenset(),
        ages=draw(st.frozensets(st.sampled_from(AGES), max_size=2)),
        obstacles=draw(st.none() | st.frozensets(st.sampled_from(Obstacle), max_size=2)),
        charter=charter,
        resident=charter and draw(st.booleans()),
        recipients=draw(st.lists(st.lists(step, min_size=1, max_size=2).map(tuple), min_size=1, max_size=2).map(tuple)),
        msa=draw(st.sampled_from([None, *KINDS])),
        reason="R",
        source="S",
    )


@st.composite
def tables(draw: st.DrawFn) -> tuple[Line, ...]:
    """Draw a table of up to a dozen lines."""
    return tuple(draw(lines(number)) for number in range(draw(st.integers(1, 12))))


partners = st.lists(
    st.builds(
        Partner,
        id=st.just("p"),
        kind=st.sampled_from(KINDS),
        category=st.just(Category.LOCAL),
        name=st.just("P"),
        covers=st.just("all") | st.frozensets(st.sampled_from(["80", "59", HERE, THERE]), min_size=1),
        basis=st.just("mission"),
        basket_until=st.sampled_from([None, None, DAY, date(2025, 12, 31)]),
    ),
    max_size=5,
).map(lambda found: tuple(each.model_copy(update={"id": f"p{number}"}) for number, each in enumerate(found)))
several_publics = st.frozensets(st.sampled_from(Public))
situations = st.integers(0, COUNT - 1)


def network_of(table: tuple[Line, ...], those: tuple[Partner, ...] = ()) -> Source:
    """Make a network of one file: a site in a charter, another outside, this table, these partners."""
    return Source(
        "x.toml",
        NetworkFile(
            network=Header(id="x", name="X", rules_version="1"),
            sites=(
                Site(id="here", name="Here", commune=HERE, label="granted"),
                Site(id="there", name="There", commune=THERE, label="requested"),
            ),
            charters=(
                Charter(
                    id="c",
                    name="C",
                    parties=("x",),
                    sites=("here",),
                    department="80",
                    signed=DAY,
                    ends=date(2027, 11, 1),
                ),
            ),
            partners=those,
            lines=table,
        ),
    )


def rulebook(table: tuple[Line, ...]) -> Rulebook:
    """Read the table as orientation does."""
    return rulebook_of(join([network_of(table)]))


def visit(found: Situation, need: Need, publics: frozenset[Public] = frozenset()) -> Visit:
    """Say a situation in orientation's words, with these publics besides."""
    return Visit(
        day=DAY,
        site_commune=HERE,
        needs=(ExpressedNeed(need, obstacles=found.obstacles),),
        age_band=found.age,
        commune=THERE if found.standing is Standing.ELSEWHERE else HERE,
        publics=publics | ({found.public} if found.public else set()),
        charter_department=None if found.standing is Standing.OUTSIDE else "80",
    )


def first(book: Rulebook, seen: Visit) -> int | None:
    """Number the line that orientation reads first."""
    line = book.line(seen.needs[0], seen)
    return None if line is None else int(line.id[1:])


@given(tables(), st.lists(st.tuples(situations, several_publics), min_size=1, max_size=20))
@settings(deadline=None)
def test_line_reported_unreachable_is_never_the_first_match(
    table: tuple[Line, ...], drawn: list[tuple[int, frozenset[Public]]]
) -> None:
    """Whatever the situation and however many publics: no reported line, and no line for a need reported of it."""
    reported = {flaw.place for flaw in line_flaws("x.toml", table, read(table)) if "jamais atteinte" in flaw.reason}
    book = rulebook(table)
    for need in NEEDS:
        for number, publics in drawn:
            line = first(book, visit(plainest(1 << number), need, publics))
            if line is not None:
                assert f"lines[{line}]" not in reported
                if need in table[line].needs:
                    assert f"lines[{line}].needs[{table[line].needs.index(need)}]" not in reported


@given(tables())
@settings(deadline=None)
def test_line_not_reported_unreachable_is_the_first_match_somewhere(table: tuple[Line, ...]) -> None:
    """The check misses no such line: of each other one it can tell a situation, and orientation agrees."""
    book = rulebook(table)
    for need, reading in read(table).items():
        assert reading.dead | set(reading.reached) == {n for n, line in enumerate(table) if need in line.all_needs}
        for number, where in reading.reached.items():
            assert first(book, visit(plainest(where), need)) == number


@given(tables(), st.lists(situations, min_size=1, max_size=20))
@settings(deadline=None)
def test_check_and_orientation_read_every_situation_alike(table: tuple[Line, ...], drawn: list[int]) -> None:
    """The same first line, or none: conditions mean the same in the two readings of them."""
    book = rulebook(table)
    for need, reading in read(table).items():
        for bit in drawn:
            owners = [number for number, where in reading.reached.items() if where >> bit & 1]
            line = first(book, visit(plainest(1 << bit), need))
            assert owners == ([] if line is None else [line])
            assert bool(reading.left >> bit & 1) is (line is None)


@given(tables(), st.lists(st.tuples(situations, several_publics), min_size=1, max_size=20))
@settings(deadline=None)
def test_need_that_is_not_reported_is_always_answered(
    table: tuple[Line, ...], drawn: list[tuple[int, frozenset[Public]]]
) -> None:
    """However many publics are declared: a hole for several would be a hole for none."""
    book = rulebook(table)
    for need, reading in read(table).items():
        if not reading.left:
            assert None not in {first(book, visit(plainest(1 << bit), need, publics)) for bit, publics in drawn}


@given(tables())
@settings(deadline=None)
def test_lines_that_cross_would_trade_places(table: tuple[Line, ...]) -> None:
    """In the example the later line would be the first match without the earlier one and those between."""
    for need, reading in read(table).items():
        for number, (other, where) in reading.crossed.items():
            seen = visit(plainest(where), need)
            assert first(rulebook(table), seen) == other
            assert (
                first(rulebook(tuple(line for n, line in enumerate(table) if not other <= n < number)), seen) == number
            )
            assert (table[other].steps, table[other].msa) != (table[number].steps, table[number].msa)


@given(tables(), partners, st.data())
@settings(deadline=None)
def test_nobody_near_a_site_is_left_alone_without_a_word(
    table: tuple[Line, ...], those: tuple[Partner, ...], data: st.DataObject
) -> None:
    """Where the check finds nothing to say of a line's recipients, whoever lives at a site meets one of them."""
    source = network_of(table, those)
    told = {flaw.place for flaw in checking.find([source], DAY)}
    book = rulebook_of(join([source]))
    for _ in range(10):
        here = data.draw(st.booleans())
        found = plainest(1 << data.draw(situations))
        seen = Visit(
            day=DAY,
            site_commune=HERE if here else THERE,
            needs=(ExpressedNeed(data.draw(st.sampled_from(NEEDS)), obstacles=found.obstacles),),
            age_band=found.age,
            publics=data.draw(several_publics),
            france_travail_registered=data.draw(st.sampled_from([None, True, False])),
            regime=data.draw(st.sampled_from([None, *Regime])),
            charter_department="80" if here else None,
        )
        for proposal in orient(seen, book):
            if proposal.unmet and proposal.rule != NO_LINE:
                number = int(proposal.rule[1:])
                by_msa = seen.regime is Regime.MSA and table[number].msa
                assert f"lines[{number}].{'msa' if by_msa else 'recipients'}" in told


@pytest.mark.parametrize("standing", Standing)
def test_situation_is_told_in_words(standing: Standing) -> None:
    """With the codes of a network file, so that whoever reads it can write the missing line."""
    told = str(Situation(Public.NEET, AgeBand.UNKNOWN, frozenset({Obstacle.SANTE, Obstacle.MOBILITE}), standing))
    assert told == f"public neet, âge unknown, frein mobilite et sante, {standing}"
