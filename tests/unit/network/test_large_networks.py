"""A network as large as one may get: every département in one file, read at start and used for each visit."""

import json
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from random import Random

import pytest

from services.contracts.codes import EMPLOYMENT_NEEDS, AgeBand, Need, Obstacle, Outcome, Public
from services.contracts.intake import NeedFacts, VisitFacts
from services.network import Network, load
from services.orientation.rules import Rules
from tests.support.stopwatch import best_of

DAY = date(2026, 11, 20)
DEPARTMENTS = [f"{number:02}" for number in range(1, 96) if number != 20]
DEPARTMENTS += ["2A", "2B", "971", "972", "973", "974", "976"]
NEEDS, AGES = list(Need), [age for age in AgeBand if age is not AgeBand.UNKNOWN]
SITES, PARTNERS, LINES, NATIONAL = 2804, 3000, 5000, 10
# Local kinds have a partner in each département; the last in some only.
KINDS = [f"kind-{number}" for number in range(-(-(PARTNERS - NATIONAL) // len(DEPARTMENTS)))]


def department(number: int) -> str:
    """Deal the départements out by turns."""
    return DEPARTMENTS[number % len(DEPARTMENTS)]


def commune(random: Random, place: str) -> str:
    """Make up a commune of that département."""
    return f"{place}{random.randrange(1, 10 ** (5 - len(place))):0{5 - len(place)}}"


def tables(random: Random) -> Iterator[str]:
    """Write the file, table by table."""
    yield '[network]\nid = "france"\nname = "France"\nrules_version = "1"'
    for place in DEPARTMENTS:
        sites = [f"fs-{number}" for number in range(SITES) if department(number) == place]
        yield (
            f'[[charters]]\nid = "spie-{place.lower()}"\nname = "Convention"\nparties = ["État"]\n'
            f'sites = {json.dumps(sites)}\ndepartment = "{place}"\nsigned = 2022-10-24\nends = 2023-07-01'
        )
    for number in range(SITES):
        home = commune(random, department(number))
        yield f'[[sites]]\nid = "fs-{number}"\nname = "France services"\ncommune = "{home}"\nlabel = "granted"'
    for number in range(NATIONAL):
        yield partner(f"national-{number}", f"national-{number}", "all")
        for place in DEPARTMENTS:
            yield (
                f'[[contact_sheets]]\npartner = "national-{number}"\ncovers = ["{place}"]\nname = "Accueil Exemple"\n'
                'phone = "01 99 00 10 01"\nexample = true'
            )
    for number in range(PARTNERS - NATIONAL):
        place, kind = department(number), KINDS[number // len(DEPARTMENTS)]
        yield partner(f"{kind}-{place.lower()}", kind, place)
    for number in range(LINES - len(NEEDS)):
        yield f'[[lines]]\nid = "line-{number}"\n{conditions(random, NEEDS[number % len(NEEDS)])}\n{outcome(random)}'
    for need in NEEDS:
        yield f'[[lines]]\nid = "last-{need}"\nneeds = ["{need}"]\n{outcome(random)}'


def partner(identity: str, kind: str, covers: str) -> str:
    """Write a partner."""
    place = '"all"' if covers == "all" else f'["{covers}"]'
    return (
        f'[[partners]]\nid = "{identity}"\nkind = "{kind}"\ncategory = "local"\nname = "Partenaire"\n'
        f'covers = {place}\nbasis = "mission"'
    )


def conditions(random: Random, need: Need) -> str:
    """Write conditions that few visits meet, so that most visits meet none before the last lines."""
    told = {
        "needs": '["employment"]' if need in EMPLOYMENT_NEEDS and random.random() < 0.5 else f'["{need}"]',
        "publics": json.dumps(random.sample(list(Public), 2)),
        "ages": json.dumps(random.sample(AGES, 2)),
    }
    if need is Need.FREINS_MULTIPLES:
        told["obstacles"] = json.dumps(random.sample(list(Obstacle), 2))
    if random.random() < 0.3:
        told["charter"] = "true"
    return "\n".join(f"{key} = {value}" for key, value in told.items())


def outcome(random: Random) -> str:
    """Write two referrals, one of them to a local partner and else to a national one."""
    national = [f"national-{number}" for number in random.sample(range(NATIONAL), 2)]
    recipients = f'[["{random.choice(KINDS)}", "{national[0]}"], ["{national[1]}"]]'
    return f'recipients = {recipients}\nreason = "Une ligne parmi d’autres."\nsource = "hypothèse"'


def visits(random: Random) -> list[tuple[VisitFacts, list[NeedFacts]]]:
    """Make up visits from all over the country, each with two needs to refer and up to two publics."""
    return [
        (
            VisitFacts.model_validate(
                {
                    "site": f"fs-{random.randrange(SITES)}",
                    "occurred_at": "2026-11-20T10:00:00+01:00",
                    "channel": "desk",
                    "age_band": random.choice(list(AgeBand)),
                    "commune": commune(random, random.choice(DEPARTMENTS)),
                    "publics": random.sample(list(Public), random.randrange(3)),
                }
            ),
            [
                NeedFacts(code=need, outcome=Outcome.TO_REFER, obstacles=tuple(random.sample(list(Obstacle), 2)))
                for need in random.sample(NEEDS, 2)
            ],
        )
        for _ in range(1000)
    ]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Write it."""
    path = tmp_path / "france.toml"
    path.write_text("\n\n".join(tables(Random(1))), encoding="utf-8")  # noqa: S311 - made up, no secret
    return path


def test_5000_lines_are_read_within_6_seconds_and_cost_a_visit_less_than_400_microseconds(
    file: Path, tell: Callable[[str], None]
) -> None:
    """With 3,000 partners, the country's 2,804 sites, a charter for each département and a thousand contact sheets.

    The visits are of people all over the country: two needs to refer, four proposals each.
    """
    read: list[Network] = []
    seconds = best_of(2, lambda: read.append(load(file)))
    network = read[-1]
    assert (len(network.lines), len(network.partners), len(network.sites)) == (LINES, PARTNERS, SITES)
    tell(f"{LINES:,} lines, {PARTNERS:,} partners, {file.stat().st_size / 1e6:.1f} MB: read in {seconds:.2f} s")
    assert seconds < 6

    rules, people = Rules(network), visits(Random(2))  # noqa: S311 - made up, no secret
    proposed = [proposal for facts, needs in people for proposal in rules.propose(rules.visit(facts, needs, DAY))]
    assert len(proposed) == 4 * len(people)
    assert all(proposal.recipients for proposal in proposed)

    def evaluate() -> None:
        for facts, needs in people:
            rules.propose(rules.visit(facts, needs, DAY))

    each = best_of(5, evaluate) / len(people)
    tell(f"{LINES:,} lines: {each * 1e6:.0f} µs a visit")
    assert each < 400e-6
