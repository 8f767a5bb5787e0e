"""The routing table, line by line, on the networks that come with the software."""

from dataclasses import fields, replace
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from services.contracts.codes import AgeBand, Category, Need, Obstacle, Outcome, Public, Regime
from services.contracts.orientation import Proposal as WireProposal
from services.network import load
from services.orientation.domain import ExpressedNeed, Line, Partner, Proposal, Recipient, Rulebook, Step, Visit, orient
from services.orientation.rules import rulebook_of

WORK, YOUNG = "chercher-un-emploi", "jeune-sans-emploi-ni-formation"
DAY = date(2026, 11, 20)
MOREUIL = {"site_commune": "80570", "charter_department": "80"}
ROYE = {"site_commune": "80685", "charter_department": "80"}
HEM = {"site_commune": "59299", "charter_department": None}


@cache
def shipped() -> Rulebook:
    """Load the table and partners of `deploy/networks`."""
    return rulebook_of(load(Path(__file__).parents[3] / "deploy" / "networks"))


def visit(code: str, *obstacles: str, at: dict[str, Any] | None = None, **facts: Any) -> Visit:  # noqa: ANN401
    """Make a visit with one need to refer, by default of a person of 30 to 54 years at Moreuil."""
    need = ExpressedNeed(Need(code), obstacles=frozenset(map(Obstacle, obstacles)), recipient=facts.pop("choice", None))
    known = {
        "day": DAY,
        "age_band": AgeBand(facts.pop("age", "30-54")),
        "publics": frozenset(map(Public, facts.pop("publics", "").split())),
    }
    return Visit(needs=(need,), **(at or MOREUIL) | known | facts)


def routes(proposals: tuple[Proposal, ...]) -> str:
    """Write the partners down: `a > b + c` is a referral to a, b being its fallback, and another one to c."""
    return " + ".join(" > ".join(recipient.partner for recipient in each.recipients) for each in proposals)


# The line that applies, the visit, and who is met: ">" is a fallback, "+" another referral.
LINES: list[tuple[str, Visit, str]] = [
    ("02-sortant-ase", visit(WORK, publics="sortant-ase", age="18-20"), "ase-80 + mission-locale-santerre"),
    ("14-emploi", visit(WORK, publics="sortant-ase", age="21-25"), "france-travail"),
    ("03-rsa", visit(WORK, publics="rsa neet", age="18-20"), "departement-80"),
    ("04-jeune", visit(WORK, age="21-25", publics="neet"), "mission-locale-santerre > france-travail"),
    ("04-jeune", visit(YOUNG, age="16-17"), "mission-locale-santerre > france-travail"),
    ("04-jeune", visit(WORK, at=HEM, age="18-20", publics="neet"), "mission-locale-hem > france-travail"),
    ("14-emploi", visit(YOUNG, age="26-29"), "france-travail"),
    ("14-emploi", visit(YOUNG, age="unknown", publics="neet"), "france-travail"),
    ("05-handicap-et-emploi", visit(WORK, publics="rqth"), "cap-emploi-80 > france-travail"),
    (
        "05-handicap-et-emploi",
        visit("handicap-et-emploi", age="26-29"),
        "cap-emploi-80 > mission-locale-santerre > france-travail",
    ),
    ("05-handicap-et-emploi", visit("handicap-et-emploi", age="unknown"), "cap-emploi-80 > france-travail"),
    (
        "06-protection-internationale",
        visit(WORK, publics="protection-internationale"),
        "operateur-integration-80 > ddets",
    ),
    ("06-protection-internationale", visit(WORK, at=HEM, publics="protection-internationale"), "ddets"),
    ("07-longue-duree", visit(WORK, at=HEM, publics="demandeur-emploi-longue-duree ass"), "plie-hem > france-travail"),
    ("07-longue-duree", visit(WORK, publics="demandeur-emploi-tres-longue-duree"), "france-travail"),
    ("08-ass", visit(WORK, publics="ass"), "france-travail"),
    ("09-freins-spie", visit("freins-multiples", "mobilite"), "departement-80-spie"),
    ("03-rsa", visit("freins-multiples", publics="rsa"), "departement-80"),
    ("13-freins-autres", visit("freins-multiples", at=HEM), "departement-59"),
    ("13-freins-autres", visit("freins-multiples", "mobilite", "sante", at=HEM), "departement-59"),
    ("13-freins-autres", visit("freins-multiples", commune="59350"), "departement-59"),
    ("10-freins-mobilite", visit("freins-multiples", "mobilite", at=HEM), "departement-59"),
    (
        "10-freins-mobilite",
        visit("freins-multiples", "mobilite", at=HEM, france_travail_registered=True),
        "france-travail > departement-59",
    ),
    ("11-freins-garde-enfant", visit("freins-multiples", "garde-enfant", at=HEM), "cnaf"),
    ("11-freins-garde-enfant", visit("freins-multiples", "garde-enfant", at=HEM, regime=Regime.MSA), "msa"),
    ("12-freins-sante", visit("freins-multiples", "sante", at=HEM), "cpam"),
    ("12-freins-sante", visit("freins-multiples", "sante", at=HEM, regime=Regime.MSA), "msa"),
    ("14-emploi", visit(WORK), "france-travail"),
    ("14-emploi", visit("accompagnement-emploi-formation", age="unknown"), "france-travail"),
    ("15-droits-handicap", visit("droits-handicap"), "mdph-80"),
    ("15-droits-handicap", visit("droits-handicap", at=HEM), "mdph"),
    ("16-logement", visit("logement"), "departement-80"),
    ("16-logement", visit("logement", commune="62041"), "departement"),
    ("17-renovation-logement", visit("renovation-logement"), "france-renov > departement-80"),
    ("17-renovation-logement", visit("renovation-logement", day=date(2023, 12, 31)), "departement-80"),
    ("18-endettement", visit("endettement"), "point-conseil-budget-santerre > departement-80"),
    ("18-endettement", visit("endettement", at=HEM), "departement-59"),
    ("19-cheque-energie", visit("cheque-energie"), "cheque-energie"),
    ("21-aide-aux-victimes", visit("aide-aux-victimes", at=HEM), "siavic > point-acces-droit-hem"),
    ("21-aide-aux-victimes", visit("aide-aux-victimes"), "point-justice"),
    ("22-acces-au-droit", visit("litige-ou-conflit"), "point-justice"),
    ("22-acces-au-droit", visit("acces-aux-droits", at=HEM), "point-acces-droit-hem"),
    ("23-titres", visit("permis-ou-carte-identite"), "france-titres"),
    ("23-revenus", visit("declarer-revenus"), "dgfip"),
    ("24-retraite", visit("preparer-retraite"), "carsat"),
    ("24-retraite", visit("preparer-retraite", regime=Regime.MSA), "msa"),
    ("25-demander-une-aide", visit("demander-une-aide", regime=Regime.GENERAL), "cnaf"),
    ("26-attendre-un-enfant", visit("attendre-un-enfant"), "cpam + cnaf"),
    ("26-attendre-un-enfant", visit("attendre-un-enfant", regime=Regime.MSA), "msa"),
    ("27-rembourser-soins", visit("rembourser-soins", regime=Regime.MSA), "msa"),
    ("28-courrier-et-banque", visit("courrier-et-banque"), "la-poste"),
]


@pytest.mark.parametrize(("rule", "seen", "expected"), LINES)
def test_line_gives_its_recipients_in_order(rule: str, seen: Visit, expected: str) -> None:
    """The first line whose conditions all hold gives the recipients; "and" gives several proposals."""
    proposals = orient(seen, shipped())
    assert {proposal.rule for proposal in proposals} == {rule}
    assert routes(proposals) == expected
    assert not any(proposal.desk_first or proposal.unmet for proposal in proposals)


@pytest.mark.parametrize(
    ("seen", "rule", "said"),
    [
        (visit("hebergement-urgence"), "01-hebergement-urgence", "115"),
        (visit(WORK, age="<16"), "14-emploi-avant-16-ans", "scolaire"),
        (visit("numerique"), "20-numerique", "atelier"),
        (visit("autre"), "29-autre", "guichet"),
    ],
)
def test_desk_first_line_tells_the_agent_what_to_do(seen: Visit, rule: str, said: str) -> None:
    """Nothing is sent, the reason is the instruction, and it is no unmet demand."""
    (proposal,) = orient(seen, shipped())
    assert (proposal.rule, proposal.recipients, proposal.desk_first, proposal.unmet) == (rule, (), True, False)
    assert said in proposal.reason


def test_person_is_addressed_in_their_own_departement() -> None:
    """Seen in Roye but living in Lille: the Nord accompanies, and a national operator is told which département."""
    needs = (visit(WORK).needs[0], visit("rembourser-soins").needs[0])
    seen = replace(visit(WORK, at=ROYE, commune="59350", publics="rsa"), needs=needs)
    nord, cpam = (proposal.recipients for proposal in orient(seen, shipped()))
    assert nord == (Recipient("departement-59", Category.DEPARTMENT, "59"),)
    assert cpam == (Recipient("cpam", Category.OPERATOR, "59"),)


def test_charter_line_is_off_without_a_charter_in_force() -> None:
    """The day before the signature, Moreuil follows the ordinary lines."""
    before = visit("freins-multiples", at=MOREUIL | {"charter_department": None})
    assert routes(orient(before, shipped())) == "departement-80"


def test_only_needs_to_refer_are_proposed() -> None:
    """What was resolved, continues, or was declined by the person opens nothing."""
    needs = tuple(ExpressedNeed(Need.LOGEMENT, outcome) for outcome in Outcome)
    proposals = orient(Visit(DAY, "80570", needs, AgeBand.UNKNOWN), shipped())
    assert len(proposals) == 1


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("france-travail", "france-travail > mission-locale-santerre"),
        ("cap-emploi-80", "cap-emploi-80 > mission-locale-santerre > france-travail"),
        ("mission-locale-santerre", "mission-locale-santerre > france-travail"),
    ],
)
def test_agents_choice_comes_first_and_keeps_the_others(choice: str, expected: str) -> None:
    """The first recipient is a proposal: the agent decides, and the rest remain fallbacks."""
    proposals = orient(visit(YOUNG, age="18-20", choice=choice), shipped())
    assert routes(proposals) == expected
    assert proposals[0].chosen == choice


def test_agents_choice_leads_its_own_half_of_an_and_line() -> None:
    """CPAM and CNAF both stay; only the proposal that the choice leads is marked."""
    proposals = orient(visit("attendre-un-enfant", choice="cnaf"), shipped())
    assert [(each.recipients[0].partner, each.chosen) for each in proposals] == [("cpam", None), ("cnaf", "cnaf")]


def test_agent_may_choose_where_the_table_keeps_a_need_at_the_desk() -> None:
    """An `autre` need may go to the CCAS if the agent says so."""
    (proposal,) = orient(visit("autre", at=HEM, choice="ccas-hem"), shipped())
    assert proposal.recipients == (Recipient("ccas-hem", Category.LOCAL, "59"),)
    assert (proposal.desk_first, proposal.unmet, proposal.chosen) == (False, False, "ccas-hem")


def test_emergency_is_never_sent_even_if_chosen() -> None:
    """A referral would be waited for, while the 115 answers now."""
    (proposal,) = orient(visit("hebergement-urgence", at=HEM, choice="ccas-hem"), shipped())
    assert (proposal.recipients, proposal.desk_first, proposal.chosen) == ((), True, None)


@pytest.mark.parametrize(
    "seen",
    [
        visit("logement", choice="nobody"),
        visit("logement", choice="departement-59"),
        visit("logement", choice="urssaf", day=date(2024, 12, 31)),
    ],
    ids=["unknown", "another département", "outside its basket"],
)
def test_choice_that_cannot_receive_the_person_stays_at_the_desk(seen: Visit) -> None:
    """Nothing goes to a partner that the agent did not choose; the reason says that the choice is to be made anew."""
    (proposal,) = orient(seen, shipped())
    assert (proposal.recipients, proposal.desk_first, proposal.unmet) == ((), True, False)
    assert "Le partenaire choisi" in proposal.reason


def test_demand_that_nobody_can_receive_is_unmet() -> None:
    """Before 2024 no operator handles the chèque énergie: the desk helps, and the demand is counted."""
    (proposal,) = orient(visit("cheque-energie", day=date(2023, 6, 1)), shipped())
    assert (proposal.recipients, proposal.desk_first, proposal.unmet) == ((), True, True)
    assert proposal.reason.endswith("à traiter au guichet.")


def test_situation_without_a_line_is_unmet() -> None:
    """A local table with a gap sends nobody anywhere and says so."""
    (proposal,) = orient(visit("logement"), Rulebook("1", (), ()))
    assert (proposal.rule, proposal.desk_first, proposal.unmet) == ("no-line", True, True)


@pytest.mark.parametrize(
    ("seen", "sensitive"),
    [
        (visit("droits-handicap"), True),
        (visit("handicap-et-emploi"), True),
        (visit(WORK, publics="rqth"), True),
        (visit(WORK, publics="rqth rsa"), False),
        (visit("freins-multiples", "sante", "mobilite"), True),
        (visit("freins-multiples", "mobilite"), False),
        (visit("logement", publics="rqth"), False),
    ],
)
def test_sensitive_says_that_the_referral_alone_tells_of_health(seen: Visit, *, sensitive: bool) -> None:
    """By its need, its obstacle, or the line's own condition; a public that led nowhere is not revealed."""
    assert {proposal.sensitive for proposal in orient(seen, shipped())} == {sensitive}


def test_partner_stands_once_in_a_need() -> None:
    """Named twice, by two referrals or as a fallback, a partner gets one referral."""
    partners = tuple(Partner(kind, kind, Category.LOCAL, frozenset({"all"})) for kind in "abc")

    def routed(*groups: str) -> str:
        recipients = tuple(tuple(map(Step, group)) for group in groups)
        return routes(orient(visit("logement"), Rulebook("1", (Line("l", frozenset(Need), "", recipients),), partners)))

    assert routed("ab", "ac") == "a > b > c"
    assert routed("ab", "bc") == "a + b > c"
    assert routed("ac", "bc") == "a > c + b"
    assert routed("aa") == "a"


def test_narrowest_territory_wins_among_those_in_their_basket() -> None:
    """Commune before département before everywhere; one that is out of its basket leaves its place to the next."""
    partners = (
        Partner("everywhere", "k", Category.OPERATOR, frozenset({"all"})),
        Partner("somme", "k", Category.OPERATOR, frozenset({"02", "80"})),
        Partner("moreuil", "k", Category.OPERATOR, frozenset({"80570"}), basket_until=date(2026, 12, 31)),
    )
    rulebook = Rulebook("1", (Line("l", frozenset(Need), "", ((Step("k"),),)),), partners)

    def found(commune: str | None, day: date = DAY) -> str:
        return routes(orient(visit("logement", commune=commune, day=day), rulebook))

    assert found("80570") == found(None) == "moreuil"
    assert found("80570", date(2027, 1, 1)) == found("80685") == found("02691") == "somme"
    assert found("2A004") == found("97411") == "everywhere"


def test_sex_is_no_fact_of_the_rules() -> None:
    """Sex is counted elsewhere; the rules have nowhere to look it up."""
    assert not {"sex", "sexe", "gender"} & {each.name for part in (Visit, ExpressedNeed, Line) for each in fields(part)}


def test_proposal_has_the_fields_of_the_event() -> None:
    """Only the contact sheet is added later, from the network file."""
    assert {each.name for each in fields(Proposal)} | {"contact_sheet"} == set(WireProposal.model_fields)


def test_choosing_a_partner_for_disabled_people_tells_a_health_fact() -> None:
    """Cap emploi for a neutral need says as much as the need itself would: it takes the explicit agreement."""
    (neutral,) = orient(visit("chercher-un-emploi"), shipped())
    (chosen,) = orient(visit("chercher-un-emploi", choice="cap-emploi-80"), shipped())
    assert (neutral.sensitive, chosen.sensitive) == (False, True)


def test_reason_fits_the_recipient() -> None:
    """A line's reason names the partner it proposes first: another one gets another reason."""
    (proposed,) = orient(visit("logement"), shipped())
    (chosen,) = orient(visit("logement", choice="cnaf"), shipped())
    (fallen_back,) = orient(visit(YOUNG, commune="75056", age="18-20"), shipped())
    assert "Département" in proposed.reason
    assert chosen.reason == "Partenaire choisi par l’agent plutôt que celui que la table propose."
    assert fallen_back.recipients[0].partner == "france-travail"
    assert "À défaut du premier interlocuteur" in fallen_back.reason
