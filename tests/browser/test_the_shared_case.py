"""The shared case view in a real browser: an agent's, the addressed partner's, and the ways that lead there."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.conftest import DESKTOP, Visited
from tests.browser.keyboard import enter, follow, sound_on_any_screen
from tests.support.house import VISIT, House, eventually, visit

SITE, PARTNER, NEXT = "fs-moreuil", "mission-locale-santerre", "france-travail"


@pytest.fixture(scope="module")
def referral(house: House) -> dict[str, Any]:
    """A referral to France Travail, of a person whom the Mission locale declined; reporting knows of it."""
    body = visit()
    assert house.post_visit(body).status_code == 201
    (first,) = house.sent(body)
    assert house.answer(PARTNER, first["referral_id"], status="declined", reason="no-capacity").status_code == 201
    following: dict[str, Any] = next(one for one in house.sent(body, 2) if one["partner"] == NEXT)
    kinds = ["orientation", "referral-declined", "referral-rerouted", "referral-sent", "referral-sent", "visit"]
    eventually(lambda: sorted(each["kind"] for each in house.timeline(first["case"], SITE)) == kinds, within=30)
    return following


def entered(seen: Visited, house: House, role: Any, org: str) -> Visited:  # noqa: ANN401 - a Role
    """Log somebody in to all pages for them."""
    services = ("referral", "reporting")
    enter(seen, f"{house.url('referral')}/login?invitation={house.tokens.invite(role, org, *services)}")
    return seen


@pytest.fixture
def agent(visit_page: Callable[[dict[str, int]], Visited], house: House) -> Visited:
    """Somebody at Moreuil's counter."""
    return entered(visit_page(DESKTOP), house, "agent", SITE)


@pytest.fixture
def partner(visit_page: Callable[[dict[str, int]], Visited], house: House) -> Visited:
    """Somebody at France Travail."""
    return entered(visit_page(DESKTOP), house, "partner", NEXT)


def test_an_agent_reads_the_story_first_then_what_waits_then_the_rest(
    agent: Visited, house: House, referral: dict[str, Any]
) -> None:
    """Reached from the follow-up by keyboard: who it is, what was told, who owes what, what was tried, all that was."""
    page = agent.page
    page.goto(f"{house.url('referral')}/orientations/{referral['referral_id']}")
    follow(agent, "text=Voir le dossier")
    assert page.url == f"{house.url('reporting')}/dossiers/{referral['case']}"
    expect(page.locator("h1")).to_have_text("Zoé L’Hermitte-Da Silva")
    titles = ["Ce que la personne a dit", "Ce qui attend", "Ce qui a déjà été essayé", "Ce qui s’est passé"]
    expect(page.locator("h2")).to_have_text(titles)
    expect(page.locator("section[aria-labelledby=histoire]")).to_contain_text(VISIT["story"])
    expect(page.locator("section[aria-labelledby=attente] article")).to_contain_text("France Travail\u00a0: accuser")
    expect(page.locator("section[aria-labelledby=essais] li")).to_contain_text("Mission locale du Santerre")
    expect(page.locator("section[aria-labelledby=suite] li").first).to_contain_text("Visite")
    sound_on_any_screen(agent)


def test_a_partner_reads_its_own(partner: Visited, house: House, referral: dict[str, Any]) -> None:
    """From its inbox: the story, what it owes, what was tried before by category; nobody else's name."""
    page = partner.page
    page.goto(f"{house.url('referral')}/?number={referral['referral_id']}")
    follow(partner, "article >> text=Voir le dossier")
    assert page.url == f"{house.url('reporting')}/orientations/{referral['referral_id']}/dossier"
    expect(page.locator("section[aria-labelledby=histoire]")).to_contain_text(VISIT["story"])
    expect(page.locator("section[aria-labelledby=attente]")).to_contain_text("Accuser réception")
    expect(page.locator("section[aria-labelledby=essais]")).to_contain_text("Partenaire local\u00a0: déclinée")
    assert "Mission locale" not in page.content()
    assert referral["case"] not in page.content()
    sound_on_any_screen(partner)
    follow(partner, "text=Répondre")
    assert page.url == f"{house.url('referral')}/orientations/{referral['referral_id']}"


def test_what_a_partner_may_not_read_is_a_page_that_says_so(
    partner: Visited, house: House, referral: dict[str, Any]
) -> None:
    """An agent's page is not for it; another's referral is not there."""
    answer = partner.page.goto(f"{house.url('reporting')}/dossiers/{referral['case']}")
    assert answer is not None
    assert answer.status == 403
    partner.complaints.clear()
    answer = partner.page.goto(f"{house.url('reporting')}/orientations/{referral['previous']}/dossier")
    assert answer is not None
    assert answer.status == 404
    expect(partner.page.locator("main")).to_contain_text(
        "Aucune orientation ouverte de ce numéro ne vous est adressée."
    )


def test_it_needs_no_script_and_prints_what_matters(
    browser: Browser, agent: Visited, house: House, referral: dict[str, Any]
) -> None:
    """With scripts off it is the same page; on paper there is no button and no link to press."""
    state = agent.page.context.storage_state()
    context = browser.new_context(java_script_enabled=False, storage_state=state)
    page = context.new_page()
    page.goto(f"{house.url('reporting')}/dossiers/{referral['case']}")
    expect(page.locator("section[aria-labelledby=histoire]")).to_contain_text(VISIT["story"])
    page.emulate_media(media="print")
    expect(page.get_by_role("button", name="Se déconnecter")).to_be_hidden()
    expect(page.get_by_text("Accords et droits de la personne")).to_be_hidden()
    expect(page.locator("h1")).to_be_visible()
    context.close()


def test_without_a_session_it_asks_to_log_in(visit_page: Callable[[dict[str, int]], Visited], house: House) -> None:
    """And tells nothing, not even whether there is such a case."""
    page = visit_page(DESKTOP).page
    page.goto(f"{house.url('reporting')}/dossiers/00000000-0000-4000-8000-000000000000")
    assert re.search(r"/login(\?.*)?$", page.url)
