"""A session's cookie, and what another site may not make a browser do; without a database."""

import pytest
from werkzeug.datastructures import Headers

from services.chassis import sessions
from services.chassis.errors import Rejected
from services.chassis.settings import Settings


def settings(public_url: str | None = None) -> Settings:
    """Settings of a service reached there."""
    return Settings(public_url=public_url, orientation_http="127.0.0.1:8002")


@pytest.mark.parametrize(
    ("public_url", "secure"),
    [
        (None, False),
        ("http://localhost:{port}", False),
        ("http://127.0.0.1:{port}", False),
        ("https://relais.example", True),
        ("http://relais.example", True),
        ("http://localhost.example", True),
    ],
)
def test_the_cookie_travels_encrypted_except_on_one_machine(public_url: str | None, secure: bool) -> None:  # noqa: FBT001
    """Secure wherever it leaves the machine; always hidden from scripts and from posts of other sites."""
    parts = set(sessions.cookie(settings(public_url), "orientation", "abc").split("; "))
    expected = {"HttpOnly", "Max-Age=43200", "Path=/", "SameSite=Lax"}
    expected |= {"Secure", "__Host-relais_orientation=abc"} if secure else {"relais_orientation=abc"}
    assert {part for part in parts if not part.startswith("Expires=")} == expected


@pytest.mark.parametrize("public_url", [None, "https://relais.example"])
def test_an_empty_cookie_is_forgotten_at_once(public_url: str | None) -> None:
    """Under the same name and path, or the browser would keep the other; it is read under that name, too."""
    name = sessions.cookie_name(settings(public_url), "orientation")
    kept = sessions.cookie(settings(public_url), "orientation", "abc")
    parts = sessions.cookie(settings(public_url), "orientation", "").split("; ")
    assert kept.startswith(f"{name}=abc; ")
    assert {f"{name}=", "Max-Age=0", "Path=/"} <= set(parts)
    assert ("Secure" in parts) == name.startswith("__Host-")


ALLOWED = [
    {"Sec-Fetch-Site": "same-origin"},
    {"sec-fetch-site": "none"},
    {"Sec-Fetch-Site": "same-origin", "Origin": "null"},
    {"Origin": "https://relais.example"},
    {"Origin": "https://RELAIS.example"},
]
REFUSED = [
    {},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": ""},
    {"Sec-Fetch-Site": "Same-Origin"},
    {"Sec-Fetch-Site": "cross-site", "Origin": "https://relais.example"},
    {"Origin": ""},
    {"Origin": "null"},
    {"Origin": "http://relais.example"},
    {"Origin": "https://relais.example:444"},
    {"Origin": "https://relais.example.evil"},
    {"Origin": "https://evil.example", "Host": "evil.example"},
    {"Referer": "https://relais.example/"},
]


@pytest.mark.parametrize("headers", ALLOWED, ids=str)
def test_our_own_pages_may_post(headers: dict[str, str]) -> None:
    """By what a browser says of them; behind a reverse proxy our origin is the public one."""
    sessions.refuse_other_sites("POST", Headers(headers), settings("https://relais.example"), "orientation")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
@pytest.mark.parametrize("headers", REFUSED, ids=str)
def test_nobody_else_may(headers: dict[str, str], method: str) -> None:
    """403, quoting nothing; reading does no harm and is allowed from anywhere."""
    with pytest.raises(Rejected) as refused:
        sessions.refuse_other_sites(method, Headers(headers), settings("https://relais.example"), "orientation")
    assert (refused.value.status, refused.value.slug) == (403, "cross-site")
    assert "example" not in refused.value.detail
    for safe in ("GET", "HEAD"):
        sessions.refuse_other_sites(safe, Headers(headers), settings("https://relais.example"), "orientation")
