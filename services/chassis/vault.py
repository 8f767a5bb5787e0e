"""Encryption at rest: a key per case, wrapped by one master key; AES-256-GCM throughout.

The context (whose, which field) is authenticated with each text, so that no ciphertext can be moved to another place.
Destroying the wrapped key destroys everything it sealed.
"""

import base64
import hmac
import os
import secrets
from pathlib import Path
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_NONCE, _KEY_BYTES = 12, 32
# Owner of the key that only tells whether the master key is the right one.
CHECK_OWNER = UUID(int=0)


class VaultError(Exception):
    """A key is missing or wrong, or what was sealed was altered."""


class Key:
    """The opened key of one owner."""

    def __init__(self, key: bytes, owner: UUID) -> None:
        self._cipher = AESGCM(key)
        self._owner = owner

    def seal(self, field: str, text: str) -> bytes:
        """`text` encrypted for this owner's `field`."""
        return _encrypt(self._cipher, text.encode(), f"{self._owner}/{field}")

    def open(self, field: str, sealed: bytes) -> str:
        """What was sealed for this owner's `field`; raises VaultError."""
        return _decrypt(self._cipher, sealed, f"{self._owner}/{field}").decode()


class Vault:
    """Wraps and opens owners' keys, and makes blind indexes."""

    def __init__(self, master: bytes) -> None:
        if len(master) != _KEY_BYTES:
            raise VaultError("the master key must be 32 bytes in base64")
        self._wrapping = AESGCM(_derive(master, b"wrap"))
        self._indexing = _derive(master, b"index")

    def new_key(self, owner: UUID) -> tuple[Key, bytes]:
        """A fresh key and its wrapped form, to be stored."""
        key = AESGCM.generate_key(256)
        return Key(key, owner), _encrypt(self._wrapping, key, str(owner))

    def open_key(self, owner: UUID, wrapped: bytes) -> Key:
        """The key out of its wrapped form; raises VaultError."""
        return Key(_decrypt(self._wrapping, wrapped, str(owner)), owner)

    def index(self, purpose: str, value: str) -> bytes:
        """A keyed fingerprint: equal values are found again, and nobody without the key can guess them."""
        return hmac.digest(self._indexing, f"{purpose}\x00{value}".encode(), "sha256")


def open_vault(file: Path | None, state: Path) -> Vault:
    """The vault of this installation; without `file` a master key is made once under `state`. Raises VaultError."""
    path = file or state / "master-key"
    if file is None and not path.exists():
        write_private(path, new_master_key())
    try:
        return Vault(base64.b64decode(path.read_text().strip(), validate=True))
    except (OSError, ValueError) as error:
        raise VaultError(
            f"RELAIS_MASTER_KEY_FILE: {path}: {type(error).__name__}, expected 32 bytes in base64"
        ) from None


def new_master_key() -> str:
    """32 random bytes in base64."""
    return base64.b64encode(secrets.token_bytes(32)).decode()


def write_private(path: Path, content: str) -> None:
    """Write a secret for its owner only, whole or not at all; what already exists is left alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(content + "\n")
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()


def _derive(master: bytes, purpose: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=b"relais/" + purpose).derive(master)


def _encrypt(cipher: AESGCM, plain: bytes, context: str) -> bytes:
    nonce = os.urandom(_NONCE)
    return nonce + cipher.encrypt(nonce, plain, context.encode())


def _decrypt(cipher: AESGCM, sealed: bytes, context: str) -> bytes:
    try:
        return cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], context.encode())
    except (InvalidTag, ValueError):
        raise VaultError("not the master key that this was sealed with, or altered since") from None
