"""OpenID Connect with a real browser: what its policies let a page lead to, there and back."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.conftest import Visited
from tests.support.house import House
from tests.support.openid import OpenIdProvider


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenIdProvider]:
    """Prepare a provider that knows an agent."""
    made = OpenIdProvider(
        tmp_path_factory.mktemp("openid"), {"amina": {"relais_role": "agent", "relais_org": "fs-moreuil"}}
    )
    yield made
    made.stop()


@pytest.fixture(scope="module")
def own_house(houses: Callable[..., House], provider: OpenIdProvider) -> House:
    """Start orientation and the provider."""
    house = houses(**provider.environment)
    house.start("orientation")
    provider.start(house.url("orientation"))
    return house


def test_in_and_out_by_the_provider(browser: Browser, own_house: House, provider: OpenIdProvider) -> None:
    """By our link in, by our button out, and after the provider's question back at our login, which all can use."""
    page = browser.new_page(ignore_https_errors=True, locale="fr-FR")
    seen, home = Visited(page), own_house.url("orientation")
    page.goto(f"{home}/")
    expect(page).to_have_url(f"{home}/login")
    assert seen.violations() == []
    page.get_by_role("link", name="Se connecter avec votre compte professionnel").press("Enter")
    page.fill("[name=login]", "amina")
    page.fill("[name=password]", "x")
    page.get_by_role("button", name="Sign-in").click()
    expect(page).to_have_url(f"{home}/")
    page.get_by_role("button", name="Se déconnecter").click()
    page.wait_for_url(f"{provider.issuer}/session/end**")
    page.get_by_role("button", name="Yes, sign me out").click()
    expect(page).to_have_url(f"{home}/login")
    page.goto(f"{home}/")
    expect(page).to_have_url(f"{home}/login")
    page.close()
