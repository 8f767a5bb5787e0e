"""Sealing free text, a key per case."""

import base64
import os
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.vault import Vault, VaultError, new_master_key, open_vault, write_private

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


def test_a_master_key_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    """A second start finds the first one's key; nobody else may read it, and no draft stays."""
    first = open_vault(None, tmp_path / "state").index("reference", "A")
    assert open_vault(None, tmp_path / "state").index("reference", "A") == first
    (file,) = (tmp_path / "state").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600


def test_two_first_starts_agree_on_one_key(tmp_path: Path) -> None:
    """What is there is left alone, whoever wrote it."""
    write_private(tmp_path / "master-key", "first")
    write_private(tmp_path / "master-key", "second")
    assert (tmp_path / "master-key").read_text() == "first\n"
    assert [path.name for path in tmp_path.iterdir()] == ["master-key"]


@pytest.mark.parametrize(
    "content",
    ["", "not base64!", base64.b64encode(b"short").decode(), base64.b64encode(b"x" * 33).decode(), "é"],
    ids=["empty", "not-base64", "short", "long", "not-ascii"],
)
def test_a_wrong_master_key_is_told_without_quoting_it(tmp_path: Path, content: str) -> None:
    """It says what would be right."""
    file = tmp_path / "master-key"
    file.write_text(content)
    with pytest.raises(VaultError, match="32 bytes in base64") as caught:
        open_vault(file, tmp_path)
    assert not content or content not in str(caught.value)


def test_a_master_key_file_that_is_missing_is_not_made(tmp_path: Path) -> None:
    """Only the default one is: a fresh key in place of a lost one would seal what nobody could open later."""
    with pytest.raises(VaultError, match="FileNotFoundError"):
        open_vault(tmp_path / "lost", tmp_path)
    assert not list(tmp_path.iterdir())
    (tmp_path / "given").write_text(new_master_key())
    open_vault(tmp_path / "given", tmp_path)
