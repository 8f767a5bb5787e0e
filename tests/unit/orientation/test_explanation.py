"""Why the table answered so: what is told is what was done, line by line."""

from dataclasses import replace
from datetime import date

from hypothesis import given, settings
from hypothesis import strategies as st

from services.contracts.codes import AgeBand, Need, Obstacle, Outcome, Public, Regime
from services.orientation.domain import Explanation, ExpressedNeed, Line, Rulebook, Visit, explain, orient
from tests.unit.orientation.test_any_table import LINES, VISITS, holds
from tests.unit.orientation.test_any_visit import ANY, ANYBODY, RULES, Seen

MOREUIL = Visit(
    day=date(2026, 11, 20),
    site_commune="80570",
    needs=(ExpressedNeed(Need.FREINS_MULTIPLES, obstacles=frozenset({Obstacle.SANTE})),),
    age_band=AgeBand.FROM_30,
    charter_department="80",
)


def told(visit: Visit) -> Explanation:
    """Explain the only need of a visit by the shipped rules."""
    (found,) = explain(visit, RULES.book)
    return found


def unmet(found: Explanation, line: str) -> str:
    """What kept that line from applying."""
    return " ".join(next(reading.unmet for reading in found.readings if reading.line.id == line))


@settings(deadline=None, max_examples=300)
@given(st.lists(LINES, max_size=6).map(tuple), VISITS)
def test_a_line_without_unmet_condition_is_one_that_holds(lines: tuple[Line, ...], visit: Visit) -> None:
    """For any table: a line has nothing unmet exactly when it holds, and the first such one applies."""
    book = Rulebook("1", lines, ())
    (found,) = explain(visit, book)
    (need,) = visit.needs
    assert [each.line for each in found.readings] == [line for line in lines if need.code in line.needs]
    assert [not each.unmet for each in found.readings] == [holds(each.line, need, visit) for each in found.readings]
    assert [each.line for each in found.readings if each.applies] == [line for line in [book.line(need, visit)] if line]


@ANY
@given(ANYBODY)
def test_what_is_told_is_what_was_proposed(seen: Seen) -> None:
    """For any visit: the proposals are the very ones, and each partner found is in them unless the agent chose."""
    visit = RULES.visit(seen.facts, seen.needs, seen.day)
    found = explain(visit, RULES.book)
    assert tuple(proposal for each in found for proposal in each.proposals) == orient(visit, RULES.book)
    for each in found:
        assert (each.need.outcome is Outcome.TO_REFER) is (each.closed is None) is bool(each.readings)
        partners = {attempt.partner for attempts in each.attempts for attempt in attempts} - {None}
        if each.need.recipient is None:
            assert partners == {one.partner for proposal in each.proposals for one in proposal.recipients}
        assert all(attempt.note for attempts in each.attempts for attempt in attempts)


def test_each_condition_says_what_it_wants_and_what_it_got() -> None:
    """Publics, age, obstacles: in the words of the counter, never a code."""
    found = told(replace(MOREUIL, publics=frozenset({Public.ASS})))
    assert unmet(found, "03-rsa") == "Public attendu : Bénéficiaire du RSA ; déclaré : Bénéficiaire de l’ASS."
    assert "Âge attendu : 16 à 17 ans, 18 à 20 ans ; indiqué : 30 à 54 ans." in unmet(found, "02-sortant-ase")
    assert unmet(found, "10-freins-mobilite") == "Freins attendus, ni plus ni moins : Mobilité ; indiqués : Santé."


def test_an_unknown_age_is_said_to_be_unknown() -> None:
    """Nobody is told that an unknown age is a wrong one."""
    assert "indiqué : Âge inconnu." in unmet(told(replace(MOREUIL, age_band=AgeBand.UNKNOWN)), "02-sortant-ase")


def test_a_charter_line_says_which_charter_is_missing() -> None:
    """Outside any charter, and for who lives in another département than the charter's."""
    outside = told(replace(MOREUIL, charter_department=None))
    assert unmet(outside, "09-freins-spie") == "Le site ne relève d’aucune convention SPIE en vigueur le 20/11/2026."
    elsewhere = told(replace(MOREUIL, commune="59350"))
    assert unmet(elsewhere, "09-freins-spie") == (
        "La personne habite le département 59, et la convention est celle du département 80."
    )


def test_a_kind_that_led_to_nobody_says_why() -> None:
    """Not in the basket that day; nobody there; reserved for those who are registered."""
    need = (ExpressedNeed(Need.RENOVATION_LOGEMENT),)
    early = told(replace(MOREUIL, needs=need, day=date(2023, 12, 31)))
    notes = {attempt.kind: attempt.note for attempts in early.attempts for attempt in attempts}
    assert notes["france-renov"] == (
        "Au panier France services depuis le 01/01/2024 seulement ; la visite est du 31/12/2023."
    )
    mobility = (ExpressedNeed(Need.FREINS_MULTIPLES, obstacles=frozenset({Obstacle.MOBILITE})),)
    unregistered = told(replace(MOREUIL, needs=mobility, charter_department=None))
    notes = {attempt.kind: attempt.note for attempts in unregistered.attempts for attempt in attempts}
    assert notes["france-travail"] == "Réservé à une personne inscrite à France Travail ; ici : non indiqué."
    budget = told(replace(MOREUIL, needs=(ExpressedNeed(Need.ENDETTEMENT),), commune="2A004"))
    notes = {attempt.kind: attempt.note for attempts in budget.attempts for attempt in attempts}
    assert notes["point-conseil-budget"] == "Ne couvre ni la commune 2A004 ni le département 2A."


def test_the_farm_workers_regime_is_named() -> None:
    """MSA instead of the CPAM: the agent sees what decided."""
    found = told(replace(MOREUIL, needs=(ExpressedNeed(Need.REMBOURSER_SOINS),), regime=Regime.MSA))
    ((attempt,),) = found.attempts
    assert (attempt.partner, attempt.note) == (
        "msa",
        "Couvre toute la France. Régime agricole (MSA) : remplace les autres.",
    )


def test_the_agents_choice_is_answered() -> None:
    """Taken; the same as the table's; impossible, with the reason; without effect in an emergency."""
    chosen = [
        told(replace(MOREUIL, needs=(ExpressedNeed(need, recipient=partner),))).choice
        for need, partner in (
            (Need.LOGEMENT, "departement-80-spie"),
            (Need.LOGEMENT, "departement-80"),
            (Need.LOGEMENT, "plie-hem"),
            (Need.LOGEMENT, "nobody"),
            (Need.HEBERGEMENT_URGENCE, "departement-80"),
            (Need.LOGEMENT, None),
        )
    ]
    assert chosen == [
        "Choisi par l’agent : passe en premier, la proposition de la table vient à sa suite.",
        "L’agent choisit ce que la table propose.",
        "Choix de l’agent impossible. Ne couvre ni la commune 80570 ni le département 80.",
        "Choix de l’agent impossible. Ce partenaire n’est dans aucun fichier de réseau.",
        "Choix de l’agent sans effet : cette ligne est une urgence, rien n’est envoyé.",
        None,
    ]
