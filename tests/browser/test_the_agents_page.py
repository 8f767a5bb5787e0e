"""The agent's page in a real browser: from the invitation to the printed slip, without a mouse, on any screen."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from services.contracts.references import new_reference
from tests.browser.conftest import DESKTOP, PHONE, Visited
from tests.browser.keyboard import enter, follow, press, send, sound, tab_to
from tests.support.house import House

REFERENCE = new_reference(b"\1\2\3\4\5\6\7")
MILLIMETRE = 96 / 25.4
A4 = {"width": round(190 * MILLIMETRE), "height": round(277 * MILLIMETRE)}  # between margins of 10 mm
# Told to the counter, and to nothing else: it must stand in no address and no log.
TOLD = ("jeune-sans-emploi-ni-formation", "neet", "80570", REFERENCE)


BOTH = pytest.mark.parametrize("counter", [DESKTOP, PHONE], ids=["desktop", "phone"], indirect=True)


@pytest.fixture
def counter(request: pytest.FixtureRequest, visit_page: Callable[[dict[str, int]], Visited], house: House) -> Visited:
    """The page of an agent of Moreuil who has just come in by an invitation, on a desktop's screen unless told."""
    seen = visit_page(getattr(request, "param", DESKTOP))
    seen.page.add_init_script("window.print = () => { document.body.dataset.printed = 'yes' }")
    invitation = house.tokens.invite("agent", "fs-moreuil", "orientation")
    enter(seen, f"{house.url('orientation')}/login?invitation={invitation}")
    return seen


def fill_in(seen: Visited, *needs: str, commune: str = "Moreuil", publics: tuple[str, ...] = ("neet",)) -> None:
    """Fill the form in by keyboard, and ask."""
    for need in needs:
        press(seen, f"#needs-{need}", "Space")
    for public in publics:
        press(seen, f"#publics-{public}", "Space")
    tab_to(seen, "#age_band")
    seen.page.keyboard.type("18")
    tab_to(seen, "#commune")
    seen.page.keyboard.type(commune)
    follow(seen, "text=Voir qui rencontrer")


@BOTH
def test_from_the_invitation_to_the_printed_slip_without_a_mouse(counter: Visited) -> None:
    """Needs, publics, age and commune; whom to meet; the contact sheet; why; the slip; each page passes axe."""
    page = counter.page
    sound(counter)
    fill_in(counter, "jeune-sans-emploi-ni-formation")
    expect(page.locator("h1")).to_be_focused()
    expect(page.locator(".first")).to_contain_text("Mission locale du Santerre")
    expect(page.locator(".fallback")).to_contain_text("France Travail")
    phone = page.get_by_role("link", name="01 99 00 80 05")
    expect(phone).to_be_hidden()
    press(counter, "summary:has-text('Fiche contact')")
    expect(phone).to_be_visible()
    press(counter, "summary:has-text('Pourquoi')")
    expect(page.locator(".applies")).to_contain_text("04-jeune")
    press(counter, "summary:has-text('Parcours type')")
    sound(counter)
    tab_to(counter, "#reference")
    page.keyboard.type(REFERENCE.lower().replace("-", " "))
    follow(counter, "text=Préparer la fiche")
    expect(page.locator(".slip-reference")).to_contain_text(REFERENCE)
    sound(counter)
    press(counter, "[data-print]")
    assert page.evaluate("document.body.dataset.printed") == "yes"
    follow(counter, "text=Revenir à la proposition")
    expect(page.locator(".first")).to_contain_text("Mission locale du Santerre")
    expect(page.locator("#reference")).to_have_value(REFERENCE)


THREE = ("jeune-sans-emploi-ni-formation", "logement", "endettement")
SIX = (*THREE, "declarer-revenus", "demander-une-aide", "renovation-logement")


@pytest.mark.parametrize("needs", [THREE, SIX], ids=["three", "six"])
def test_the_slip_fills_half_a_page_and_says_whom_where_when(counter: Visited, needs: tuple[str, ...]) -> None:
    """On A4, up to six needs stand above the line where to cut, at half of the 297 mm; nothing else is printed."""
    page = counter.page
    fill_in(counter, *needs)
    follow(counter, "text=Préparer la fiche")
    expect(page.locator(".slip")).to_be_visible()
    page.set_viewport_size({"width": A4["width"], "height": A4["height"]})
    page.emulate_media(media="print")
    box = page.locator(".slip").bounding_box()
    assert box is not None
    assert (box["y"] + box["height"]) / MILLIMETRE + 10 <= 148.5
    printed = page.inner_text("body")
    for told in ("Mission locale du Santerre", "Nadia Exemple", "80700 Roye", "9 h à 12 h", "01 99 00 80 05"):
        assert told in printed
    assert "Se déconnecter" not in printed
    assert page.locator(".slip-reference strong").inner_text() == ""
    assert len(re.findall(rb"/Type\s*/Page\b", page.pdf(format="A4"))) == 1


@BOTH
def test_a_town_of_two_departements_is_asked_for_never_guessed(counter: Visited) -> None:
    """« Roye » is in the Somme and in the Haute-Saône: the agent chooses, and what was said stays filled in."""
    page = counter.page
    fill_in(counter, "logement", commune="roye")
    expect(page.locator("#commune option")).to_have_text(
        ["Choisir la commune", "Roye, département 70 (70455)", "Roye, département 80 (80685)"]
    )
    sound(counter)
    follow(counter, "text=Voir qui rencontrer")
    expect(page.locator("#commune-error")).to_be_visible()
    tab_to(counter, "#commune")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    follow(counter, "text=Voir qui rencontrer")
    expect(page.locator(".first")).to_contain_text("Département de la Somme")
    assert page.is_checked("#needs-logement")


@BOTH
def test_an_emergency_stands_first_and_large(counter: Visited) -> None:
    """115 now, above what else the person came for, in letters twice as high; the agent cannot send it elsewhere."""
    page = counter.page
    fill_in(counter, "logement", "hebergement-urgence")
    first = page.locator(".card").first
    expect(first.locator(".urgent")).to_contain_text("115")
    assert first.locator("select").count() == 0
    sizes = [
        page.locator(each).first.evaluate("e => parseFloat(getComputedStyle(e).fontSize)")
        for each in (".urgent", "main p")
    ]
    assert sizes[0] >= 1.7 * sizes[1]
    sound(counter)


def test_another_partner_can_be_chosen_and_leads(counter: Visited) -> None:
    """The agent's choice comes first; the slip follows it, applied before or not."""
    page = counter.page
    fill_in(counter, "logement")
    tab_to(counter, "#choix-logement")
    page.keyboard.type("Mission")
    follow(counter, "text=Appliquer ces choix")
    expect(page.locator(".first")).to_contain_text("Mission locale du Santerre")
    expect(page.locator("main")).to_contain_text("Choisi par l’agent")
    follow(counter, "text=Préparer la fiche")
    expect(page.locator(".slip")).to_contain_text("Nadia Exemple")
    follow(counter, "text=Revenir à la proposition")
    tab_to(counter, "#choix-logement")
    page.keyboard.type("Cap")
    press(counter, "#discreet-true", "Space")
    follow(counter, "text=Préparer la fiche")
    expect(page.locator(".slip")).to_contain_text("Paul Exemple")
    expect(page.locator(".slip")).not_to_contain_text("logement")


def test_what_is_wrong_is_said_beside_its_field(counter: Visited) -> None:
    """Nothing ticked, no such commune, a day to come: three links that lead to their fields."""
    page = counter.page
    page.fill("#day", "2999-01-01")
    fill_in(counter, commune="99999", publics=())
    expect(page.locator("[role=alert] a")).to_have_count(3)
    expect(page.locator("[role=alert]")).to_be_focused()
    for field in ("needs", "commune", "day"):
        expect(page.locator(f"#{field}-error")).to_be_visible()
    sound(counter)


def test_a_mistyped_reference_is_noticed_before_it_is_printed(counter: Visited) -> None:
    """The check character says so, and the proposal stays on the screen."""
    page = counter.page
    fill_in(counter, "logement")
    tab_to(counter, "#reference")
    page.keyboard.type("K7M2-Q4XD-1B9X")
    send(counter)
    expect(page.locator("#reference-error")).to_be_visible()
    expect(page.locator(".first")).to_contain_text("Département de la Somme")
    sound(counter)


@BOTH
def test_sheets_and_services_can_be_looked_up(counter: Visited) -> None:
    """The contact sheets for a need, and the directory, which says how it is filled while it is empty."""
    page = counter.page
    follow(counter, "nav >> text=Fiches contacts")
    sound(counter)
    page.select_option("#need", "logement")
    follow(counter, "button:has-text('Chercher')")
    expect(page.locator("main")).to_contain_text("Émilie Exemple")
    follow(counter, "nav >> text=Annuaire des services")
    expect(page.locator("h1")).to_have_text("Annuaire des services")
    sound(counter)


def test_what_the_person_said_is_in_no_address_and_no_log(counter: Visited, house: House) -> None:
    """It travels in the body of a request and is kept nowhere."""
    fill_in(counter, "jeune-sans-emploi-ni-formation")
    tab_to(counter, "#reference")
    counter.page.keyboard.type(REFERENCE)
    follow(counter, "text=Préparer la fiche")
    expect(counter.page.locator(".slip-reference")).to_contain_text(REFERENCE)
    addresses = " ".join(request.url for request in counter.requests)
    assert not any(told in addresses for told in TOLD)
    assert not any(told in house.log("orientation") for told in TOLD)


def test_logging_out_closes_the_page(counter: Visited) -> None:
    """Back leads to the login page, not to what was on the screen."""
    follow(counter, "text=Se déconnecter")
    expect(counter.page.locator("h1")).to_have_text("Connexion")
    counter.page.goto(counter.page.url.replace("/login", "/"))
    expect(counter.page.locator("h1")).to_have_text("Connexion")
    sound(counter)
