"""Who gets in by an OpenID provider, and who does not: a certified one, on TLS, before the services with pages."""

import re
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from psycopg import connect

from tests.support.databases import dump
from tests.support.entering import COOKIE, HERE, enter, invited, is_in
from tests.support.house import House
from tests.support.openid import CLIENT, OpenIdProvider, follow, log_in_at

ACCOUNTS: dict[str, dict[str, Any]] = {
    "amina": {"relais_role": "agent", "relais_org": "fs-moreuil"},
    "bruno": {"relais_role": "agent", "relais_org": "nowhere"},
    "chloe": {"relais_role": "partner", "relais_org": "cpam"},
    "denis": {"relais_role": "king", "relais_org": "fs-moreuil"},
    "elise": {"relais_role": "agent"},
    "farid": {},
    "gilda": {"relais_role": "agent", "relais_org": ["fs-moreuil"]},
}


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenIdProvider]:
    """Prepare the provider."""
    made = OpenIdProvider(tmp_path_factory.mktemp("openid"), ACCOUNTS)
    yield made
    made.stop()


@pytest.fixture(scope="module")
def own_house(houses: Callable[..., House], provider: OpenIdProvider) -> House:
    """Start the two services with pages for people, which trust the provider's certificate."""
    house = houses(**provider.environment, RELAIS_OIDC_NAME="Exemple Connect")
    house.start("orientation", "referral")
    return house


@pytest.fixture(autouse=True)
def _served(own_house: House, provider: OpenIdProvider) -> None:
    """Whatever a test did to the provider, the next one finds it."""
    if not provider.alive:
        provider.start(*homes(own_house))


@pytest.fixture
def browsers(own_house: House, provider: OpenIdProvider) -> Iterator[Callable[[], httpx.Client]]:
    """Return a factory of browsers, each with cookies of its own."""
    trusting = ssl.create_default_context(cafile=str(provider.authority.ca_path))
    with ExitStack() as stack:

        def make() -> httpx.Client:
            home = own_house.url("orientation")
            return stack.enter_context(
                httpx.Client(base_url=home, headers=HERE, timeout=20, trust_env=False, verify=trusting)
            )

        yield make


@pytest.fixture
def browser(browsers: Callable[[], httpx.Client]) -> httpx.Client:
    """Open the one browser that most tests need."""
    return browsers()


def homes(house: House) -> list[str]:
    """Where the provider may send people back to."""
    return [house.url("orientation"), house.url("referral")]


def brought_back(browser: httpx.Client, account: str = "amina") -> str:
    """Begin at our login page and log in with the provider; where it then sends the browser."""
    page = browser.get("/login")
    (link,) = re.findall(r'<a class="button" href="([^"]+)">Se connecter avec Exemple Connect</a>', page.text)
    start = browser.get(f"/{link.removeprefix('./')}")
    assert start.status_code == 303
    return log_in_at(browser, start.headers["Location"], account).headers["Location"]


def sessions_of(house: House) -> str:
    """What the database holds of sessions."""
    return dump(house.databases["orientation"])["sessions"]


def refused(answer: httpx.Response, status: int, words: str) -> bool:
    """Whether it is a French page that says these words and lets nobody in."""
    return (answer.status_code, answer.headers.get("Set-Cookie")) == (status, None) and words in answer.text


NOT_DONE, NOT_ONE_OF_US = "La connexion n’a pas abouti", "votre compte n’est rattaché à aucun site"


@pytest.mark.parametrize("claims_by_userinfo", [True, False], ids=["by userinfo", "in the ID token"])
def test_who_has_an_account_is_in(
    own_house: House, provider: OpenIdProvider, browser: httpx.Client, *, claims_by_userinfo: bool
) -> None:
    """For the site that the provider tells, wherever it tells it; the session is one like any other, and so its end."""
    provider.stop()
    provider.start(*homes(own_house), claims_by_userinfo=claims_by_userinfo)
    answer = browser.get(brought_back(browser))
    assert (answer.status_code, answer.headers["Location"]) == (303, "../")
    assert f"{COOKIE}=" in answer.headers["Set-Cookie"]
    assert "HttpOnly" in answer.headers["Set-Cookie"]
    page = follow(browser, answer)
    assert "Moreuil" in page.text
    assert "oidc:amina" in sessions_of(own_house)


def test_what_the_browser_carries_to_the_provider(
    own_house: House, provider: OpenIdProvider, browser: httpx.Client
) -> None:
    """A code flow with PKCE; state and nonce, and a cookie of ten minutes from which nobody else can tell them."""
    start = browser.get("/oidc/start")
    address = urlsplit(start.headers["Location"])
    assert f"{address.scheme}://{address.netloc}" == provider.issuer
    asked = {name: value for name, (value,) in parse_qs(address.query).items()}
    assert asked["response_type"] == "code"
    assert asked["client_id"] == CLIENT
    assert asked["redirect_uri"] == f"{own_house.url('orientation')}/oidc/callback"
    assert asked["code_challenge_method"] == "S256"
    secret = browser.cookies[f"{COOKIE}_oidc"]
    drawn = {asked["state"], asked["nonce"], asked["code_challenge"], secret}
    assert len(drawn) == 4
    assert {len(each) for each in drawn} == {43}
    for word in ("HttpOnly", "Max-Age=600", "SameSite=Lax", "Path=/"):
        assert word in start.headers["Set-Cookie"]


def test_any_replica_goes_on(own_house: House, browser: httpx.Client) -> None:
    """Begun with one process and ended with another: nothing is kept in either."""
    back = brought_back(browser)
    twin = House(own_house.folder, own_house.environment["RELAIS_AMQP_URL"], own_house.databases)
    twin.environment = own_house.environment | {
        "RELAIS_ORIENTATION_HTTP": f"127.0.0.1:{twin.ports['orientation']}",
        "RELAIS_PUBLIC_URL": own_house.url("orientation"),
    }
    twin.start("orientation")
    try:
        answer = browser.get(back.replace(own_house.url("orientation"), twin.url("orientation")))
    finally:
        twin.close()
    assert answer.status_code == 303
    assert is_in(browser)


def test_who_is_in_at_one_service_is_in_at_the_other_without_a_password(
    own_house: House, browsers: Callable[[], httpx.Client]
) -> None:
    """The provider knows them already; a partner, whom orientation has nothing for, is in at referral."""
    agent, partner, referral = browsers(), browsers(), own_house.url("referral")
    agent.get(brought_back(agent))
    back = log_in_at(agent, agent.get(f"{referral}/oidc/start").headers["Location"], "nobody").headers["Location"]
    assert follow(agent, agent.get(back)).url == f"{referral}/"
    start = partner.get(f"{referral}/oidc/start").headers["Location"]
    page = follow(partner, partner.get(log_in_at(partner, start, "chloe").headers["Location"]))
    assert page.status_code == 200
    assert page.url == f"{referral}/"


@pytest.mark.parametrize("account", sorted(set(ACCOUNTS) - {"amina"}))
def test_whom_the_network_does_not_know_stays_outside(own_house: House, browser: httpx.Client, account: str) -> None:
    """An unknown site, a role without a page here, no such role, no claim, one of another kind: the same clear page."""
    before = sessions_of(own_house)
    assert refused(browser.get(brought_back(browser, account)), 403, NOT_ONE_OF_US)
    assert not is_in(browser)
    assert sessions_of(own_house) == before


def test_a_wrong_state_opens_nothing(own_house: House, browsers: Callable[[], httpx.Client]) -> None:
    """Altered, left out, or brought by a browser that did not begin: nobody can log somebody else in as themselves."""
    browser, other, stranger = browsers(), browsers(), browsers()
    back, before = brought_back(browser), sessions_of(own_house)
    state = parse_qs(urlsplit(back).query)["state"][0]
    other.get("/oidc/start")
    for who, address in (
        (browser, back.replace(state, "A" * 43)),
        (browser, back.replace(f"state={state}", "state=")),
        (browser, back.replace(state, "%C3%A9")),
        (other, back),
        (stranger, back),
    ):
        assert refused(who.get(address), 403, NOT_DONE)
    assert sessions_of(own_house) == before
    assert browser.get(back).status_code == 303


def test_a_code_is_good_once(own_house: House, browser: httpx.Client) -> None:
    """Brought a second time it opens no second session, and the first one goes on."""
    back = brought_back(browser)
    assert browser.get(back).status_code == 303
    before = sessions_of(own_house)
    assert refused(browser.get(back), 403, NOT_DONE)
    assert sessions_of(own_house) == before
    assert is_in(browser)


def test_a_code_for_another_client_opens_nothing(own_house: House, browser: httpx.Client) -> None:
    """The person did log in, for a neighbour of ours: the provider does not give us its token."""
    start = browser.get("/oidc/start").headers["Location"].replace(f"client_id={CLIENT}", "client_id=neighbour")
    back = log_in_at(browser, start, "amina").headers["Location"]
    assert "code=" in back
    assert refused(browser.get(back), 403, NOT_DONE)
    assert not is_in(browser)
    assert "openid login refused" in own_house.log("orientation")


def test_another_browsers_verifier_does_not_fit(browsers: Callable[[], httpx.Client]) -> None:
    """A stolen code, brought with a state of the thief's own, is refused by PKCE."""
    agent, thief = browsers(), browsers()
    stolen = parse_qs(urlsplit(brought_back(agent)).query)["code"][0]
    own = brought_back(thief, "farid")
    mixed = own.replace(parse_qs(urlsplit(own).query)["code"][0], stolen)
    assert refused(thief.get(mixed), 403, NOT_DONE)
    assert not is_in(thief)


def test_what_the_provider_refuses_and_what_is_no_answer_of_its(own_house: House, browser: httpx.Client) -> None:
    """An error it reports, another issuer's name, nothing at all: a page that says to begin again, quoting nothing."""
    back = brought_back(browser)
    state = parse_qs(urlsplit(back).query)["state"][0]
    code = parse_qs(urlsplit(back).query)["code"][0]
    for query in (
        f"state={state}&error=access_denied&error_description=aaaa",
        f"state={state}&code={code}&iss=https://evil.example",
        f"state={state}&code={code}",
        f"state={state}",
        f"state={state}&code=aaaa&iss={parse_qs(urlsplit(back).query)['iss'][0]}",
        "",
    ):
        answer = browser.get(f"/oidc/callback?{query}")
        assert refused(answer, 403, NOT_DONE), query
        assert "aaaa" not in answer.text
        assert "evil" not in answer.text
    assert code not in own_house.log("orientation")
    assert state not in own_house.log("orientation")


def test_while_the_provider_is_away_invitations_let_in(
    own_house: House, provider: OpenIdProvider, browsers: Callable[[], httpx.Client]
) -> None:
    """At the start, on the way back and at logout: a page that says so, within seconds; the link is another way in."""
    late, agent, new, guest = browsers(), browsers(), browsers(), browsers()
    back = brought_back(late)
    agent.get(brought_back(agent))
    provider.stop()
    assert refused(late.get(back), 503, "Le service par lequel vous vous connectez ne répond pas")
    own_house.stop("orientation")  # and with it what it kept of the provider
    own_house.start("orientation")
    for answer in (new.get("/oidc/start"), late.get(back)):
        assert refused(answer, 503, "Le service par lequel vous vous connectez ne répond pas")
        assert "demandez un lien de connexion" in answer.text.replace("\n", " ")
    assert enter(guest, invited(own_house)).status_code == 303
    assert (is_in(guest), is_in(agent), is_in(late)) == (True, True, False)
    out = agent.post("/logout")
    assert (out.status_code, out.headers["Location"]) == (303, "./login")
    assert not is_in(agent)


def test_logging_in_again_ends_the_session_before(browsers: Callable[[], httpx.Client]) -> None:
    """Whoever has the cookie of the first is out."""
    agent, thief = browsers(), browsers()
    agent.get(brought_back(agent))
    thief.cookies.set(COOKIE, agent.cookies[COOKIE])
    known = log_in_at(agent, agent.get("/oidc/start").headers["Location"], "nobody")
    assert agent.get(known.headers["Location"]).status_code == 303
    assert (is_in(agent), is_in(thief)) == (True, False)


def test_new_keys_are_found_at_once(
    own_house: House, provider: OpenIdProvider, browsers: Callable[[], httpx.Client]
) -> None:
    """Those that were kept for some minutes do not fit any more once the provider has others."""
    first, second = browsers(), browsers()
    assert first.get(brought_back(first)).status_code == 303
    provider.stop()
    provider.start(*homes(own_house))
    assert second.get(brought_back(second)).status_code == 303


def test_logging_out_leads_to_the_provider_too(
    own_house: House, provider: OpenIdProvider, browsers: Callable[[], httpx.Client]
) -> None:
    """Our session is dead, whoever has its cookie; the page leads on to where the provider asks, and then back."""
    agent, thief, guest = browsers(), browsers(), browsers()
    agent.get(brought_back(agent))
    thief.cookies.set(COOKIE, agent.cookies[COOKIE])
    page = agent.post("/logout")
    assert page.status_code == 200
    assert (is_in(agent), is_in(thief)) == (False, False)
    (address,) = {unescape(each) for each in re.findall(r'(?:url=|href=")(https:[^"]+)"', page.text)}
    assert address.startswith(f"{provider.issuer}/session/end?")
    asking = agent.get(address)
    assert asking.status_code == 200
    form = re.search(r'action="([^"]+)".*?name="xsrf" value="([^"]+)"', asking.text, re.DOTALL)
    assert form is not None
    left = agent.post(form[1], data={"xsrf": form[2], "logout": "yes"})
    assert left.headers["Location"] == f"{own_house.url('orientation')}/login"
    again = agent.get(agent.get("/oidc/start").headers["Location"])
    assert "/interaction/" in again.headers["Location"], "the provider asks for the password again"
    enter(guest, invited(own_house))
    assert guest.post("/logout").headers["Location"] == "./login"


def test_a_session_ends_by_itself(own_house: House, browser: httpx.Client) -> None:
    """After twelve hours one is sent to the login page, and the provider, which still knows the person, lets in."""
    browser.get(brought_back(browser))
    with connect(own_house.databases["orientation"].replace("postgresql+psycopg", "postgresql")) as connection:
        connection.execute("UPDATE sessions SET expires_at = expires_at - interval '12 hours'")
    assert not is_in(browser)
    known = log_in_at(browser, browser.get("/oidc/start").headers["Location"], "nobody")
    assert browser.get(known.headers["Location"]).status_code == 303
    assert is_in(browser)


def test_without_a_provider_nothing_of_it_is_there(house: House) -> None:
    """The login page speaks of links only, and the addresses are unknown."""
    home = house.url("orientation")
    assert "Se connecter avec" not in house.client.get(f"{home}/login").text
    for path in ("/oidc/start", "/oidc/callback?code=a&state=b"):
        assert house.client.get(f"{home}{path}").status_code == 404


def test_a_secret_that_cannot_be_read_stops_the_start(own_house: House) -> None:
    """Exit code 2, naming the variable: not at the first login, when nobody looks."""
    done = own_house.relais("run", "--service", "orientation", RELAIS_OIDC_CLIENT_SECRET_FILE="/nowhere")  # noqa: S106 - a path
    assert done.returncode == 2
    assert done.stderr.startswith("RELAIS_OIDC_CLIENT_SECRET_FILE: cannot read it")
