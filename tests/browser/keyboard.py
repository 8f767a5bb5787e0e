"""Using a page without a mouse, and what must hold of every page."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import DESKTOP, PHONE, Visited


def tab_to(seen: Visited, selector: str) -> None:
    """Press Tab until what the selector means has the focus: all that can be used can be reached."""
    wanted = seen.page.locator(selector).first
    for _ in range(250):
        if wanted.evaluate("element => element === document.activeElement"):
            return
        seen.page.keyboard.press("Tab")
    pytest.fail(f"Tab does not reach {selector}")


def press(seen: Visited, selector: str, key: str = "Enter") -> None:
    """Go there by Tab, and press a key."""
    tab_to(seen, selector)
    seen.page.keyboard.press(key)


def follow(seen: Visited, selector: str) -> None:
    """Go there by Tab, press Enter, and wait for the page that it leads to."""
    tab_to(seen, selector)
    send(seen)


def send(seen: Visited) -> None:
    """Press Enter, and wait for the page that it leads to."""
    with seen.page.expect_navigation():
        seen.page.keyboard.press("Enter")


def enter(seen: Visited, link: str) -> None:
    """Go by an invitation's link through the pages of every service that it is for, back to those of the first."""
    seen.page.goto(link)
    tab_to(seen, "text=Entrer")
    seen.page.keyboard.press("Enter")
    expect(seen.page).to_have_url(f"{link.partition('/login')[0]}/")


def sound(seen: Visited) -> None:
    """Nothing of WCAG 2.1 AA is broken, nothing is wider than the screen, no policy was broken."""
    assert seen.violations() == []
    assert not seen.scrolls_sideways()
    assert [each for each in seen.complaints if "422" not in each and "409" not in each] == []


def sound_on_any_screen(seen: Visited) -> None:
    """The same on a desktop's and on a phone's screen."""
    for screen in (PHONE, DESKTOP):
        seen.page.set_viewport_size({"width": screen["width"], "height": screen["height"]})
        sound(seen)
