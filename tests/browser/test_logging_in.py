"""Logging in with a real browser, by people who press every button twice."""

import re
import time
from collections.abc import Callable
from html import escape

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import DESKTOP, Visited
from tests.support.house import House

# Where an agent has pages, in the order in which one link opens them.
CHAIN = ("orientation", "referral", "intake", "reporting")
ELSEWHERE = "http://ailleurs.example/"


def at_once(seen: Visited) -> None:
    """Press twice as fast as can be."""
    seen.page.dblclick("text=Entrer")


def while_it_is_answered(seen: Visited) -> None:
    """Press again 10 ms later: the service has the first press by then, and its answer is not there yet."""
    box = seen.page.get_by_role("button").bounding_box()
    assert box is not None
    place = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    seen.page.mouse.click(*place)
    time.sleep(0.01)
    seen.page.mouse.click(*place)


@pytest.mark.parametrize("press_twice", [at_once, while_it_is_answered])
def test_a_double_click_leads_in(
    visit_page: Callable[[dict[str, int]], Visited], house: House, press_twice: Callable[[Visited], None]
) -> None:
    """Each time: the browser posts once, so that it cannot drop the answer that opened the session."""
    for _ in range(5):
        seen = visit_page(DESKTOP)
        seen.page.goto(house.relais("invite", "agent", "fs-moreuil").stdout.strip())
        press_twice(seen)
        expect(seen.page).to_have_url(f"{house.url('orientation')}/")
        expect(seen.page.get_by_text("Se déconnecter")).to_be_visible()
        posted = [request.url for request in seen.requests if request.method == "POST"]
        assert posted == [f"{house.url(service)}/login" for service in CHAIN]
        assert seen.complaints == []


def test_the_login_page_can_be_used_by_all(visit_page: Callable[[dict[str, int]], Visited], house: House) -> None:
    """Nothing of WCAG 2.1 AA is broken, before and after the link was used; its policy lets its own script run."""
    link = house.relais("invite", "agent", "fs-moreuil").stdout.strip()
    seen = visit_page(DESKTOP)
    seen.page.goto(link)
    assert seen.violations() == []
    seen.page.click("text=Entrer")
    expect(seen.page).to_have_url(f"{house.url('orientation')}/")
    assert seen.complaints == []
    seen.page.goto(link)
    expect(seen.page.get_by_text("Ce lien n’est pas valable")).to_be_visible()
    assert seen.violations() == []
    seen.page.click("main a")
    expect(seen.page).to_have_url(f"{house.url('orientation')}/")


def test_one_link_opens_all_pages_of_a_person(visit_page: Callable[[dict[str, int]], Visited], house: House) -> None:
    """One press of the button, and each service's first page is shown; without JavaScript a press for each."""
    seen = visit_page(DESKTOP)
    seen.page.goto(house.relais("invite", "agent", "fs-moreuil", "--service", "referral").stdout.strip())
    seen.page.click("text=Entrer")
    expect(seen.page).to_have_url(f"{house.url('referral')}/")
    for service in ("orientation", "intake"):
        seen.page.goto(f"{house.url(service)}/")
        expect(seen.page.get_by_text("Se déconnecter")).to_be_visible()
    assert seen.complaints == []
    context = seen.page.context.browser.new_context(java_script_enabled=False)  # type: ignore[union-attr]
    page = context.new_page()
    page.goto(house.relais("invite", "agent", "fs-moreuil").stdout.strip())
    for service in CHAIN:
        expect(page).to_have_url(re.compile(f"^{re.escape(house.url(service))}/login"))
        page.click("text=Entrer")
    expect(page).to_have_url(f"{house.url('orientation')}/")
    context.close()


def from_elsewhere(page: Page, link: str) -> None:
    """Be led to a link by another site's page."""
    html = f'<meta http-equiv="refresh" content="0; url={escape(link)}">'
    page.route(ELSEWHERE, lambda route: route.fulfill(content_type="text/html", body=html))
    page.goto(ELSEWHERE, wait_until="commit")
    expect(page).to_have_url(link)


def test_a_browser_says_that_the_service_before_leads_on(
    visit_page: Callable[[dict[str, int]], Visited], house: House
) -> None:
    """Of a chain's pages, on other ports of the same host, all but the first come from the same site."""
    seen = visit_page(DESKTOP)
    seen.page.goto(house.relais("invite", "agent", "fs-moreuil").stdout.strip())
    seen.page.click("text=Entrer")
    expect(seen.page).to_have_url(f"{house.url('orientation')}/")
    opened = [each for each in seen.requests if each.method == "GET" and "/login?" in each.url]
    assert [each.all_headers()["sec-fetch-site"] for each in opened] == ["none", "same-site", "same-site", "same-site"]


def test_a_link_from_elsewhere_presses_nothing(visit_page: Callable[[dict[str, int]], Visited], house: House) -> None:
    """Another site's page cannot log a browser in as whom it likes; nor is the link used up, in it or in a mail."""
    invitation = house.tokens.invite("agent", "fs-roye", "intake")
    link = f"{house.url('intake')}/login?invitation={invitation}&on=1"
    seen = visit_page(DESKTOP)
    for led in (from_elsewhere, Page.goto):
        led(seen.page, link)
        seen.page.wait_for_load_state("networkidle")
        expect(seen.page.get_by_role("button", name="Entrer")).to_be_enabled()
        assert [request.url for request in seen.requests if request.method == "POST"] == []
    seen.page.click("text=Entrer")
    expect(seen.page).to_have_url(f"{house.url('intake')}/")


def test_no_chain_replaces_another_organisations_session(
    visit_page: Callable[[dict[str, int]], Visited], house: House
) -> None:
    """It stops where the browser is in for another organisation, and goes on when the button is pressed there."""
    seen = visit_page(DESKTOP)
    seen.page.goto(f"{house.url('intake')}/login?invitation={house.tokens.invite('agent', 'fs-roye', 'intake')}")
    seen.page.click("text=Entrer")
    expect(seen.page).to_have_url(f"{house.url('intake')}/")
    seen.page.goto(house.relais("invite", "agent", "fs-moreuil").stdout.strip())
    seen.page.click("text=Entrer")
    expect(seen.page).to_have_url(re.compile(f"^{re.escape(house.url('intake'))}/login"))
    seen.page.wait_for_load_state("networkidle")
    expect(seen.page.get_by_role("button", name="Entrer")).to_be_enabled()
    seen.page.click("text=Entrer")
    expect(seen.page).to_have_url(f"{house.url('orientation')}/")
