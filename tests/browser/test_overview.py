"""Reporting's public page in a real browser: who cannot see well, holds a phone or has no mouse reads it, too."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Request, sync_playwright

from tests.support.house import House, eventually, need, visit

OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 375, "height": 740}
# WCAG 2.1 AA, which RGAA 4 rests on, and axe's own best practices.
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"], "resultTypes": ["violations"]}


@dataclass
class Visited:
    """A page that was opened, and what happened meanwhile."""

    page: Page
    requests: list[Request] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, without a window."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    assert chromium is not None, "no Chromium here: run tests/support/install.sh as root, or install it yourself"
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=OPTIONS)
        yield started
        started.close()


@pytest.fixture(scope="module")
def counted(house: House) -> House:
    """The house after a morning at Hem and Moreuil: every table of the page has several lines and columns."""
    needs = [need("logement"), need("cheque-energie"), need("numerique"), need("chercher-un-emploi")]
    morning = [visit(needs=[each]) for each in needs for _ in range(12)]
    assert {result["status"] for result in house.post_lines("fs-moreuil", morning)} <= {201}
    hem = [visit(site="hem", commune="59299", needs=[each]) for each in needs[:2] for _ in range(3)]
    house.post_lines("hem", hem)
    (sent,) = house.sent(morning[0])
    assert house.answer(sent["partner"], sent["referral_id"], status="accepted").status_code == 201
    eventually(lambda: "referral-accepted" in [entry["kind"] for entry in house.timeline(sent["case"], "fs-moreuil")])
    return house


@pytest.fixture(params=[DESKTOP, PHONE], ids=["desktop", "phone"])
def visited(request: pytest.FixtureRequest, browser: Browser, counted: House) -> Iterator[Visited]:
    """The page, opened on a desktop's and on a phone's screen."""
    page = browser.new_page(viewport=request.param, locale="fr-FR")
    seen = Visited(page)
    page.on("request", lambda request: seen.requests.append(request))  # noqa: PLW0108 - playwright marks the function
    page.on("pageerror", lambda error: seen.complaints.append(str(error)))
    page.on("console", lambda message: seen.complaints.append(message.text) if message.type == "error" else None)
    # Reported before anything else runs in the page: a policy broken while it loads is not missed.
    page.expose_function("refused", lambda directive: seen.complaints.append(f"refused by {directive}"))
    page.add_init_script("addEventListener('securitypolicyviolation', e => refused(e.violatedDirective))")
    page.goto(f"{counted.url('reporting')}/")
    yield seen
    page.close()


def test_axe_finds_no_violation(visited: Visited) -> None:
    """Contrast, names, headings, landmarks, tables: nothing of WCAG 2.1 AA is broken."""
    found = Axe().run(visited.page, options=RULES).response["violations"]
    assert json.dumps(found, indent=1) == "[]"


def test_axe_does_find_what_is_wrong(visited: Visited) -> None:
    """With a picture that has no name the same check complains: it can fail."""
    visited.page.evaluate("document.querySelector('main').append(document.createElement('img'))")
    found = Axe().run(visited.page, options=RULES).response["violations"]
    assert "image-alt" in [violation["id"] for violation in found]


def test_the_page_does_not_scroll_sideways(visited: Visited) -> None:
    """No content is wider than the screen; a table that would be scrolls in its own frame, reachable by keyboard."""
    assert visited.page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    wide = (
        "[...document.querySelectorAll('.table')].filter(e => e.scrollWidth > e.clientWidth && e.tabIndex < 0).length"
    )
    assert visited.page.evaluate(wide) == 0


def test_everything_comes_from_here_and_the_policy_holds(visited: Visited, counted: House) -> None:
    """The page and its style sheet, both from the service itself; nothing was refused by the page's own policy."""
    addresses = [request.url.removeprefix(counted.url("reporting")) for request in visited.requests]
    assert {address for address in addresses if address != "/favicon.ico"} == {"/", "/assets/reporting.css"}
    assert visited.complaints == []
    styled = "getComputedStyle(document.querySelector('header')).borderBottomWidth"
    assert visited.page.evaluate(styled) == "3px"


def test_the_policy_does_refuse(visited: Visited) -> None:
    """A picture from elsewhere is refused and reported: the check above can fail."""
    visited.page.evaluate("document.body.append(Object.assign(new Image(), {src: 'http://127.0.0.1:9/x.png'}))")

    def refused() -> bool:
        visited.page.wait_for_timeout(20)  # lets the browser speak
        return "refused by img-src" in visited.complaints

    eventually(refused, within=5)


def test_it_says_in_french_what_it_is(visited: Visited) -> None:
    """Title and heading name the page, and the document says that it is in French."""
    page = visited.page
    assert page.title() == "Activité du réseau – Relais"
    assert page.evaluate("document.documentElement.lang") == "fr"
    assert page.locator("h1").all_inner_texts() == ["Activité du réseau"]


def test_the_keyboard_skips_to_the_content(visited: Visited) -> None:
    """The first Tab shows « Aller au contenu »; Enter goes there, and the next Tab stays inside the content."""
    page = visited.page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Aller au contenu"
    link = page.locator(".skip").bounding_box()
    assert link is not None
    assert link["x"] >= 0
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "contenu"
    page.keyboard.press("Tab")
    assert page.evaluate("document.querySelector('#contenu').contains(document.activeElement)")


def test_it_shows_what_happened_and_hides_small_numbers(visited: Visited) -> None:
    """Moreuil's visits are there, rounded to tens; the one accepted referral is « 10 ou moins »."""
    figures = visited.page.locator("td.number").all_inner_texts()
    assert "10 ou moins" in figures
    numbers = [int(text.replace("\u202f", "")) for text in figures if text.replace("\u202f", "").isdigit()]
    assert any(numbers)
    assert all(number % 10 == 0 for number in numbers)
    assert "France services Moreuil" in visited.page.locator("tbody th").all_inner_texts()
