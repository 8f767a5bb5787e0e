"""The frame of all pages, and the pages that are the chassis's own."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from jinja2 import UndefinedError

from services.chassis import pages
from services.chassis.errors import Rejected
from services.chassis.tokens import Invitation, Role

INVITATION = Invitation("agent", "fs-moreuil", "1")
OWN: dict[str, Callable[[], str]] = {
    "login": lambda: pages.login("abc", INVITATION),
    "how to get in": pages.no_login,
    "refused": lambda: pages.no_login(refused=True),
    "by a provider": lambda: pages.no_login(provider="ProConnect"),
    "logged out": lambda: pages.logged_out("https://id.example/end?a=b&c=d", "ProConnect"),
    "error": lambda: pages.error(Rejected("too-large", "Le corps dépasse 3 octets.", status=413)),
}


@pytest.mark.parametrize("name", OWN)
def test_a_page_can_be_read_without_eyes_and_brings_nothing(name: str) -> None:
    """Language, landmarks, one heading, a skip link whose target exists; no script but our own, no inline style."""
    page = OWN[name]()
    assert '<html lang="fr">' in page
    for part in ("<header>", '<main id="contenu"', "<footer>", 'href="#contenu"', 'href="<root/>/assets/relais.css"'):
        assert part in page
    assert page.count("<h1>") == 1
    assert re.search(r"<title>\S.+ – Relais</title>", page)
    scripts = ['<script src="<root/>/assets/once.js" defer></script>'] if name == "login" else []
    assert re.findall(r"<script.*", page) == scripts
    assert not re.search(r"style=|<style|\son\w+=|src=\"(?:https?:)?//", page)
    assert ('"https://' in page) == (name == "logged out")
    assert "Se déconnecter</button>" not in page


def test_what_is_shown_is_text() -> None:
    """An invitation that is markup stays one."""
    assert 'value="&#34;&gt;&lt;b&gt;"' in pages.login('"><b>', INVITATION)
    assert "«&nbsp;&lt;b&gt;&nbsp;»" in pages.login("abc", Invitation("agent", "<b>", "1"))


@pytest.mark.parametrize(("role", "word"), [("agent", "agent"), ("partner", "partenaire"), ("steering", "pilotage")])
def test_the_login_page_says_whom_the_link_is_for(role: Role, word: str) -> None:
    """In French, before anybody presses the button."""
    page = pages.login("abc", Invitation(role, "fs-moreuil", "1"))
    assert f"Ce lien ouvre les pages de «&nbsp;fs-moreuil&nbsp;» (rôle&nbsp;: {word})." in page


def test_who_was_refused_finds_the_way_back() -> None:
    """A link to the first page, where who is in already goes on."""
    assert '<a href="<root/>/">' in OWN["refused"]()


def test_who_has_no_link_is_told_of_the_provider() -> None:
    """By its name, where there is one; a refused link leaves that way open."""
    for page in (pages.no_login(provider="A & B"), pages.no_login(refused=True, provider="A & B")):
        assert '<a class="button" href="<root/>/oidc/start">Se connecter avec A &amp; B</a>' in page
        assert "demandez un lien à la personne qui administre Relais" in page
    assert "oidc" not in pages.no_login()


def test_no_data_is_taken_for_the_way_back(tmp_path: Path) -> None:
    """It is markup, and data is escaped: an address in a page is ours."""
    (tmp_path / "mine.html").write_text("{{ root }}/login {{ word }}")
    assert pages.environment(tmp_path).get_template("mine.html").render(word=pages.ROOT) == (
        "<root/>/login &lt;root/&gt;"
    )


def test_an_error_says_its_status_in_words() -> None:
    """And its detail, which never quotes what was sent."""
    page = OWN["error"]()
    assert "<h1>Corps trop volumineux</h1>" in page
    assert "Le corps dépasse 3 octets." in page


def test_an_error_in_a_session_lets_one_log_out() -> None:
    """Whoever came in for an organisation that has no page here would have no way out otherwise."""
    page = pages.error(Rejected("forbidden", "Non.", status=403), logged_in=True)
    assert "Se déconnecter" in page


def test_a_service_extends_the_frame(tmp_path: Path) -> None:
    """Its templates are found beside the shared ones; who is logged in can log out; a missing value is an error."""
    (tmp_path / "mine.html").write_text('{% extends "base.html" %}{% block main %}<p>{{ word }}</p>{% endblock %}')
    mine = pages.environment(tmp_path).get_template("mine.html")
    page = mine.render(word="a < b", logged_in=True)
    assert "<p>a &lt; b</p>" in page
    assert re.search(
        r'<form [^>]*method="post" action="<root/>/logout">\s*<button type="submit">Se déconnecter</button>', page
    )
    assert "/logout" not in mine.render(word="")
    with pytest.raises(UndefinedError):
        mine.render()
