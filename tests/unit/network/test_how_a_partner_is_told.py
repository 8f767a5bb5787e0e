"""`subscription`, `webhook` and `notify` of a partner: what is taken, and how a mistake is told without its address."""

from pathlib import Path

import pytest

from services.network import NetworkError, load
from services.network.rules_text import read_rules, rules_text, version_of

FILE = """
[network]
id = "essai"
name = "Essai"

[[partners]]
id = "mdph-80"
kind = "mdph"
category = "department"
name = "MDPH"
covers = ["80"]
basis = "mission"
"""
TOGETHER = 'partners[0]: `subscription = "webhook"` et l’adresse `webhook` vont ensemble'
PLACE = "partners[0].webhook"
HTTPS = f"{PLACE}: une adresse https:// est attendue (http:// seulement vers localhost ou 127.0.0.1)"
UNREADABLE = f"{PLACE}: adresse illisible"


def written(folder: Path, *lines: str) -> Path:
    """The file with these lines in its partner."""
    path = folder / "essai.toml"
    path.write_text("\n".join([FILE, *lines]), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "address",
    [
        "https://partenaire.example/relais",
        "https://partenaire.example:8443/relais?cle=s3cret",
        "http://localhost:8080/",
        "http://127.0.0.1:8080",
        "https://[2001:db8::1]/relais",
    ],
)
def test_an_address_is_taken_as_it_is(tmp_path: Path, address: str) -> None:
    """HTTPS to anywhere, HTTP on the same machine."""
    network = load(written(tmp_path, 'subscription = "webhook"', f'webhook = "{address}"'))
    assert network.partners[0].webhook == address


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("http://partenaire.example/s3cret", HTTPS),
        ("http://localhost.example/s3cret", HTTPS),
        ("ftp://partenaire.example/s3cret", HTTPS),
        ("partenaire.example/s3cret", UNREADABLE),
        ("https:///s3cret", UNREADABLE),
        ("https://partenaire.example:port/s3cret", UNREADABLE),
        ("https://[partenaire/s3cret", UNREADABLE),
        ("https://partenaire.example/s3cret trop", UNREADABLE),
        ("https://réseau.example/s3cret", UNREADABLE),
        ("https://a:s3cret@partenaire.example/", f"{PLACE}: ni nom ni mot de passe dans l’adresse"),
        ("https://partenaire.example/#s3cret", f"{PLACE}: pas de fragment (#) dans l’adresse"),
        ("", UNREADABLE),
    ],
)
def test_another_is_refused_and_not_quoted(tmp_path: Path, address: str, told: str) -> None:
    """Its path may be a secret, and messages are shown to many."""
    with pytest.raises(NetworkError) as refused:
        load(written(tmp_path, 'subscription = "webhook"', f'webhook = "{address}"'))
    (problem,) = refused.value.problems
    assert problem.startswith(f"essai.toml: {told}")
    assert "s3cret" not in problem


@pytest.mark.parametrize(
    "lines",
    [
        ['subscription = "webhook"'],
        ['webhook = "https://partenaire.example/"'],
        ['subscription = "amqp"', 'webhook = "https://partenaire.example/"'],
        ['subscription = "none"', 'webhook = "https://partenaire.example/"'],
    ],
)
def test_neither_goes_without_the_other(tmp_path: Path, lines: list[str]) -> None:
    """An address that nothing is posted to would be a misunderstanding."""
    with pytest.raises(NetworkError) as refused:
        load(written(tmp_path, *lines))
    assert refused.value.problems == [f"essai.toml: {TOGETHER}"]


def test_how_a_partner_is_told_is_no_rule(tmp_path: Path) -> None:
    """No new version for a new address, and none in the rules that are kept."""
    plain = load(written(tmp_path))
    told = load(written(tmp_path, 'subscription = "webhook"', 'webhook = "https://partenaire.example/s3cret"'))
    assert version_of(told) == version_of(plain)
    assert "s3cret" not in rules_text(told)
    assert read_rules(rules_text(told)).partners == plain.partners


def test_addresses_for_mails_are_taken_and_are_no_rules(tmp_path: Path) -> None:
    """Several, written as people do; changing them makes no new version, and no kept text has them."""
    without = load(written(tmp_path))
    contact = 'contact = { name = "D. Exemple", email = "d.exemple@partenaire.example" }'
    network = load(written(tmp_path, 'notify = ["Accueil@Partenaire.Example", "o\'brien@b.example"]', contact))
    assert network.partners[0].notify == ("Accueil@partenaire.example", "o'brien@b.example")
    assert version_of(network) == version_of(without)
    assert "partenaire.example" not in rules_text(network).lower()


@pytest.mark.parametrize(
    "address",
    ["", "accueil", "accueil@", "Accueil <a@b.example>", "a@b.example, c@d.example", "é@b.example", "a@bé.example",
     r"a@b.example\nBcc: c@d.example", r"a@b.example\r\n", " a@b.example"],
)  # fmt: skip
def test_what_is_no_address_of_one_mailbox(tmp_path: Path, address: str) -> None:
    """Of a partner as of its contact: nothing that would be a second recipient, or another line of a mail."""
    for line, place in (
        (f'notify = ["a@b.example", "{address}"]', "partners[0].notify[1]"),
        (f'contact = {{ name = "D. Exemple", email = "{address}" }}', "partners[0].contact.email"),
    ):
        with pytest.raises(NetworkError) as refused:
            load(written(tmp_path, line))
        expected = "une adresse électronique est attendue, sans nom ni accent, telle que accueil@exemple.fr"
        assert refused.value.problems == [f"essai.toml: {place}: {expected}"]
