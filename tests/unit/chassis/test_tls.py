"""Whom we trust on the way to the broker, and that no address can turn the checking off."""

import ssl
from pathlib import Path

import pytest

from services.chassis import tls
from services.chassis.settings import BadSettings, Settings, load_settings
from tests.support.certificates import Authority


def test_certificate_and_name_are_checked() -> None:
    """By the system's authorities unless others are named; nothing older than TLS 1.2."""
    made = tls.context(None)
    assert (made.verify_mode, made.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert made.minimum_version == ssl.TLSVersion.TLSv1_2


def test_an_address_carries_its_authorities(tmp_path: Path) -> None:
    """Of a cluster, each node; whatever the file is called."""
    file = tmp_path / "our authority & co.pem"
    file.write_text(Authority(tmp_path).ca_path.read_text())
    url = "amqps://u:p@a:5671/relais;amqps://u:p@b/relais"
    nodes, options = tls.taken_apart(tls.trusting(url, file))
    assert nodes == url
    assert options == {"context": {"check_hostname": True, "cafile": str(file)}, "server_hostname": None}


def test_a_plain_address_stays_plain(tmp_path: Path) -> None:
    """As between the services of one machine."""
    for url in ("amqp://u:p@h/relais", "memory://"):
        assert tls.taken_apart(tls.trusting(url, tmp_path)) == (url, None)


def test_every_vhosts_address_carries_them(tmp_path: Path) -> None:
    """The internal one, the sites' and the partners', given or derived."""
    ca = Authority(tmp_path).ca_path
    derived = Settings(amqp_url="amqps://u:p@h/relais", amqp_ca_file=ca)
    given = Settings(
        amqp_url="amqps://u:p@h/relais",
        amqp_url_ingest="amqps://i@h/x",
        amqp_url_partners="amqps://o@h/y",
        amqp_ca_file=ca,
    )
    for settings, vhosts in ((derived, ("relais", "ingest", "partners")), (given, ("relais", "x", "y"))):
        for url, vhost in zip((settings.broker_url, settings.ingest_url, settings.partners_url), vhosts, strict=True):
            nodes, options = tls.taken_apart(url or "")
            assert nodes.endswith(f"@h/{vhost}")
            assert options
            assert options["context"]["cafile"] == str(ca)


@pytest.mark.parametrize(
    "url", ["amqps://u:secret@h/relais?ssl_cert_reqs=none", "amqp://u:secret@h/r;amqps://u:secret@h2/r"]
)
def test_an_address_cannot_turn_it_off(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Options in an address would be kombu's; and a cluster is reached one way or the other."""
    monkeypatch.setenv("RELAIS_AMQP_URL", url)
    with pytest.raises(BadSettings, match=r"^RELAIS_AMQP_URL: ") as caught:
        load_settings()
    assert "secret" not in str(caught.value)


def test_a_file_without_certificates_stops_the_start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Rather than every connection later."""
    file = tmp_path / "empty.pem"
    file.write_text("not a certificate")
    monkeypatch.setenv("RELAIS_AMQP_CA_FILE", str(file))
    with pytest.raises(BadSettings, match=r"^RELAIS_AMQP_CA_FILE: .*no certificates"):
        load_settings()
