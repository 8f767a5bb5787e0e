"""A real browser: Debian's Chromium, without a window."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, expect, sync_playwright

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
# No measure of speed: tests share a machine.
expect.set_options(timeout=30_000)


@dataclass
class Visited:
    """A page that was opened, and what happened meanwhile."""

    page: Page
    requests: list[Request] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def violations(self) -> list[str]:
        """What axe finds wrong, by the names of its rules."""
        found = Axe().run(self.page, options=RULES).response["violations"]
        return [f"{each['id']}: {[node['html'] for node in each['nodes']]}" for each in found]

    def scrolls_sideways(self) -> bool:
        """Whether some content is wider than the screen."""
        wide = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
        return bool(self.page.evaluate(wide))


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, without a window."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    assert chromium is not None, "no Chromium here: run tests/support/install.sh as root, or install it yourself"
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=OPTIONS)
        yield started
        started.close()


def _matters(message: ConsoleMessage) -> bool:
    return message.type == "error" and not message.location["url"].endswith("/favicon.ico")


@pytest.fixture
def visit_page(browser: Browser) -> Iterator[Callable[[dict[str, int]], Visited]]:
    """Return what opens an empty page on a screen of that size, in a profile of its own, and watches it."""
    opened: list[Page] = []

    def open_page(screen: dict[str, int]) -> Visited:
        page = browser.new_page(viewport={"width": screen["width"], "height": screen["height"]}, locale="fr-FR")
        opened.append(page)
        seen = Visited(page)
        page.on("request", lambda request: seen.requests.append(request))  # noqa: PLW0108 - playwright marks the function
        page.on("pageerror", lambda error: seen.complaints.append(str(error)))
        page.on("console", lambda message: seen.complaints.append(message.text) if _matters(message) else None)
        # Reported before anything else runs in the page: a policy broken while it loads is not missed.
        page.expose_function("refused", lambda directive: seen.complaints.append(f"refused by {directive}"))
        page.add_init_script("addEventListener('securitypolicyviolation', e => refused(e.violatedDirective))")
        return seen

    yield open_page
    for page in opened:
        page.close()
