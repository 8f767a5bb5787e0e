"""Sealing free text, a key per case."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.vault import CHECK_OWNER, Vault, VaultError, fingerprint, write_private

MASTER = os.urandom(32)


@given(st.text(), st.text())
def test_what_was_sealed_opens_again_for_the_same_owner_and_field(field: str, text: str) -> None:
    """Through the wrapped key, as after a restart; the text itself is nowhere in what is stored."""
    owner = uuid4()
    key, wrapped = Vault(MASTER).new_key(owner)
    sealed = key.seal(field, text)
    assert Vault(MASTER).open_key(owner, wrapped).open(field, sealed) == text
    assert len(sealed) == 12 + len(text.encode()) + 16


def test_the_same_text_never_looks_the_same_twice() -> None:
    """Whoever sees the table cannot tell that two people said the same."""
    key, _ = Vault(MASTER).new_key(uuid4())
    assert len({key.seal("story", "la même chose") for _ in range(100)}) == 100


def test_a_sealed_text_opens_in_its_own_place_only() -> None:
    """Moved to another field, another owner or another key it does not open."""
    vault, owner = Vault(MASTER), uuid4()
    key, wrapped = vault.new_key(owner)
    sealed = key.seal("story", "dit une fois")
    other, _ = vault.new_key(owner)
    for wrong, field in ((key, "note"), (other, "story")):
        with pytest.raises(VaultError, match=r"^not the master key that this was sealed with, or altered since$"):
            wrong.open(field, sealed)
    with pytest.raises(VaultError):
        vault.open_key(uuid4(), wrapped)
    with pytest.raises(VaultError):
        Vault(os.urandom(32)).open_key(owner, wrapped)


@given(st.integers(min_value=0), st.integers(min_value=1, max_value=255))
def test_one_altered_byte_is_noticed(place: int, change: int) -> None:
    """Wherever it is: nonce, text or tag."""
    key, _ = Vault(MASTER).new_key(uuid4())
    sealed = bytearray(key.seal("story", "dit une fois"))
    sealed[place % len(sealed)] ^= change
    with pytest.raises(VaultError):
        key.open("story", bytes(sealed))


def test_a_cut_text_is_an_error_of_ours() -> None:
    """Not of the library's, whose text nobody vouches for."""
    key, _ = Vault(MASTER).new_key(uuid4())
    sealed = key.seal("story", "dit une fois")
    for length in range(len(sealed)):
        with pytest.raises(VaultError):
            key.open("story", sealed[:length])


def test_an_index_finds_equals_and_depends_on_purpose_and_master_key() -> None:
    """A reference and a name that happen to be equal are not found for each other."""
    vault = Vault(MASTER)
    assert vault.index("reference", "A") == Vault(MASTER).index("reference", "A")
    others = {
        vault.index("identity", "A"),
        vault.index("reference", "B"),
        Vault(os.urandom(32)).index("reference", "A"),
    }
    assert len(others - {vault.index("reference", "A")}) == 3


def test_two_first_starts_agree_on_one_key(tmp_path: Path) -> None:
    """What is there is left alone, whoever wrote it."""
    write_private(tmp_path / "master-key", "first")
    write_private(tmp_path / "master-key", "second")
    assert (tmp_path / "master-key").read_text() == "first\n"
    assert [path.name for path in tmp_path.iterdir()] == ["master-key"]


def test_first_starts_at_the_same_moment_agree_on_one_key(tmp_path: Path) -> None:
    """Threads share a process's number, and so do replicas in containers that share a folder."""
    for _ in range(20):
        path = tmp_path / str(uuid4()) / "master-key"
        keys = [str(number) * 44 for number in range(8)]
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(partial(write_private, path), keys))
        assert path.read_text().strip() in keys
        assert [each.name for each in path.parent.iterdir()] == ["master-key"]


def test_the_first_master_key_wraps_and_the_others_open() -> None:
    """So that what was wrapped before a rotation is read during it; without the old one it is not."""
    owner, new = uuid4(), os.urandom(32)
    key, wrapped = Vault(MASTER).new_key(owner)
    sealed = key.seal("story", "dit une fois")
    both = Vault(new, MASTER)
    assert both.open_key(owner, wrapped).open("story", sealed) == "dit une fois"
    assert both.fingerprint_of(owner, wrapped) == fingerprint(MASTER)
    assert both.fingerprint_of(owner, both.wrap(owner, both.unwrap(owner, wrapped))) == fingerprint(new)
    with pytest.raises(VaultError):
        Vault(new).open_key(owner, wrapped)
    assert Vault(new).fingerprint_of(owner, wrapped) is None


def test_a_fingerprint_tells_master_keys_apart_and_nothing_of_them() -> None:
    """Eight hexadecimal digits, always the same for a key; no part of the key is among them."""
    assert fingerprint(MASTER) == Vault(MASTER).fingerprints[0] != fingerprint(os.urandom(32))
    assert len(fingerprint(MASTER)) == 8
    assert fingerprint(MASTER) not in MASTER.hex()


def test_an_index_outlives_its_master_key() -> None:
    """With the index key of the old one, a vault of the new one finds what was indexed before."""
    owner, new = uuid4(), os.urandom(32)
    old = Vault(MASTER)
    _, wrapped = old.new_key(owner)
    both = Vault(new, MASTER)
    assert both.index("reference", "A") != old.index("reference", "A")
    both.index_with(both.index_key_of(owner, wrapped))
    assert both.index("reference", "A") == old.index("reference", "A")


class Shelf:
    """A source whose keys the test changes."""

    def __init__(self, *masters: bytes) -> None:
        self.masters = masters
        self.urgent_only = False
        self.reads = 0

    def due(self, *, urgent: bool) -> bool:
        """As told."""
        return urgent or not self.urgent_only

    def read(self) -> tuple[bytes, ...]:
        """What is there now; raises VaultError when it is empty."""
        self.reads += 1
        if not self.masters:
            raise VaultError("lost")
        return self.masters


def rotated(shelf: Shelf, new: bytes) -> None:
    """Put a new key first."""
    shelf.masters = (new, *shelf.masters)


@pytest.mark.parametrize("change", [rotated, lambda shelf, new: setattr(shelf, "masters", (new,))])
def test_a_serving_vault_takes_new_keys_when_one_does_not_open(change: Callable[[Shelf, bytes], None]) -> None:
    """Nobody restarts it, and the read that found out does not fail for it."""
    shelf, owner, new = Shelf(MASTER), uuid4(), os.urandom(32)
    shelf.urgent_only = True
    vault = Vault(MASTER, source=shelf)
    key, wrapped = Vault(new).new_key(owner)
    change(shelf, new)
    assert vault.open_key(owner, wrapped).open("note", key.seal("note", "dit")) == "dit"
    assert vault.fingerprints[0] == fingerprint(new)


def test_a_serving_vault_wraps_with_the_new_key_once_it_sees_it() -> None:
    """Although whatever it reads still opens with the old one."""
    shelf, new = Shelf(MASTER), os.urandom(32)
    vault = Vault(MASTER, source=shelf)
    rotated(shelf, new)
    assert Vault(new).fingerprint_of(CHECK_OWNER, vault.new_key(CHECK_OWNER)[1]) == fingerprint(new)


def test_a_serving_vault_goes_on_when_its_keys_are_taken_away() -> None:
    """What it knew it still opens; what it never knew it refuses, and looks again the next time."""
    shelf, owner = Shelf(MASTER), uuid4()
    vault = Vault(MASTER, source=shelf)
    _, mine = vault.new_key(owner)
    _, foreign = Vault(os.urandom(32)).new_key(owner)
    shelf.masters = ()
    assert vault.fingerprint_of(owner, mine) == fingerprint(MASTER)
    before = shelf.reads
    with pytest.raises(VaultError, match="not the master key"):
        vault.open_key(owner, foreign)
    assert shelf.reads > before
