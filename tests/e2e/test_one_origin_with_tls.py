"""The four services behind the shipped reverse proxy: one origin, with TLS, as people and programs reach them."""

import base64
import json
import re
import socket
import ssl
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from html import unescape
from http.cookies import SimpleCookie
from urllib.parse import urljoin, urlsplit

import httpx
import pytest

from services.chassis.settings import Settings
from services.chassis.tokens import Tokens
from services.contracts.topology import SERVICES
from tests.support.house import House, eventually, visit
from tests.support.proxy import NAME, Proxy

COOKIE = "__Host-relais_orientation"


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """Prepare nginx."""
    made = Proxy(tmp_path_factory.mktemp("nginx"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def behind(houses: Callable[..., House], proxy: Proxy) -> House:
    """Start the four services, which are told their public addresses, and nginx before them."""
    house = houses(RELAIS_PUBLIC_URL=f"{proxy.origin}/{{service}}")
    house.start()
    proxy.start(house.ports)
    return house


@pytest.fixture
def browsers(behind: House, proxy: Proxy) -> Iterator[Callable[[], httpx.Client]]:  # noqa: ARG001 - must run
    """Return a factory of browsers, each with cookies of its own."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(proxy.browser())


@pytest.fixture
def browser(browsers: Callable[[], httpx.Client]) -> httpx.Client:
    """Open the one browser that most tests need."""
    return browsers()


def press(browser: httpx.Client, page: httpx.Response, **fields: str) -> httpx.Response:
    """Post the last form of a page to where it says, with its hidden fields."""
    action = re.findall(r'<form[^>]* action="([^"]+)"', page.text)[-1]
    hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page.text))
    return browser.post(urljoin(str(page.url), action), data=hidden | fields)


def follow(browser: httpx.Client, answer: httpx.Response) -> httpx.Response:
    """Go where an answer says."""
    assert answer.status_code == 303, answer.text
    return browser.get(urljoin(str(answer.url), answer.headers["Location"]))


def led_on(browser: httpx.Client, answer: httpx.Response) -> httpx.Response:
    """From service to service as a browser is, by what its scripts press; the page where work begins."""
    while further := re.search(r'http-equiv="refresh" content="0; url=([^"]+)"', answer.text):
        page = browser.get(unescape(further[1]), headers={"Sec-Fetch-Site": "same-origin"})
        if "data-at-once" not in page.text:
            return page
        answer = press(browser, page)
    return follow(browser, answer)


def link_of(house: House, service: str = "orientation") -> str:
    """What `relais invite` prints for an agent, without the origin."""
    return f"/{service}/login?invitation={house.tokens.invite('agent', 'fs-moreuil', service)}"


def come_in(house: House, browser: httpx.Client, service: str = "orientation") -> httpx.Response:
    """Open a link and press « Entrer »; the first page inside."""
    return follow(browser, press(browser, browser.get(link_of(house, service))))


def inside(browser: httpx.Client) -> bool:
    """Whether orientation's first page is shown."""
    answer = browser.get("/orientation/")
    assert answer.status_code in {200, 303}
    return answer.status_code == 200


def test_a_visit_goes_all_the_way_by_the_addresses_in_the_answers(behind: House, proxy: Proxy) -> None:
    """Posted over TLS; each link in an answer and in an event leads on through the same origin."""
    body = visit()
    with proxy.browser() as site:
        posted = site.post("/intake/v1/visits", json=body, headers=behind.bearer("site", "fs-moreuil"))
        assert posted.status_code == 201, posted.text
        case = posted.json()["links"]["case"]
        assert case.startswith(f"{proxy.origin}/reporting/v1/cases/")
        agent = behind.bearer("agent", "fs-moreuil")
        eventually(lambda: site.get(case, headers=agent).status_code == 200)
        (referral,) = behind.sent(body)
        partner = behind.bearer("partner", referral["partner"])
        events = eventually(
            lambda: site.get("/referral/v1/referrals/events", headers=partner).json()["events"],
        )
        event = events[0]
        assert event["dataschema"].startswith(f"{proxy.origin}/referral/schemas/")
        assert site.get(event["dataschema"]).status_code == 200
        answers = event["data"]["links"]["answers"]
        form = {"answer_id": body["visit_id"], "status": "accepted"}
        assert site.post(answers, json=form, headers=partner).status_code == 201


def test_an_invitation_lets_a_browser_in_once(behind: House, browsers: Callable[[], httpx.Client]) -> None:
    """By link, form and redirect, none of which names the prefix; the cookie is for this host, encrypted, hidden."""
    browser, second = browsers(), browsers()
    link = behind.relais("invite", "agent", "fs-moreuil").stdout.strip()
    answer = press(browser, browser.get(link))
    header = answer.headers["Set-Cookie"]
    cookie = SimpleCookie(header)[COOKIE]
    assert (cookie["secure"], cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, True, "Lax", "/")
    assert cookie["domain"] == ""
    page = led_on(browser, answer)
    assert page.url.path == "/orientation/"
    assert "Se déconnecter" in page.text
    assert len(browser.cookies) == len(SERVICES)
    assert second.get(link).status_code == 403
    used = second.post("/orientation/login", data={"invitation": link.partition("invitation=")[2]})
    assert (used.status_code, used.headers.get("Set-Cookie")) == (403, None)


def test_every_address_on_every_page_leads_somewhere(behind: House, browser: httpx.Client) -> None:
    """Links, style sheets, scripts, forms of all pages that an agent can reach from the first one, and of an error."""
    body = visit()
    behind.post_visit(body)
    (referral,) = behind.sent(body)
    for service in ("orientation", "referral"):
        come_in(behind, browser, service)
    refused = browser.post("/orientation/fiches", data={"need": "a", "unknown": "b"})
    assert refused.status_code == 422
    to_see = {"/", "/orientation/login", "/orientation/login?invitation=x"}
    seen, pages = set(), [refused]
    while to_see:
        path = to_see.pop()
        seen.add(path)
        page = browser.get(path)
        assert page.status_code in {200, 303, 403}, path
        pages.append(page)
        for kind, address in re.findall(r'(href|src|action)="([^"#]+)', page.text):
            target = urlsplit(urljoin(str(page.url), address))
            if target.scheme in {"tel", "mailto"}:
                continue
            assert target.netloc == f"{NAME}:{browser.base_url.port}"
            if kind != "action" and target.path not in seen:
                to_see.add(target.path)
    for page in pages:
        for action in re.findall(r'action="([^"]+)"', page.text):
            path = urljoin(str(page.url), action)
            assert browser.options(path).status_code not in {404, 301}, path
        assert not re.search(r'(?:href|src|action)="/', page.text)
    assert {"/orientation/assets/relais.css", "/orientation/annuaire", "/orientation/fiches"} <= seen
    assert f"/referral/orientations/{referral['referral_id']}" in seen


def test_a_stolen_cookie_dies_at_logout(behind: House, browsers: Callable[[], httpx.Client]) -> None:
    """The thief was in, and is not any more, as the one who pressed the button."""
    agent, thief = browsers(), browsers()
    page = come_in(behind, agent)
    thief.cookies.set(COOKIE, agent.cookies[COOKIE], domain=NAME)
    assert inside(thief)
    button = re.search(r'class="logout" method="post" action="([^"]+)"', page.text)
    assert button is not None
    out = follow(agent, agent.post(urljoin(str(page.url), button[1])))
    assert out.url.path == "/orientation/login"
    assert (inside(agent), inside(thief)) == (False, False)


def test_what_another_site_posts_is_refused(behind: House, browser: httpx.Client, proxy: Proxy) -> None:
    """By its Origin, whatever it claims was forwarded; from our own origin it is taken."""
    come_in(behind, browser)
    del browser.headers["Sec-Fetch-Site"]
    forged = {"Origin": "https://evil.example", "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https"}
    assert browser.post("/orientation/logout", headers=forged).status_code == 403
    assert inside(browser)
    assert browser.post("/orientation/logout", headers={"Origin": proxy.origin}).status_code == 303


def unsigned(house: House) -> str:
    """A token that says it needs no signature."""
    _, claims, _ = house.tokens.sign("site", "fs-moreuil").split(".")
    return base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').decode().rstrip("=") + f".{claims}."


def by_another_key(house: House) -> str:
    """A token by somebody who knows everything but the key."""
    folder = house.folder / "forger"
    folder.mkdir(exist_ok=True)
    return Tokens(Settings(state=folder)).sign("site", "fs-moreuil")


def for_another_audience(house: House) -> str:
    """A token by our own key, for somebody else."""
    return Tokens(Settings(state=house.folder, jwt_audience="elsewhere")).sign("site", "fs-moreuil")


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(by_another_key, id="forged"),
        pytest.param(lambda house: house.tokens.sign("site", "fs-moreuil")[:-8] + "AAAAAAAA", id="altered"),
        pytest.param(lambda house: house.tokens.sign("site", "fs-moreuil", valid=timedelta(minutes=-1)), id="expired"),
        pytest.param(unsigned, id="alg none"),
        pytest.param(for_another_audience, id="another audience"),
        pytest.param(lambda house: house.tokens.invite("site", "fs-moreuil", "orientation"), id="invitation"),
    ],
)
def test_a_token_that_is_none_is_refused(behind: House, browser: httpx.Client, make: Callable[[House], str]) -> None:
    """401 at each service; nothing is recorded."""
    headers = {"Authorization": f"Bearer {make(behind)}"}
    assert browser.post("/intake/v1/visits", json=visit(), headers=headers).status_code == 401
    for path in ("/orientation/v1/services", "/referral/v1/referrals", "/reporting/v1/reports/activity"):
        assert browser.get(path, headers=headers).status_code == 401
    right = behind.bearer("site", "fs-moreuil")
    assert browser.get("/referral/v1/referrals", headers=right).status_code == 200


def test_who_does_not_trust_the_certificate_refuses(behind: House, proxy: Proxy) -> None:  # noqa: ARG001 - must run
    """And who trusts it does so for this name only; asked for another one, the proxy shows no certificate at all."""
    with (
        proxy.browser(trusting=False) as stranger,
        pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"),
    ):
        stranger.get("/reporting/")
    other = proxy.origin.replace(NAME, "other.test")
    with proxy.browser(origin=other) as browser, pytest.raises(httpx.ConnectError, match="UNRECOGNIZED_NAME"):
        browser.get("/reporting/")


def test_plain_http_leads_to_tls_and_takes_nothing(behind: House, proxy: Proxy) -> None:
    """A page asked for is redirected, a post refused; on the port of TLS itself plain HTTP is answered by 400."""
    with proxy.browser(origin=f"http://{NAME}:{proxy.plain_port}") as plain:
        page = plain.get("/orientation/login?a=b")
        assert (page.status_code, page.headers["Location"]) == (301, f"https://{NAME}/orientation/login?a=b")
        posted = plain.post("/intake/v1/visits", json=visit(), headers=behind.bearer("site", "fs-moreuil"))
        assert (posted.status_code, posted.headers.get("Location")) == (403, None)
    with proxy.browser(origin=f"http://{NAME}:{proxy.port}") as wrong:
        answer = wrong.get("/reporting/")
        assert answer.status_code == 400
        assert "Activité" not in answer.text


@pytest.mark.parametrize(
    ("version", "spoken"),
    [
        (ssl.TLSVersion.TLSv1, None),
        (ssl.TLSVersion.TLSv1_1, None),
        (ssl.TLSVersion.TLSv1_2, "TLSv1.2"),
        (ssl.TLSVersion.TLSv1_3, "TLSv1.3"),
    ],
)
def test_only_todays_tls_is_spoken(behind: House, proxy: Proxy, version: ssl.TLSVersion, spoken: str | None) -> None:  # noqa: ARG001 - must run
    """1.2 and 1.3; to what is older the proxy itself says no."""
    context = ssl.create_default_context(cafile=str(proxy.authority.ca_path))
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        context.minimum_version = context.maximum_version = version
    with socket.create_connection(("127.0.0.1", proxy.port), 10) as raw:
        if spoken is None:
            with pytest.raises(ssl.SSLError, match="ALERT_PROTOCOL_VERSION"):
                context.wrap_socket(raw, server_hostname=NAME)
            return
        with context.wrap_socket(raw, server_hostname=NAME) as encrypted:
            assert encrypted.version() == spoken


@pytest.mark.parametrize("service", SERVICES)
def test_what_is_for_operators_is_not_outside(behind: House, browser: httpx.Client, service: str) -> None:
    """404 through the proxy however the path is written, 200 on the service's own port."""
    for name in ("metrics", "healthz", "readyz"):
        assert behind.client.get(f"{behind.url(service)}/{name}").status_code == 200
        encoded = f"%{ord(name[0]):x}{name[1:]}"
        for path in (name, encoded, f"/{name}", f"%2f{name}", f"./{name}", f"x/../{name}", f"{name}/", f"{name}?a"):
            request = httpx.Request("GET", browser.base_url.copy_with(raw_path=f"/{service}/{path}".encode()))
            request.headers["Host"] = NAME
            assert browser.send(request).status_code == 404, path
    assert browser.get(f"/{service}/openapi.json").status_code == 200


def test_a_body_is_as_long_as_the_services_say(behind: House, proxy: Proxy, browser: httpx.Client) -> None:
    """A batch of 15 MiB gets through, of 17 MiB not; elsewhere 64 KiB; none is written to the proxy's disk.

    Its folders for them are divided, and the first file there would have left a subfolder behind.
    """
    site = behind.bearer("site", "fs-moreuil")
    lines = site | {"Content-Type": "application/x-ndjson"}
    long = browser.post("/intake/v1/visits/batch", content=b"\n" * (15 << 20), headers=lines)
    assert long.headers["Content-Type"] in {"application/x-ndjson", "application/problem+json"}
    assert long.status_code != 413
    for path, size in (("/intake/v1/visits/batch", 17 << 20), ("/intake/v1/visits", 65 << 10)):
        answer = browser.post(path, content=b" " * size, headers=lines)
        assert (answer.status_code, answer.headers["Content-Type"]) == (413, "application/problem+json")
        assert answer.json()["type"] == "/problems/too-large"
    for folder in ("body", "proxy"):
        assert list((proxy.folder / folder).iterdir()) == []


def test_pages_are_told_to_come_back_by_tls(behind: House, browser: httpx.Client) -> None:  # noqa: ARG001 - must run
    """Whatever answers, services or proxy; the origin's first page leads on, a prefix without its slash as well."""
    for path in ("/", "/reporting/", "/nowhere", "/orientation/login"):
        assert browser.get(path).headers["Strict-Transport-Security"] == "max-age=31536000"
    first = browser.get("/")
    assert {"orientation/", "referral/", "reporting/"} <= set(re.findall(r'href="([^"#]+)"', first.text))
    slash = browser.get("/reporting")
    assert (slash.status_code, slash.headers["Location"]) == (301, "/reporting/")
    assert "nginx/" not in first.headers["Server"]


def test_while_a_service_is_away_the_others_go_on(behind: House, proxy: Proxy, browser: httpx.Client) -> None:
    """A page for people, a problem for programs, both with Retry-After; and no log ever holds an invitation."""
    link = link_of(behind)
    invitation = link.partition("invitation=")[2]
    assert browser.get(link).status_code == 200
    behind.stop("orientation")
    page = browser.get(link)
    assert (page.status_code, page.headers["Retry-After"]) == (503, "5")
    assert "Service momentanément indisponible" in page.text
    told = browser.get("/orientation/v1/services", headers={"Accept": "application/json"})
    assert (told.status_code, told.json()["type"]) == (503, "/problems/unavailable")
    assert browser.get("/reporting/").status_code == 200
    behind.start("orientation")
    assert browser.get(link).status_code == 200
    for mark in ("%3F", "%3f", "%253F"):
        browser.get(f"{link.partition('?')[0]}{mark}{link.partition('?')[2]}")
    logs = proxy.logs()
    written = [json.loads(line) for line in (proxy.folder / "access.log").read_text().splitlines()]
    assert ("GET", "/orientation/login", 503) in {(each["method"], each["path"], each["status"]) for each in written}
    for part in (invitation, invitation.split(".")[1], "invitation="):
        assert part not in logs
