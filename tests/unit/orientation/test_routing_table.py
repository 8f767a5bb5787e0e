"""The routing table, as the networks that come with the software apply it: each line, and where two of them meet.

A heading names a line; under it, each row is a visit and who is met. A visit is its need and whatever else is known, at
France services Moreuil on 20 November 2026 and of somebody of 30 to 54 unless said: `at` another site, living `in` a
commune (INSEE code; else the site's), `on` another day; `registered` or `unregistered` at France Travail. The need
`employment` stands for each of the five employment needs. Who is met: `a > b` is one referral to a, with b as its
fallback; `a + b` is two; `the desk` is told what to do and sends nothing; `nobody` is a demand that goes unmet.
"""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from services.contracts.codes import EMPLOYMENT_NEEDS, AgeBand, Need, Obstacle, Outcome, Public, Regime
from services.contracts.intake import NeedFacts, VisitFacts
from services.network import load
from services.orientation import domain
from services.orientation.rules import Rules

LINES = """
01-hebergement-urgence  # call 115 now; it is recorded and never sent
    hebergement-urgence -> the desk
02-sortant-ase  # an employment need of somebody leaving the ASE, 16 to 20: two referrals
    employment, sortant-ase, 16-17 -> ase-80 + mission-locale-santerre
    employment, sortant-ase, 18-20 -> ase-80 + mission-locale-santerre
03-rsa  # an employment need with the RSA
    employment, rsa -> departement-80
04-jeune  # an employment need of a NEET, or the need that says it, 16 to 25
    employment, neet, 16-17 -> mission-locale-santerre > france-travail
    employment, neet, 18-20 -> mission-locale-santerre > france-travail
    jeune-sans-emploi-ni-formation, 21-25 -> mission-locale-santerre > france-travail
05-handicap-et-emploi  # an employment need with the RQTH, or the need that says it; Mission locale only under 30
    employment, rqth -> cap-emploi-80 > france-travail
    employment, rqth, 26-29 -> cap-emploi-80 > mission-locale-santerre > france-travail
    handicap-et-emploi -> cap-emploi-80 > france-travail
06-protection-internationale
    chercher-un-emploi, protection-internationale -> operateur-integration-80 > ddets
07-longue-duree  # out of work for 12 months, or for 24
    chercher-un-emploi, demandeur-emploi-longue-duree, at hem -> plie-hem > france-travail
    freins-multiples, demandeur-emploi-tres-longue-duree, at hem -> plie-hem > france-travail
08-ass
    accompagnement-emploi-formation, ass -> france-travail
09-freins-spie  # at a site whose charter is in force, for residents of its département
    freins-multiples -> departement-80-spie
    freins-multiples, mobilite, garde-enfant, sante, at fs-roye -> departement-80-spie
10-freins-mobilite  # this obstacle alone; France Travail for those who are registered there
    freins-multiples, mobilite, registered, at hem -> france-travail > departement-59
    freins-multiples, mobilite, unregistered, at hem -> departement-59
    freins-multiples, mobilite, at hem -> departement-59
11-freins-garde-enfant
    freins-multiples, garde-enfant, at hem -> cnaf
12-freins-sante
    freins-multiples, sante, at hem -> cpam
13-freins-autres  # several obstacles, or none named
    freins-multiples, mobilite, sante, at hem -> departement-59
    freins-multiples, at hem -> departement-59
14-emploi-avant-16-ans  # the school's guidance
    chercher-un-emploi, <16 -> the desk
    jeune-sans-emploi-ni-formation, <16 -> the desk
14-emploi  # any other employment need
    chercher-un-emploi -> france-travail
    accompagnement-emploi-formation, 65+ -> france-travail
    jeune-sans-emploi-ni-formation, 26-29 -> france-travail
15-droits-handicap
    droits-handicap -> mdph-80
16-logement
    logement -> departement-80
17-renovation-logement
    renovation-logement -> france-renov > departement-80
18-endettement
    endettement -> point-conseil-budget-santerre > departement-80
19-cheque-energie
    cheque-energie -> cheque-energie
20-numerique  # the site's own workshop, or its individual help
    numerique -> the desk
21-aide-aux-victimes
    aide-aux-victimes, at hem -> siavic > point-acces-droit-hem
22-acces-au-droit
    litige-ou-conflit -> point-justice
    acces-aux-droits -> point-justice
23-titres
    permis-ou-carte-identite -> france-titres
23-revenus
    declarer-revenus -> dgfip
24-retraite
    preparer-retraite -> carsat
25-demander-une-aide
    demander-une-aide -> cnaf
26-attendre-un-enfant
    attendre-un-enfant -> cpam + cnaf
27-rembourser-soins
    rembourser-soins -> cpam
28-courrier-et-banque
    courrier-et-banque -> la-poste
29-autre  # counted with its label
    autre -> the desk
"""

SPECIAL_CASES = {
    "ages end where the law ends them": """
14-emploi
    chercher-un-emploi, sortant-ase, 21-25 -> france-travail
    chercher-un-emploi, neet, 26-29 -> france-travail
14-emploi-avant-16-ans
    chercher-un-emploi, sortant-ase, <16 -> the desk
    chercher-un-emploi, neet, <16 -> the desk
""",
    "an unknown age meets no ages": """
03-rsa
    employment, rsa, unknown -> departement-80
05-handicap-et-emploi
    handicap-et-emploi, unknown -> cap-emploi-80 > france-travail
14-emploi
    chercher-un-emploi, unknown -> france-travail
    chercher-un-emploi, sortant-ase, unknown -> france-travail
    jeune-sans-emploi-ni-formation, neet, unknown -> france-travail
""",
    "a fallback leads where there is no first": """
04-jeune
    jeune-sans-emploi-ni-formation, 18-20, at hem, in 59350 -> france-travail
05-handicap-et-emploi
    handicap-et-emploi, 21-25, at hem -> mission-locale-hem > france-travail
    handicap-et-emploi, at hem -> france-travail
06-protection-internationale
    chercher-un-emploi, protection-internationale, at hem -> ddets
07-longue-duree
    chercher-un-emploi, demandeur-emploi-longue-duree -> france-travail
18-endettement
    endettement, at hem -> departement-59
21-aide-aux-victimes
    aide-aux-victimes -> point-justice
""",
    "half of an and line is better than nobody": """
02-sortant-ase
    chercher-un-emploi, sortant-ase, 18-20, at hem -> ase + mission-locale-hem
    chercher-un-emploi, sortant-ase, 18-20, in 75056 -> ase
""",
    "whoever covers where the person lives, the narrowest first": """
03-rsa
    chercher-un-emploi, rsa, at fs-roye, in 59350 -> departement-59
    chercher-un-emploi, rsa, at hem, in 80570 -> departement-80
    chercher-un-emploi, rsa, in 62041 -> departement
16-logement
    logement, in 2A004 -> departement
    logement, in 97411 -> departement
15-droits-handicap
    droits-handicap, at hem -> mdph
22-acces-au-droit
    acces-aux-droits, at hem -> point-acces-droit-hem
    acces-aux-droits, at hem, in 59350 -> point-justice
""",
    "the charter runs from its signature, is renewed tacitly, and is for its residents": """
13-freins-autres
    freins-multiples, on 2022-10-23 -> departement-80
    freins-multiples, in 59350 -> departement-59
    freins-multiples, at hem, in 80570 -> departement-80
09-freins-spie
    freins-multiples, on 2022-10-24 -> departement-80-spie
    freins-multiples, on 2023-07-02 -> departement-80-spie
    freins-multiples, at fs-roye, in 80021 -> departement-80-spie
10-freins-mobilite
    freins-multiples, mobilite, registered, in 59350 -> france-travail > departement-59
""",
    "farm workers have one fund for everything": """
11-freins-garde-enfant
    freins-multiples, garde-enfant, msa, at hem -> msa
12-freins-sante
    freins-multiples, sante, msa, at hem -> msa
24-retraite
    preparer-retraite, msa -> msa
    preparer-retraite, general -> carsat
25-demander-une-aide
    demander-une-aide, msa -> msa
    demander-une-aide, general -> cnaf
26-attendre-un-enfant
    attendre-un-enfant, msa -> msa
    attendre-un-enfant, general -> cpam + cnaf
27-rembourser-soins
    rembourser-soins, msa -> msa
    rembourser-soins, general -> cpam
16-logement
    logement, msa -> departement-80
""",
    "an operator is met from its first day in the basket": """
17-renovation-logement
    renovation-logement, on 2023-12-31 -> departement-80
    renovation-logement, on 2024-01-01 -> france-renov > departement-80
19-cheque-energie
    cheque-energie, on 2023-12-31 -> nobody
    cheque-energie, on 2024-01-01 -> cheque-energie
""",
}

# "a over b": both lines hold, and the upper one applies. First somebody who is everything at once, then ever less.
OVERLAPS = """
02-sortant-ase over 03-rsa over 04-jeune over 05-handicap-et-emploi over 06-protection-internationale
    employment, sortant-ase, rsa, neet, rqth, protection-internationale, 18-20 -> ase-80 + mission-locale-santerre
03-rsa over 04-jeune over 05-handicap-et-emploi over 06-protection-internationale over 07-longue-duree over 08-ass
    employment, rsa, neet, rqth, protection-internationale, demandeur-emploi-longue-duree, ass, 21-25 -> departement-80
04-jeune over 05-handicap-et-emploi over 06-protection-internationale over 07-longue-duree over 08-ass
    employment, neet, rqth, protection-internationale, demandeur-emploi-longue-duree, ass, 21-25
        -> mission-locale-santerre > france-travail
05-handicap-et-emploi over 06-protection-internationale over 07-longue-duree over 08-ass
    employment, rqth, protection-internationale, demandeur-emploi-longue-duree, ass -> cap-emploi-80 > france-travail
06-protection-internationale over 07-longue-duree over 08-ass
    chercher-un-emploi, protection-internationale, demandeur-emploi-tres-longue-duree, ass
        -> operateur-integration-80 > ddets
07-longue-duree over 08-ass over 14-emploi
    chercher-un-emploi, demandeur-emploi-longue-duree, ass, at hem -> plie-hem > france-travail
08-ass over 09-freins-spie over 10-freins-mobilite over 13-freins-autres over 14-emploi
    freins-multiples, mobilite, ass -> france-travail
09-freins-spie over 10-freins-mobilite over 13-freins-autres over 14-emploi
    freins-multiples, mobilite, registered -> departement-80-spie
09-freins-spie over 11-freins-garde-enfant over 13-freins-autres
    freins-multiples, garde-enfant, msa -> departement-80-spie
09-freins-spie over 12-freins-sante over 13-freins-autres
    freins-multiples, sante -> departement-80-spie
10-freins-mobilite over 13-freins-autres over 14-emploi
    freins-multiples, mobilite, at hem -> departement-59
11-freins-garde-enfant over 13-freins-autres over 14-emploi
    freins-multiples, garde-enfant, at hem -> cnaf
12-freins-sante over 13-freins-autres over 14-emploi
    freins-multiples, sante, at hem -> cpam
03-rsa over 09-freins-spie
    freins-multiples, rsa -> departement-80
05-handicap-et-emploi over 14-emploi-avant-16-ans
    handicap-et-emploi, <16 -> cap-emploi-80 > mission-locale-santerre > france-travail
09-freins-spie over 13-freins-autres over 14-emploi-avant-16-ans
    freins-multiples, <16 -> departement-80-spie
13-freins-autres over 14-emploi-avant-16-ans over 14-emploi
    freins-multiples, <16, at hem -> departement-59
14-emploi-avant-16-ans over 14-emploi
    chercher-un-emploi, <16 -> the desk
"""


@cache
def shipped() -> Rules:
    """Load the table and partners of `deploy/networks`."""
    return Rules(load(Path(__file__).parents[3] / "deploy" / "networks"))


def rows(table: str) -> Iterator[tuple[str, str, str]]:
    """Give each row as its heading, the visit, and who is met; `employment` makes five rows of one."""
    heading = ""
    for line in table.strip().replace("\n        ->", " ->").splitlines():
        if not line.startswith(" "):
            heading = line.partition("  #")[0]
            continue
        visit, met = line.strip().split(" -> ")
        needs = sorted(EMPLOYMENT_NEEDS) if visit.startswith("employment, ") else [""]
        yield from ((heading, visit.replace("employment", need, 1) if need else visit, met) for need in needs)


def told(visit: str) -> domain.Visit:
    """Read a row's visit the way orientation reads a recorded one: its facts, and what the network says of its site."""
    code, *facts = visit.split(", ")
    where = dict(fact.split(" ") for fact in facts if " " in fact)
    said = {fact for fact in facts if " " not in fact}
    publics, obstacles = said & set(Public), said & set(Obstacle)
    age, regime, registration = said & set(AgeBand), said & set(Regime), said & {"registered", "unregistered"}
    assert said == publics | obstacles | age | regime | registration, "a word that is no code"
    assert where.keys() <= {"at", "in", "on"}
    seen = VisitFacts.model_validate(
        {
            "site": where.get("at", "fs-moreuil"),
            "occurred_at": f"{where.get('on', '2026-11-20')}T10:00:00+01:00",
            "channel": "desk",
            "commune": where.get("in"),
            "age_band": "".join(age) or "30-54",
            "publics": publics,
            "france_travail_registered": "registered" in registration if registration else None,
            "regime": "".join(regime) or None,
        }
    )
    need = NeedFacts(code=Need(code), obstacles=tuple(map(Obstacle, obstacles)), outcome=Outcome.TO_REFER)
    return shipped().visit(seen, [need], seen.occurred_at.date())


def met(proposals: tuple[domain.Proposal, ...]) -> str:
    """Write down who is met, as the rows do."""
    return " + ".join(
        " > ".join(each.partner for each in proposal.recipients) or ("nobody" if proposal.unmet else "the desk")
        for proposal in proposals
    )


def with_lines(*ids: str) -> domain.Rulebook:
    """Keep these lines of the shipped table only."""
    book = shipped().book
    return domain.Rulebook(book.version, tuple(line for line in book.lines if line.id in ids), book.partners)


@pytest.mark.parametrize(
    ("line", "visit", "expected"),
    [
        pytest.param(*row, id=f"{title}: {row[1]}, by line {row[0]}")
        for title, table in {"each line": LINES, **SPECIAL_CASES}.items()
        for row in rows(table)
    ],
)
def test_table_says_who_is_met(line: str, visit: str, expected: str) -> None:
    """The line that applies, and its recipients in order: "then" makes fallbacks, "and" makes several proposals."""
    proposals = domain.orient(told(visit), shipped().book)
    assert ({proposal.rule for proposal in proposals}, met(proposals)) == ({line}, expected)


@pytest.mark.parametrize(
    ("lines", "visit", "expected"),
    [pytest.param(*row, id=f"{row[0]}: {row[1]}") for row in rows(OVERLAPS)],
)
def test_upper_line_applies_where_several_hold(lines: str, visit: str, expected: str) -> None:
    """Each of them alone would apply, in whatever order they are named; together the one read first does."""
    holding = lines.split(" over ")
    for line in holding:
        assert {each.rule for each in domain.orient(told(visit), with_lines(line))} == {line}
    proposals = domain.orient(told(visit), shipped().book)
    assert ({proposal.rule for proposal in proposals}, met(proposals)) == ({holding[0]}, expected)


def test_every_line_of_the_file_is_documented_here() -> None:
    """Each has its heading, in the order of the file: a line added there is to be shown here."""
    headings = dict.fromkeys(heading for heading, _, _ in rows(LINES))
    assert list(headings) == [line.id for line in shipped().network.lines]


@pytest.mark.parametrize(
    ("visit", "said"),
    [
        ("hebergement-urgence", "115"),
        ("chercher-un-emploi, <16", "scolaire"),
        ("numerique", "atelier"),
        ("autre", "guichet"),
        ("cheque-energie, on 2023-12-31", "à traiter au guichet."),
    ],
)
def test_desk_is_told_what_to_do(visit: str, said: str) -> None:
    """Where nothing is sent, the reason is the agent's instruction."""
    (proposal,) = domain.orient(told(visit), shipped().book)
    assert (proposal.recipients, proposal.desk_first) == ((), True)
    assert said in proposal.reason
