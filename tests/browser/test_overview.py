"""Reporting's public page in a real browser: who cannot see well, holds a phone or has no mouse reads it, too."""

from collections.abc import Callable

import pytest

from tests.browser.conftest import DESKTOP, PHONE, Visited
from tests.support.databases import dump
from tests.support.house import House, eventually, need, visit


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

    def all_counted() -> bool:
        known = dump(house.databases["reporting"])["visits"]
        accepted = "referral-accepted" in [entry["kind"] for entry in house.timeline(sent["case"], "fs-moreuil")]
        return accepted and all(body["visit_id"] in known for body in (*morning, *hem))

    eventually(all_counted, within=30)
    house.stop("reporting")  # whoever looked before has it keep what the page said then
    house.start("reporting")
    return house


@pytest.fixture(params=[DESKTOP, PHONE], ids=["desktop", "phone"])
def visited(request: pytest.FixtureRequest, visit_page: Callable[[dict[str, int]], Visited], counted: House) -> Visited:
    """The page, opened on a desktop's and on a phone's screen."""
    seen = visit_page(request.param)
    seen.page.goto(f"{counted.url('reporting')}/")
    return seen


def test_axe_finds_no_violation(visited: Visited) -> None:
    """Contrast, names, headings, landmarks, tables: nothing of WCAG 2.1 AA is broken."""
    assert visited.violations() == []


def test_axe_does_find_what_is_wrong(visited: Visited) -> None:
    """With a picture that has no name the same check complains: it can fail."""
    visited.page.evaluate("document.querySelector('main').append(document.createElement('img'))")
    assert any(violation.startswith("image-alt:") for violation in visited.violations())


def test_the_page_does_not_scroll_sideways(visited: Visited) -> None:
    """No content is wider than the screen; a table that would be scrolls in its own frame, reachable by keyboard."""
    assert not visited.scrolls_sideways()
    wide = (
        "[...document.querySelectorAll('.table')].filter(e => e.scrollWidth > e.clientWidth && e.tabIndex < 0).length"
    )
    assert visited.page.evaluate(wide) == 0


def test_everything_comes_from_here_and_the_policy_holds(visited: Visited, counted: House) -> None:
    """The page and its style sheet, both from the service itself; nothing was refused by the page's own policy."""
    addresses = [request.url.removeprefix(counted.url("reporting")) for request in visited.requests]
    assert {address for address in addresses if address != "/favicon.ico"} == {"/", "/assets/relais.css"}
    assert visited.complaints == []
    styled = "getComputedStyle(document.querySelector('header')).borderBottomWidth"
    assert visited.page.evaluate(styled) == "3px"


def test_the_policy_does_refuse(visited: Visited) -> None:
    """A picture from elsewhere is refused and reported: the check above can fail."""
    visited.page.evaluate("document.body.append(Object.assign(new Image(), {src: 'http://127.0.0.1:9/x.png'}))")

    def refused() -> bool:
        visited.page.wait_for_timeout(20)  # lets the browser speak
        return "refused by img-src" in visited.complaints

    eventually(refused, within=30)


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
