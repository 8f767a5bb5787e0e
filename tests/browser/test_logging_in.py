"""Logging in with a real browser, by people who press every button twice."""

import time
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import DESKTOP, Visited
from tests.support.house import House


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
        assert [request.url for request in seen.requests if request.method == "POST"] == [
            f"{house.url('orientation')}/login"
        ]
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
