"""Encryption at rest: a key per case, wrapped by a master key; AES-256-GCM throughout.

The context (whose, which field) is authenticated with each text, so that no ciphertext can be moved to another place.
Destroying the wrapped key destroys everything it sealed. A wrapped key does not say by which master key: it is tried
(docs/decisions/28-master-keys.md).
"""

import base64
import hmac
import os
import secrets
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import mkstemp
from threading import Lock
from typing import Protocol
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from services.chassis import logs

_NONCE, _KEY_BYTES = 12, 32
# Owner of the key that only tells whether the master key is the right one.
CHECK_OWNER = UUID(int=0)
# Owner of the key that blind indexes are made with.
INDEX_OWNER = UUID(int=1)
_FOREIGN = "not the master key that this was sealed with, or altered since"

log = logs.get(__name__)


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


class Source(Protocol):
    """Where master keys come from; see `services.chassis.masters`."""

    def due(self, *, urgent: bool) -> bool:
        """Whether it may hold others than when it was read last."""

    def read(self) -> tuple[bytes, ...]:
        """The master keys, the one that wraps first. Raises VaultError."""


class _Master:
    """What is derived of one master key."""

    def __init__(self, master: bytes) -> None:
        if len(master) != _KEY_BYTES:
            raise VaultError("the master key must be 32 bytes in base64")
        self.wrapping = AESGCM(_derive(master, b"wrap"))
        self.indexing = _derive(master, b"index")
        self.fingerprint = fingerprint(master)


class Vault:
    """Wraps and opens owners' keys, and makes blind indexes.

    The first of `masters` wraps, all of them open. They are read from `source` again while it serves.
    """

    def __init__(self, *masters: bytes, source: Source | None = None) -> None:
        self._source, self._reading = source, Lock()
        self._masters = tuple(_Master(each) for each in masters)
        self._indexing = self._masters[0].indexing

    def new_key(self, owner: UUID) -> tuple[Key, bytes]:
        """A fresh key and its wrapped form, to be stored."""
        key = AESGCM.generate_key(256)
        return Key(key, owner), self.wrap(owner, key)

    def open_key(self, owner: UUID, wrapped: bytes) -> Key:
        """The key out of its wrapped form; raises VaultError."""
        return Key(self.unwrap(owner, wrapped), owner)

    def index(self, purpose: str, value: str) -> bytes:
        """A keyed fingerprint: equal values are found again, and nobody without the key can guess them."""
        return hmac.digest(self._indexing, f"{purpose}\x00{value}".encode(), "sha256")

    def index_with(self, key: bytes) -> None:
        """Make blind indexes with this key from now on: the database's own, whatever the master keys are."""
        self._indexing = key

    def index_key_of(self, owner: UUID, wrapped: bytes) -> bytes:
        """The index key that the master key behind this wrapped key stands for. Raises VaultError."""
        return self._opened(owner, wrapped)[0].indexing

    @property
    def index_key(self) -> bytes:
        """What blind indexes are made with."""
        return self._indexing

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """Of its master keys, by which they are told apart; the one that wraps first."""
        self._look_again()
        return tuple(each.fingerprint for each in self._masters)

    def wrap(self, owner: UUID, key: bytes) -> bytes:
        """A key of this owner, to be stored."""
        self._look_again()
        return _encrypt(self._masters[0].wrapping, key, str(owner))

    def unwrap(self, owner: UUID, wrapped: bytes) -> bytes:
        """The key of this owner as it is; raises VaultError."""
        return self._opened(owner, wrapped)[1]

    def fingerprint_of(self, owner: UUID, wrapped: bytes) -> str | None:
        """Of the master key that this was wrapped with; None where it is none of ours."""
        try:
            return self._opened(owner, wrapped)[0].fingerprint
        except VaultError:
            return None

    def _opened(self, owner: UUID, wrapped: bytes) -> tuple[_Master, bytes]:
        """What opens it, and what is in it: with the keys that we have, else with those of now."""
        self._look_again()
        tried = self._masters
        try:
            return _open_with(tried, owner, wrapped)
        except VaultError:
            with self._reading:
                if self._masters is tried and not self._read_again(urgent=True):
                    raise
        return _open_with(self._masters, owner, wrapped)

    def _look_again(self) -> None:
        if self._source and self._reading.acquire(blocking=False):
            try:
                self._read_again(urgent=False)
            finally:
                self._reading.release()

    def _read_again(self, *, urgent: bool) -> bool:
        """Whether there are other master keys than before; while they cannot be read, those we have go on serving."""
        if self._source is None or not self._source.due(urgent=urgent):
            return False
        try:
            masters = tuple(_Master(each) for each in self._source.read())
        except VaultError as error:
            log.warning("master keys not read again", reason=str(error))
            return False
        if [each.fingerprint for each in masters] == [each.fingerprint for each in self._masters]:
            return False
        self._masters = masters
        log.info("master keys read again", first=masters[0].fingerprint, number=len(masters))
        return True


def fingerprint(master: bytes) -> str:
    """Eight hexadecimal digits that tell a master key from another, and nothing of it."""
    return _derive(master, b"fingerprint")[:4].hex()


def _open_with(masters: Sequence[_Master], owner: UUID, wrapped: bytes) -> tuple[_Master, bytes]:
    for master in masters:
        with suppress(VaultError):
            return master, _decrypt(master.wrapping, wrapped, str(owner))
    raise VaultError(_FOREIGN)


def new_master_key() -> str:
    """32 random bytes in base64."""
    return base64.b64encode(secrets.token_bytes(32)).decode()


def write_private(path: Path, content: str) -> None:
    """Write a secret for its owner only, whole or not at all, to outlive a power cut; what already exists stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Nobody else's draft: threads share a process's number, and so may replicas in containers of one folder.
    descriptor, draft = mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(content + "\n")
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(draft, path)
    finally:
        Path(draft).unlink()
    flush_folder(path.parent)


def flush_folder(folder: Path) -> None:
    """Have the names of its files on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _derive(master: bytes, purpose: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=b"relais/" + purpose).derive(master)


def _encrypt(cipher: AESGCM, plain: bytes, context: str) -> bytes:
    nonce = os.urandom(_NONCE)
    return nonce + cipher.encrypt(nonce, plain, context.encode())


def _decrypt(cipher: AESGCM, sealed: bytes, context: str) -> bytes:
    try:
        return cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], context.encode())
    except (InvalidTag, ValueError):
        raise VaultError(_FOREIGN) from None
