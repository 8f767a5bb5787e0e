"""What is done with the line that applies; which one does is in test_routing_table."""

from dataclasses import fields, replace
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from services.contracts.codes import AgeBand, Category, Need, Obstacle, Outcome, Public
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


def test_person_is_addressed_in_their_own_departement() -> None:
    """Seen in Roye but living in Lille: the Nord accompanies, and a national operator is told which département."""
    needs = (visit(WORK).needs[0], visit("rembourser-soins").needs[0])
    seen = replace(visit(WORK, at=ROYE, commune="59350", publics="rsa"), needs=needs)
    nord, cpam = (proposal.recipients for proposal in orient(seen, shipped()))
    assert nord == (Recipient("departement-59", Category.DEPARTMENT, "59"),)
    assert cpam == (Recipient("cpam", Category.OPERATOR, "59"),)


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
    ],
)
def test_agents_choice_comes_first_and_keeps_the_others(choice: str, expected: str) -> None:
    """The first recipient is a proposal: the agent decides, and the rest remain fallbacks."""
    proposals = orient(visit(YOUNG, age="18-20", choice=choice), shipped())
    assert routes(proposals) == expected
    assert proposals[0].chosen == choice


def test_agents_choice_of_the_one_proposed_is_no_override() -> None:
    """Naming the partner that the table proposes first says yes to it: the proposal is the very same."""
    agreed = orient(visit(YOUNG, age="18-20", choice="mission-locale-santerre"), shipped())
    assert agreed == orient(visit(YOUNG, age="18-20"), shipped())


def test_agents_choice_leads_its_own_half_of_an_and_line() -> None:
    """Of the ASE and the Mission locale both stay; only the proposal that another partner now leads is marked."""
    proposals = orient(visit(WORK, publics="sortant-ase", age="18-20", choice="cap-emploi-80"), shipped())
    assert routes(proposals) == "cap-emploi-80 > ase-80 + mission-locale-santerre"
    assert [each.chosen for each in proposals] == ["cap-emploi-80", None]


def test_agents_choice_of_either_of_an_and_line_is_no_override() -> None:
    """CPAM and CNAF are both proposed first, each by its own referral: naming one changes nothing."""
    proposals = orient(visit("attendre-un-enfant", choice="cnaf"), shipped())
    assert [(each.recipients[0].partner, each.chosen) for each in proposals] == [("cpam", None), ("cnaf", None)]


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
    assert (chosen.source, chosen.journey) == (None, None)
    assert fallen_back.recipients[0].partner == "france-travail"
    assert "À défaut du premier interlocuteur" in fallen_back.reason
