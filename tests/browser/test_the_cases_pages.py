"""Intake's pages in a real browser: a case found again by another site's agent, and what its person decides."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urljoin
from uuid import uuid4

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import DESKTOP, PHONE, Visited
from tests.support.house import House, eventually, visit

STORY = "Je n’ai plus de voiture depuis mars, et ma fille dort mal."


@pytest.fixture
def person() -> dict[str, str]:
    """Somebody with an apostrophe, a hyphen and an accent, whom no other test knows."""
    letters = "".join(chr(ord("a") + int(digit, 16)) for digit in uuid4().hex[:10])
    return {"family_name": f"D’Éperlecques-{letters.title()}", "given_name": "Zoé", "birth_date": "1990-03-14"}


@pytest.fixture
def seen_at_moreuil(house: House, person: dict[str, str]) -> dict[str, Any]:
    """Record a visit of that person at Moreuil; what the site was answered."""
    body = visit(
        site="fs-moreuil",
        age_band="30-54",
        person=person,
        story=STORY,
        agreement={"recipients": ["department"], "sensitive": False, "form": "oral"},
    )
    answer: dict[str, Any] = house.post_visit(body).json()
    return answer


def entered(open_page: Callable[[dict[str, int]], Visited], house: House, screen: dict[str, int]) -> Visited:
    """An agent of Roye, logged in to intake."""
    seen = open_page(screen)
    seen.page.goto(f"{house.url('intake')}/login?invitation={house.tokens.invite('agent', 'fs-roye', 'intake')}")
    seen.page.click("text=Entrer")
    expect(seen.page).to_have_url(f"{house.url('intake')}/")
    return seen


def look_for(page: Page, person: dict[str, str]) -> None:
    """Fill in the form as somebody does who writes names their own way."""
    page.get_by_label("Nom", exact=True).fill(person["family_name"].upper().replace("’", " ").replace("É", "E"))
    page.get_by_label("Prénom").fill("zoe")
    page.get_by_label("Date de naissance").fill(person["birth_date"])
    page.get_by_role("button", name="Chercher").click()


@pytest.mark.parametrize("screen", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_an_agent_finds_confirms_and_reads(
    visit_page: Callable[[dict[str, int]], Visited],
    house: House,
    person: dict[str, str],
    seen_at_moreuil: dict[str, Any],
    screen: dict[str, int],
) -> None:
    """From another site: what is shown suffices to decide and tells no name; the story opens once it is confirmed."""
    assert seen_at_moreuil["reference"]
    seen = entered(visit_page, house, screen)
    assert seen.violations() == []
    look_for(seen.page, person)
    main = seen.page.locator("main section")
    expect(main).to_contain_text("Même identité")
    expect(main).to_contain_text("Moreuil")
    assert person["family_name"] not in main.inner_text()
    assert seen.violations() == []
    assert not seen.scrolls_sideways()
    seen.page.get_by_role("button", name="C’est cette personne").click()
    expect(seen.page.locator("main")).to_contain_text(STORY)
    expect(seen.page.locator("h1")).to_contain_text(person["family_name"])
    assert seen.violations() == []
    assert not seen.scrolls_sideways()
    assert seen.complaints == []


def test_a_reference_finds_the_case_and_a_wrong_one_nothing(
    visit_page: Callable[[dict[str, int]], Visited], house: House, seen_at_moreuil: dict[str, Any]
) -> None:
    """However it is typed; nothing of it is in the address."""
    seen = entered(visit_page, house, DESKTOP)
    reference: str = seen_at_moreuil["reference"]
    for typed, heading in ((reference.lower().replace("-", " "), "Un dossier possible"), ("K7M2", "Aucun dossier")):
        seen.page.get_by_label("Référence").fill(typed)
        seen.page.get_by_role("button", name="Chercher").click()
        expect(seen.page.locator("#trouves")).to_contain_text(heading)
        assert "K7M2" not in seen.page.url


def test_what_is_missing_is_said_beside_the_field(
    visit_page: Callable[[dict[str, int]], Visited], house: House
) -> None:
    """A search for a person without a birth date keeps what was typed."""
    seen = entered(visit_page, house, DESKTOP)
    seen.page.get_by_label("Nom", exact=True).fill("Martin")
    seen.page.get_by_role("button", name="Chercher").click()
    expect(seen.page.locator("[aria-invalid]").first).to_be_visible()
    expect(seen.page.get_by_label("Nom", exact=True)).to_have_value("Martin")
    assert seen.violations() == []


def test_a_person_decides(
    visit_page: Callable[[dict[str, int]], Visited], house: House, seen_at_moreuil: dict[str, Any]
) -> None:
    """An agreement given and withdrawn, an objection, who looked, a copy, a correction, and the end of it all."""
    seen = entered(visit_page, house, DESKTOP)
    page, case = seen.page, seen_at_moreuil["case"]
    page.get_by_label("Référence").fill(seen_at_moreuil["reference"])
    page.get_by_role("button", name="Chercher").click()
    page.get_by_role("button", name="C’est cette personne").click()
    page.get_by_text("Noter un accord").click()
    page.get_by_label("Destinataire").select_option("local")
    page.get_by_role("button", name="Noter l’accord").click()
    page.locator("#accords ~ ul").get_by_text("local", exact=False).first.wait_for()
    page.get_by_role("button", name="Retirer cet accord").first.click()
    expect(page.locator("main")).to_contain_text("retiré le")
    page.get_by_text("Noter une opposition").first.click()
    page.get_by_role("button", name="Noter une opposition").click()
    expect(page.locator("main")).to_contain_text("La personne s’oppose")
    page.get_by_text("Corriger l’identité").click()
    page.get_by_label("Téléphone").fill("03 22 00 00 00")
    page.get_by_role("button", name="Corriger", exact=True).click()
    expect(page.locator("main")).to_contain_text("03 22 00 00 00")
    page.get_by_role("link", name="Qui a consulté le dossier").click()
    expect(page.locator("table")).to_contain_text("Roye")
    assert seen.violations() == []
    page.goto(f"{house.url('intake')}/dossiers/{case}")
    link = page.get_by_role("link", name="Remettre une copie (PDF)").get_attribute("href")
    copy = page.request.get(urljoin(page.url, link))
    assert copy.body().startswith(b"%PDF"), copy.text()
    page.get_by_text("Effacer le dossier").click()
    page.get_by_role("button", name="Effacer", exact=True).click()
    expect(page.locator("main")).to_contain_text("Cochez la case")
    page.get_by_label("La personne l’a demandé").check()
    page.get_by_role("button", name="Effacer", exact=True).click()
    expect(page.locator("h1")).to_contain_text("Le dossier est effacé")
    assert seen.violations() == []
    eventually(lambda: page.request.get(f"{house.url('intake')}/dossiers/{case}").status == 404)


def test_nothing_of_it_needs_javascript(
    browser: Browser, house: House, person: dict[str, str], seen_at_moreuil: dict[str, Any]
) -> None:
    """Logged in by one link with a press at each service: found, confirmed, read, decided about, and handed over."""
    context = browser.new_context(java_script_enabled=False, locale="fr-FR")
    page = context.new_page()
    page.goto(house.relais("invite", "agent", "fs-roye").stdout.strip())
    for _ in range(4):
        here = page.url
        page.get_by_role("button", name="Entrer").click()
        expect(page).not_to_have_url(here)
    expect(page).to_have_url(f"{house.url('orientation')}/")
    page.goto(f"{house.url('intake')}/")
    look_for(page, person)
    page.get_by_role("button", name="C’est cette personne").click()
    expect(page.locator("main")).to_contain_text(STORY)
    page.get_by_text("Noter un accord").click()
    page.get_by_role("button", name="Noter l’accord").click()
    expect(page.get_by_role("alert")).to_contain_text("Choisissez un destinataire")
    page.get_by_label("Destinataire").select_option("local")
    page.get_by_role("button", name="Noter l’accord").click()
    expect(page.locator("#accords ~ ul")).to_contain_text("accord oral")
    with page.expect_download() as copy:
        page.get_by_role("link", name="Remettre une copie (PDF)").click()
    assert copy.value.suggested_filename == "donnees-conservees.pdf"
    assert copy.value.path().read_bytes().startswith(b"%PDF")
    page.get_by_role("link", name="Qui a consulté le dossier").click()
    expect(page.locator("table")).to_contain_text("a remis à la personne ce qui est conservé d’elle")
    page.get_by_role("link", name="Retour au dossier").click()
    expect(page.locator("h1")).to_contain_text(person["family_name"])
    page.get_by_role("button", name="Se déconnecter").click()
    expect(page).to_have_url(f"{house.url('intake')}/login")
    page.goto(f"{house.url('intake')}/dossiers/{seen_at_moreuil['case']}")
    expect(page).to_have_url(f"{house.url('intake')}/login")
    context.close()
