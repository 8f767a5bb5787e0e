"""Addresses of our own in what is answered: relative to what was asked for, so that a service may be anywhere."""

import pytest

from services.chassis.http import Answer
from services.chassis.pages import ROOT

# Browsers resolve a relative address against the path up to its last slash.
PLACES = [
    ("/", "./login"),
    ("/login", "./login"),
    ("/oidc/callback", "../login"),
    ("/a/", "../login"),
    ("/a/b/c", "../../login"),
    ("/a/b/c/", "../../../login"),
]


@pytest.mark.parametrize(("path", "address"), PLACES)
def test_a_page_finds_the_way_back(path: str, address: str) -> None:
    """In each of its addresses, as deep as it was asked for."""
    page = Answer.html(f'<a href="{ROOT}/login"></a><link href="{ROOT}/login">').response(path)
    assert page.get_data(as_text=True) == f'<a href="{address}"></a><link href="{address}">'


@pytest.mark.parametrize(("path", "address"), PLACES)
def test_a_redirect_finds_the_way_back(path: str, address: str) -> None:
    """Its other headers are as given."""
    answer = Answer.see_other("/login", {"Set-Cookie": "a=b"}).response(path)
    assert (answer.status_code, answer.headers["Location"], answer.headers["Set-Cookie"]) == (303, address, "a=b")


def test_another_sites_address_is_left_alone() -> None:
    """Where a browser is sent away, it is to that very address."""
    answer = Answer.leave("https://id.example/auth?a=/b").response("/oidc/start")
    assert answer.headers["Location"] == "https://id.example/auth?a=/b"


def test_data_is_data() -> None:
    """What a call answers in JSON is not looked at."""
    assert Answer({"note": ROOT}).response("/").get_json() == {"note": ROOT}
