"""The frame of all pages, and the pages that are the chassis's own."""

import re
from pathlib import Path

import pytest
from jinja2 import UndefinedError

from services.chassis import pages
from services.chassis.errors import Rejected

OWN = {
    "login": lambda: pages.login("abc"),
    "how to get in": lambda: pages.login(None),
    "refused": lambda: pages.login(None, refused=True),
    "error": lambda: pages.error(Rejected("too-large", "Le corps dépasse 3 octets.", status=413)),
}


@pytest.mark.parametrize("name", OWN)
def test_a_page_can_be_read_without_eyes_and_brings_nothing(name: str) -> None:
    """Language, landmarks, one heading, a skip link whose target exists; no script, no inline style."""
    page = OWN[name]()
    assert '<html lang="fr">' in page
    for part in ("<header>", '<main id="contenu"', "<footer>", 'href="#contenu"', 'href="/assets/relais.css"'):
        assert part in page
    assert page.count("<h1>") == 1
    assert re.search(r"<title>\S.+ – Relais</title>", page)
    assert not re.search(r"<script|style=|<style|\son\w+=|(?:src|href)=\"(?:https?:)?//", page)
    assert "Se déconnecter" not in page


def test_what_is_shown_is_text() -> None:
    """An invitation that is markup stays one."""
    assert 'value="&#34;&gt;&lt;b&gt;"' in pages.login('"><b>')


def test_an_error_says_its_status_in_words() -> None:
    """And its detail, which never quotes what was sent."""
    page = OWN["error"]()
    assert "<h1>Corps trop volumineux</h1>" in page
    assert "Le corps dépasse 3 octets." in page


def test_a_service_extends_the_frame(tmp_path: Path) -> None:
    """Its templates are found beside the shared ones; who is logged in can log out; a missing value is an error."""
    (tmp_path / "mine.html").write_text('{% extends "base.html" %}{% block main %}<p>{{ word }}</p>{% endblock %}')
    mine = pages.environment(tmp_path).get_template("mine.html")
    page = mine.render(word="a < b", logged_in=True)
    assert "<p>a &lt; b</p>" in page
    assert re.search(
        r'<form [^>]*method="post" action="/logout">\s*<button type="submit">Se déconnecter</button>', page
    )
    assert "/logout" not in mine.render(word="")
    with pytest.raises(UndefinedError):
        mine.render()
