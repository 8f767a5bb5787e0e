"""What `relais secrets` makes for a production installation, and what it leaves alone."""

import json
import re
import stat
from pathlib import Path

import pytest
from cryptography import x509

from services.chassis import secrets

ROOT = Path(__file__).parents[3]
DEFINITIONS = ROOT / "deploy" / "rabbitmq" / "definitions.json"


def read(folder: Path) -> dict[str, str]:
    """Every file's text, by name."""
    return {path.name: path.read_text() for path in folder.iterdir()}


def certificate(folder: Path) -> x509.Certificate:
    """The broker's."""
    return x509.load_pem_x509_certificate((folder / "broker.crt").read_bytes())


def test_what_is_there_is_left_alone(tmp_path: Path) -> None:
    """So that `make up` may always run it."""
    folder = tmp_path / "secrets"
    assert secrets.make(folder, DEFINITIONS) == sorted(read(folder))
    before = read(folder)
    assert secrets.make(folder, DEFINITIONS, ["other.example.org"]) == []
    assert read(folder) == before


def test_it_makes_every_file_that_compose_mounts(tmp_path: Path) -> None:
    """Else `make up` would not start."""
    secrets.make(tmp_path, DEFINITIONS)
    compose = (ROOT / "docker-compose.yml").read_text()
    files = set(re.findall(r"deploy/secrets/([\w.-]+)", compose))
    assert {"broker.crt", "broker.key", "env-intake"} <= files
    assert files <= set(read(tmp_path))


def test_the_brokers_ports_are_open_to_this_machine_alone() -> None:
    """The management API's least of all; that with TLS is opened by who means it."""
    ports = re.findall(r'"([^"\s]+):(?:15672|567\d)"', (ROOT / "docker-compose.yml").read_text())
    assert sorted(ports) == ["${BROKER_ADDRESS:-127.0.0.1}:5671", "127.0.0.1:15672", "127.0.0.1:5672"]


def test_what_opens_everything_is_its_owners_alone(tmp_path: Path) -> None:
    """Those files that no container reads."""
    secrets.make(tmp_path, DEFINITIONS)
    private = {path.name for path in tmp_path.iterdir() if stat.S_IMODE(path.stat().st_mode) == 0o600}
    assert {"signing-key.json", "broker-ca.key", "rabbitmq-provisioner", "rabbitmq-operator"} <= private
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700


def test_one_account_alone_makes_accounts(tmp_path: Path) -> None:
    """`provisioner`; the services' have no tag, and every placeholder is filled in."""
    secrets.make(tmp_path, DEFINITIONS)
    definitions = json.loads((tmp_path / "rabbitmq-definitions.json").read_text())
    assert [user["name"] for user in definitions["users"] if user["tags"]] == ["provisioner"]
    assert "${" not in json.dumps(definitions)
    assert len({user["password_hash"] for user in definitions["users"]}) == len(definitions["users"])


def test_the_brokers_certificate_has_the_names_it_is_reached_by(tmp_path: Path) -> None:
    """Those given, the compose network's, and this machine's; and our own authority signed it."""
    secrets.make(tmp_path, DEFINITIONS, ["broker.example.org", "192.0.2.7"])
    made = certificate(tmp_path)
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["broker.example.org", "rabbitmq", "localhost"]
    assert [str(one) for one in names.get_values_for_type(x509.IPAddress)] == ["192.0.2.7", "127.0.0.1"]
    made.verify_directly_issued_by(x509.load_pem_x509_certificate((tmp_path / "broker-ca.crt").read_bytes()))


def test_a_certificate_is_made_anew_by_the_same_authority(tmp_path: Path) -> None:
    """For another name: whoever trusts the authority need not be told anything."""
    secrets.make(tmp_path, DEFINITIONS)
    authority = (tmp_path / "broker-ca.crt").read_text()
    (tmp_path / "broker.crt").unlink()
    (tmp_path / "broker.key").unlink()
    assert secrets.make(tmp_path, DEFINITIONS, ["new.example.org"]) == ["broker.crt", "broker.key"]
    assert (tmp_path / "broker-ca.crt").read_text() == authority
    certificate(tmp_path).verify_directly_issued_by(x509.load_pem_x509_certificate(authority.encode()))


def test_a_certificate_of_ones_own_is_left_alone(tmp_path: Path) -> None:
    """No authority is made beside it; and an authority without its key signs nothing."""
    for name in ("broker.crt", "broker.key", "broker-ca.crt"):
        (tmp_path / name).write_text("mine")
    secrets.make(tmp_path, DEFINITIONS)
    assert (tmp_path / "broker.crt").read_text() == "mine"
    assert not (tmp_path / "broker-ca.key").exists()
    (tmp_path / "broker.crt").unlink()
    with pytest.raises(FileNotFoundError, match=r"broker-ca\.key"):
        secrets.make(tmp_path, DEFINITIONS)
