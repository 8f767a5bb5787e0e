"""The secrets of a production installation, made once: passwords, keys, and what the broker must know of them."""

import base64
import hashlib
import json
import secrets
from collections.abc import Sequence
from pathlib import Path
from string import Template
from typing import Any

from joserfc.jwk import ECKey

from services.chassis.certificates import new_authority, new_certificate
from services.chassis.tokens import READERS, new_signing_key
from services.chassis.vault import new_master_key, write_private
from services.contracts.topology import SERVICES

# The broker's accounts: one for each service; one for `relais replay`, which alone may write into any queue; one for
# `relais partners`, which alone makes accounts.
_ACCOUNTS = (*SERVICES, "operator", "provisioner")
# Read by the compose client and by commands, never mounted.
_OURS = ("env-", "signing-key", "broker-ca.key", "rabbitmq-operator", "rabbitmq-provisioner")
# The broker's name in the compose network, and on the machine itself.
_BROKER_NAMES = ("rabbitmq", "localhost", "127.0.0.1")
_KEEPS_FREE_TEXT = ("intake", "referral")


def make(folder: Path, definitions: Path, broker_names: Sequence[str] = ()) -> list[str]:
    """Write what is missing in `folder` and leave what is there; the names written.

    `definitions` is the broker's template with `${RABBITMQ_HASH_<SERVICE>}` placeholders. `broker_names` are more host
    names or IP addresses for the broker's certificate. Raises FileNotFoundError where an authority has no key.
    """
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    before = {path.name for path in folder.iterdir()}
    databases, accounts = (f"postgres-{name}" for name in SERVICES), (f"rabbitmq-{name}" for name in _ACCOUNTS)
    for name in ("postgres-superuser", *databases, *accounts):
        write_private(folder / name, secrets.token_urlsafe(24))
    write_private(folder / "master-key", new_master_key())
    write_private(folder / "signing-key.json", new_signing_key())
    write_private(folder / "reader-key.json", new_signing_key())
    write_private(folder / "jwks.json", json.dumps({"keys": [_public(folder / "signing-key.json")]}))
    _trust_readers(folder)
    hashes = {f"RABBITMQ_HASH_{name.upper()}": broker_hash(_read(folder / f"rabbitmq-{name}")) for name in _ACCOUNTS}
    write_private(folder / "rabbitmq-definitions.json", Template(definitions.read_text()).substitute(hashes))
    _certify_broker(folder, (*broker_names, *_BROKER_NAMES))
    for service in SERVICES:
        write_private(folder / f"env-{service}", _environment(folder, service))
    for path in folder.iterdir():
        # Containers read these as users of their own; on this machine the folder keeps everyone else out.
        path.chmod(0o600 if path.name.startswith(_OURS) else 0o644)
    return sorted({path.name for path in folder.iterdir()} - before)


def _public(key: Path) -> dict[str, Any]:
    return dict(ECKey.import_key(json.loads(key.read_text())).as_dict(private=False))


def _trust_readers(folder: Path) -> None:
    """Name the readers' key in a key set that does not: one of an earlier release, or of a key that was deleted."""
    path, public = folder / "jwks.json", _public(folder / "reader-key.json")
    keys = json.loads(path.read_text())
    if public not in keys.get(READERS, []):
        fresh = path.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        write_private(fresh, json.dumps(keys | {READERS: [public]}))
        fresh.replace(path)


def _certify_broker(folder: Path, names: Sequence[str]) -> None:
    """A certificate by an authority of our own, unless there is one already."""
    if (folder / "broker.crt").exists():
        return
    authority, authority_key = folder / "broker-ca.crt", folder / "broker-ca.key"
    if not authority.exists():
        for path, text in zip((authority_key, authority), reversed(new_authority()), strict=True):
            write_private(path, text.strip())
    texts = new_certificate(authority.read_text(), authority_key.read_text(), names)
    for name, text in zip(("broker.key", "broker.crt"), reversed(texts), strict=True):
        write_private(folder / name, text.strip())


def _environment(folder: Path, service: str) -> str:
    broker, database = _read(folder / f"rabbitmq-{service}"), _read(folder / f"postgres-{service}")
    lines = [
        f"RELAIS_AMQP_URL=amqp://{service}:{broker}@rabbitmq:5672/relais",
        f"RELAIS_DATABASE_URL_{service.upper()}=postgresql://relais_{service}:{database}@postgres:5432/relais_{service}",
    ]
    if service in _KEEPS_FREE_TEXT:
        lines.append("RELAIS_MASTER_KEY_FILE=/run/secrets/master-key")
    return "\n".join(lines)


def _read(path: Path) -> str:
    return path.read_text().strip()


def broker_hash(password: str) -> str:
    """RabbitMQ's `rabbit_password_hashing_sha256`: base64 of a 4-byte salt and SHA-256 of salt and password."""
    salt = secrets.token_bytes(4)
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()
