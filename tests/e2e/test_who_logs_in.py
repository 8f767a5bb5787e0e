"""Who gets in by an invitation, how often, and for how long: a person's way to the pages that need a login."""

import base64
import json
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from hashlib import sha256
from http.cookies import Morsel, SimpleCookie
from threading import Barrier

import httpx
import pytest
from psycopg import connect, sql

from services.chassis.tokens import Role
from tests.support import posting
from tests.support.databases import dump
from tests.support.entering import COOKIE, HERE, claims_of, enter, invited, is_in
from tests.support.house import House

ELSEWHERE = {"Sec-Fetch-Site": "cross-site"}


@pytest.fixture(scope="module")
def own_house(houses: Callable[..., House]) -> House:
    """Start orientation alone, with a form to post."""
    house = houses()
    house.start("orientation", module=posting.MODULE)
    return house


@pytest.fixture
def browsers(own_house: House) -> Iterator[Callable[[], httpx.Client]]:
    """Return a factory of browsers, each with cookies of its own."""
    with ExitStack() as stack:

        def make() -> httpx.Client:
            client = httpx.Client(base_url=own_house.url("orientation"), headers=HERE, timeout=20, trust_env=False)
            return stack.enter_context(client)

        yield make


@pytest.fixture
def browser(browsers: Callable[[], httpx.Client]) -> httpx.Client:
    """Open the one browser that most tests need."""
    return browsers()


def set_cookie(answer: httpx.Response) -> Morsel[str]:
    """The one cookie that an answer sets."""
    (header,) = answer.headers.get_list("Set-Cookie")
    return SimpleCookie(header)[COOKIE]


def number_of_sessions(house: House, invitation: str) -> int:
    """How many sessions an invitation opened."""
    return dump(house.databases["orientation"])["sessions"].count(claims_of(invitation)["jti"])


def test_the_printed_link_leads_in(own_house: House, browser: httpx.Client) -> None:
    """`relais invite` prints one line; its page says for whom and has one button, which leads to `/`, inside."""
    done = own_house.relais("invite", "agent", "fs-moreuil")
    assert (done.returncode, done.stderr, done.stdout.count("\n")) == (0, "", 1)
    link = done.stdout.strip()
    assert link.startswith(f"{own_house.url('orientation')}/login?invitation=")
    page = browser.get(link)
    assert page.status_code == 200
    assert "Ce lien ouvre les pages de «&nbsp;fs-moreuil&nbsp;» (rôle&nbsp;: agent)." in page.text
    assert re.findall(r"<button[^>]*>([^<]+)", page.text) == ["Entrer"]
    hidden = re.search(
        r'<form method="post" action="./login">\s*<input type="hidden" name="(\w+)" value="([^"]+)">', page.text
    )
    assert hidden is not None
    answer = browser.post("/login", data={hidden[1]: hidden[2]})
    assert answer.status_code == 200
    assert f"{own_house.url('referral')}/login?" in answer.text  # and so on, to all pages of an agent
    assert "Se déconnecter" in browser.get("/").text


@pytest.mark.parametrize(("role", "org"), [("steering", "hem"), ("ops", "x")])
def test_who_has_no_page_with_a_login_is_not_invited(own_house: House, role: Role, org: str) -> None:
    """Exit code 2, saying so; an organisation that the network files do not know is refused as by `relais token`."""
    done = own_house.relais("invite", role, org)
    assert (done.returncode, done.stdout) == (2, "")
    assert "no page with a login" in done.stderr
    unknown = own_house.relais("invite", "agent", "nowhere")
    assert (unknown.returncode, unknown.stdout) == (2, "")
    assert unknown.stderr == own_house.relais("token", "agent", "nowhere").stderr
    assert "relais invite agent fs-moreuil" in own_house.relais("invite", "--help").stdout


PAGES = {
    "agent": {"orientation", "referral", "intake", "reporting"},
    "site": {"orientation", "referral"},
    "partner": {"referral", "reporting"},
}


@pytest.mark.parametrize(
    ("arguments", "service"),
    [
        (("agent", "fs-moreuil"), "orientation"),
        (("site", "fs-moreuil", "--service", "referral"), "referral"),
        (("partner", "cpam"), "referral"),
    ],
)
def test_a_link_leads_to_the_roles_own_pages(own_house: House, arguments: tuple[str, ...], service: str) -> None:
    """Where the role's work begins, or where `--service` says; its invitation is for each service with such pages."""
    address, _, invitation = own_house.relais("invite", *arguments).stdout.strip().partition("/login?invitation=")
    assert address == own_house.url(service)
    named = [each.rpartition("/")[2] for each in claims_of(invitation)["aud"]]
    assert named[0] == service
    assert set(named) == PAGES[arguments[0]]


def test_a_role_is_not_invited_where_it_has_no_page(own_house: House) -> None:
    """Exit code 2, naming the services where it has some."""
    for service in ("orientation", "nowhere"):
        done = own_house.relais("invite", "partner", "cpam", "--service", service)
        assert (done.returncode, done.stdout) == (2, "")
        assert "partner has no page there; it has at referral" in done.stderr


def test_a_link_lets_in_once(own_house: House, browsers: Callable[[], httpx.Client]) -> None:
    """The second browser stays outside; opening the link any number of times before does not use it up."""
    first, second, invitation = browsers(), browsers(), invited(own_house)
    for _ in range(2):
        assert "Entrer" in second.get("/login", params={"invitation": invitation}).text
        assert second.head("/login", params={"invitation": invitation}).status_code == 200
    assert enter(first, invitation).status_code == 303
    refused = enter(second, invitation)
    assert (refused.status_code, refused.headers.get("Set-Cookie")) == (403, None)
    again = second.get("/login", params={"invitation": invitation})
    assert again.status_code == 403
    assert "Entrer" not in again.text
    assert (is_in(first), is_in(second)) == (True, False)
    assert number_of_sessions(own_house, invitation) == 1


def test_who_presses_twice_is_in(own_house: House, browsers: Callable[[], httpx.Client]) -> None:
    """Whose session this very link opened is sent on, with no other one; not with another's session, not after it."""
    agent, other, invitation = browsers(), browsers(), invited(own_house)
    enter(agent, invitation)
    again = enter(agent, invitation)
    assert (again.status_code, again.headers["Location"], again.headers.get("Set-Cookie")) == (303, "./", None)
    assert number_of_sessions(own_house, invitation) == 1
    enter(other, invited(own_house))
    refused = enter(other, invitation)
    assert refused.status_code == 403
    assert '<a href="./">' in refused.text
    agent.post("/logout")
    assert enter(agent, invitation).status_code == 403
    assert not is_in(agent)


def test_of_many_at_once_one_gets_in(own_house: House, browsers: Callable[[], httpx.Client]) -> None:
    """Eight browsers press « Entrer » on the same link at the same moment: exactly one session."""
    invitation, crowd, start = invited(own_house), [browsers() for _ in range(8)], Barrier(8)

    def press(browser: httpx.Client) -> int:
        start.wait(10)
        return enter(browser, invitation).status_code

    with ThreadPoolExecutor(len(crowd)) as pool:
        assert sorted(pool.map(press, crowd)) == [303] + [403] * 7
    assert sorted(map(is_in, crowd)) == [False] * 7 + [True]
    assert number_of_sessions(own_house, invitation) == 1


def test_the_cookie_is_for_this_browser_only(own_house: House, browser: httpx.Client) -> None:
    """HttpOnly, SameSite=Lax, twelve hours, not Secure on 127.0.0.1; 256 bits, and the database holds their hash."""
    cookie = set_cookie(enter(browser, invited(own_house)))
    assert (cookie["httponly"], cookie["samesite"], cookie["path"], cookie["secure"]) == (True, "Lax", "/", "")
    assert cookie["max-age"] == str(12 * 3600)
    assert cookie["domain"] == ""
    assert len(base64.urlsafe_b64decode(cookie.value + "=")) == 32
    tables = json.dumps(dump(own_house.databases["orientation"]))
    assert cookie.value not in tables
    assert sha256(cookie.value.encode()).hexdigest() in tables


def test_logging_out_ends_a_stolen_cookie_too(own_house: House, browsers: Callable[[], httpx.Client]) -> None:
    """Both browsers are out after one logs out; the cookie is taken back, and logging out again does no harm."""
    agent, thief = browsers(), browsers()
    enter(agent, invited(own_house))
    thief.cookies.set(COOKIE, agent.cookies[COOKIE])
    assert is_in(thief)
    answer = agent.post("/logout")
    assert (answer.status_code, answer.headers["Location"]) == (303, "./login")
    assert (set_cookie(answer).value, set_cookie(answer)["max-age"]) == ("", "0")
    assert (is_in(agent), is_in(thief)) == (False, False)
    assert agent.post("/logout").status_code == 303


def test_logging_in_again_ends_the_session_before(own_house: House, browsers: Callable[[], httpx.Client]) -> None:
    """A browser has one session, and so one to log out of; that of another browser goes on."""
    agent, thief, other = browsers(), browsers(), browsers()
    enter(other, invited(own_house))
    enter(agent, invited(own_house))
    thief.cookies.set(COOKIE, agent.cookies[COOKIE])
    assert is_in(thief)
    assert enter(agent, invited(own_house)).status_code == 303
    assert (is_in(agent), is_in(thief), is_in(other)) == (True, False, True)


def test_a_session_ends_by_itself(own_house: House, browser: httpx.Client) -> None:
    """The browser still has its cookie, and it is worth nothing after twelve hours."""
    invitation = invited(own_house)
    enter(browser, invitation)
    assert is_in(browser)
    grow_old(own_house, invitation, "11 hours 59 minutes")
    assert is_in(browser)
    grow_old(own_house, invitation, "1 minute")
    assert COOKIE in browser.cookies
    assert not is_in(browser)


def grow_old(house: House, invitation: str, by: str) -> None:
    """Make a session older."""
    aged = "UPDATE sessions SET expires_at = expires_at - {}::interval WHERE subject = 'invitation:' || {}"
    with connect(house.databases["orientation"].replace("postgresql+psycopg", "postgresql")) as connection:
        connection.execute(sql.SQL(aged).format(by, claims_of(invitation)["jti"]))


def test_without_a_session_one_is_sent_to_the_login(own_house: House, browser: httpx.Client) -> None:
    """303 for GET, with or without a cookie that was never given; the page there says how to get in."""
    assert not is_in(browser)
    browser.cookies.set(COOKIE, "A" * 43)
    assert not is_in(browser)
    page = browser.get("/login")
    assert page.status_code == 200
    assert "demandez un lien à la personne qui administre Relais" in page.text
    assert "n’est pas valable" not in page.text
    refused = browser.post(posting.PATH, data={"name": "x"})
    assert refused.status_code == 403
    assert "La session est terminée" in refused.text
    bearer = browser.get("/", headers=own_house.bearer("agent", "fs-moreuil"))
    assert bearer.status_code == 303


def test_a_page_is_for_its_roles(own_house: House, browsers: Callable[[], httpx.Client]) -> None:
    """403 as a page in French for a role it does not name, also for one that may see others; one can log out there."""
    site, agent = browsers(), browsers()
    enter(site, invited(own_house, "site"))
    enter(agent, invited(own_house, "agent"))
    assert (is_in(site), is_in(agent)) == (True, True)
    refused, taken = (browser.post(posting.PATH, data={"name": "x"}) for browser in (site, agent))
    assert (refused.status_code, refused.headers["Content-Type"]) == (403, "text/html; charset=utf-8")
    assert "<h1>Accès refusé</h1>" in refused.text
    assert "Se déconnecter" in refused.text
    assert (taken.status_code, taken.json()) == (200, {"caller": "fs-moreuil", "name": "x", "colours": []})


def test_an_organisation_without_a_page_can_log_out(own_house: House, browser: httpx.Client) -> None:
    """Its page is an error, as long as the network files do not know it; it is no dead end."""
    enter(browser, invited(own_house, org="gone"))
    refused = browser.get("/")
    assert refused.status_code == 403
    assert "Se déconnecter" in refused.text
    browser.post("/logout")
    assert not is_in(browser)
    assert "Se déconnecter" not in enter(browser, "garbage").text


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param(ELSEWHERE, id="from another site"),
        pytest.param({"Sec-Fetch-Site": "same-site"}, id="from a neighbour"),
        pytest.param({"Sec-Fetch-Site": "", "Origin": "https://evil.example"}, id="an old browser from elsewhere"),
        pytest.param({"Sec-Fetch-Site": "", "Origin": "null"}, id="from nowhere"),
        pytest.param({"Sec-Fetch-Site": ""}, id="saying nothing"),
    ],
)
def test_what_another_site_posts_is_refused(own_house: House, browser: httpx.Client, headers: dict[str, str]) -> None:
    """403 on every POST, and it has had no effect: the invitation stays good, the session stays open."""
    enter(browser, invited(own_house))
    fresh = invited(own_house)
    for path, data in (("/login", {"invitation": fresh}), ("/logout", {}), (posting.PATH, {"name": "x"})):
        request = browser.build_request("POST", path, data=data, headers=headers)
        if not request.headers["Sec-Fetch-Site"]:
            del request.headers["Sec-Fetch-Site"]
        answer = browser.send(request)
        assert (answer.status_code, answer.headers["Content-Type"]) == (403, "text/html; charset=utf-8")
        assert "Cette demande ne vient pas d’une page de ce service" in answer.text
        assert answer.headers.get("Set-Cookie") is None
    assert number_of_sessions(own_house, fresh) == 0
    assert is_in(browser)
    origin = {"Origin": own_house.url("orientation")}
    request = browser.build_request("POST", posting.PATH, data={"name": "x"}, headers=origin)
    del request.headers["Sec-Fetch-Site"]
    assert browser.send(request).status_code == 200


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        pytest.param("name=a&colours=red&colours=blue", "application/x-www-form-urlencoded", 200, id="a form"),
        pytest.param('{"name": "a"}', "application/json", 415, id="JSON"),
        pytest.param("colours=red", "application/x-www-form-urlencoded", 422, id="a field missing"),
        pytest.param("name=a&name=b", "application/x-www-form-urlencoded", 422, id="one field twice"),
        pytest.param("name=%FF", "application/x-www-form-urlencoded", 400, id="no text"),
        pytest.param("name=" + "a" * posting.LONGEST, "application/x-www-form-urlencoded", 413, id="too long"),
    ],
)
def test_a_form_is_read_as_a_browser_sends_it(
    own_house: House, browser: httpx.Client, body: str, content_type: str, status: int
) -> None:
    """A field that is a list takes all its values; what is no such form is refused by a page that quotes nothing."""
    enter(browser, invited(own_house))
    answer = browser.post(posting.PATH, content=body, headers={"Content-Type": content_type})
    assert answer.status_code == status
    if status == 200:
        assert answer.json() == {"caller": "fs-moreuil", "name": "a", "colours": ["red", "blue"]}
    else:
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        assert '<html lang="fr">' in answer.text
        assert "aaaa" not in answer.text


def test_pages_bring_nothing_from_elsewhere_and_tell_nobody(own_house: House, browser: httpx.Client) -> None:
    """One script of our own, no inline style, a policy that says so; a page's address is told to nobody it links to."""
    page = browser.get("/login", params={"invitation": invited(own_house)})
    assert re.findall(r"<script[^>]*>", page.text) == ['<script src="./assets/once.js" defer>']
    assert not re.search(r"style=|<style|\son\w+=", page.text)
    assert "style-src 'self'" in page.headers["Content-Security-Policy"]
    assert "script-src 'self'" in page.headers["Content-Security-Policy"]
    assert "script-src" not in browser.get("/login").headers["Content-Security-Policy"]
    assert page.headers["Referrer-Policy"] == "strict-origin"
    assert page.headers["Cache-Control"] == "no-store"
    assert browser.get("/assets/relais.css").headers["Content-Type"] == "text/css; charset=utf-8"
    assert browser.get("/assets/once.js").headers["Content-Type"] == "text/javascript; charset=utf-8"
    nearly = browser.get("/assets//relais.css")
    assert (nearly.status_code, nearly.headers["Content-Type"]) == (404, "application/problem+json")


def test_nobody_reads_an_invitation_in_a_log_or_a_metric(own_house: House, browser: httpx.Client) -> None:
    """Opened, used and refused: neither it nor the cookie nor any part of them is told."""
    invitation = invited(own_house)
    browser.get("/login", params={"invitation": invitation})
    enter(browser, invitation)
    enter(browser, invitation)
    browser.get("/login", params={"invitation": invitation})
    told = own_house.log("orientation") + own_house.metrics("orientation")
    assert 'route="/login",service="orientation",status="303"' in told
    for secret in (*invitation.split(".")[1:], claims_of(invitation)["jti"], browser.cookies[COOKIE]):
        assert secret not in told
