"""Who is led on from one service's pages to the next one's without pressing the button again."""

from collections.abc import Callable, Iterator

import httpx
import pytest

from tests.support.entering import HERE, enter, invited
from tests.support.house import House


@pytest.fixture(scope="module")
def own_house(houses: Callable[..., House]) -> House:
    """Start orientation alone."""
    house = houses()
    house.start("orientation")
    return house


@pytest.fixture
def browser(own_house: House) -> Iterator[httpx.Client]:
    """Open a browser whose requests come from a page of ours, unless they say otherwise."""
    with httpx.Client(base_url=own_house.url("orientation"), headers=HERE, timeout=20, trust_env=False) as client:
        yield client


@pytest.mark.parametrize(
    ("site", "honoured"),
    [("same-origin", True), ("same-site", True), ("cross-site", False), ("none", False), ("", False)],
)
def test_only_a_page_of_ours_presses_the_button(
    own_house: House, browser: httpx.Client, *, site: str, honoured: bool
) -> None:
    """`on=1` in a link from elsewhere, in a mail or opened by a scanner, shows the button and uses nothing up."""
    asked = {"invitation": invited(own_house), "on": "1"}
    request = browser.build_request("GET", "/login", params=asked, headers={"Sec-Fetch-Site": site})
    if not site:
        del request.headers["Sec-Fetch-Site"]
    page = browser.send(request)
    assert page.status_code == 200
    assert (">Entrer</button>" in page.text, " data-at-once>" in page.text) == (True, honoured)


def test_who_is_in_for_another_organisation_presses_the_button(own_house: House, browser: httpx.Client) -> None:
    """No script replaces a session by that of somebody else; for the same organisation it goes on by itself."""
    enter(browser, invited(own_house))
    for org, honoured in (("fs-moreuil", True), ("fs-roye", False)):
        page = browser.get("/login", params={"invitation": invited(own_house, org=org), "on": "1"})
        assert (">Entrer</button>" in page.text, " data-at-once>" in page.text) == (True, honoured)
    browser.post("/logout")
    page = browser.get("/login", params={"invitation": invited(own_house, org="fs-roye"), "on": "1"})
    assert " data-at-once>" in page.text
