"""Where the master keys come from: a file of lines, or a command that prints them."""

import base64
import os
import shlex
import sys
import time
from pathlib import Path

import pytest

from services.chassis import masters
from services.chassis.masters import KeyCommand, KeyFile, source_of
from services.chassis.settings import BadSettings, Settings, load_settings
from services.chassis.vault import VaultError, new_master_key

ONE, TWO = new_master_key(), new_master_key()
WRONG = {
    "empty": b"",
    "blank": b"\n \n",
    "truncated": ONE[:20].encode(),
    "no base64": b"not base64!",
    "long": base64.b64encode(b"x" * 33),
    "not ASCII": "clé".encode(),
    "a good line and a truncated one": f"{ONE}\n{TWO[:-4]}\n".encode(),
}


def bytes_of(*lines: str) -> tuple[bytes, ...]:
    """The keys of lines."""
    return tuple(base64.b64decode(line) for line in lines)


def printing(text: str, code: int = 0) -> KeyCommand:
    """A command that prints this, and complains of it on standard error."""
    script = f"import sys; print({text!r}); print({text!r}, file=sys.stderr); sys.exit({code})"
    return KeyCommand(shlex.join([sys.executable, "-c", script]))


@pytest.fixture
def file(tmp_path: Path) -> KeyFile:
    """Lend a file of one key."""
    (tmp_path / "master-key").write_text(ONE + "\n")
    (tmp_path / "master-key").chmod(0o600)
    return KeyFile(tmp_path / "master-key", ours=False)


def test_a_file_of_one_line_is_what_it_always_was(file: KeyFile) -> None:
    """With or without the end of its line."""
    assert file.read() == bytes_of(ONE)
    file.path.write_text(ONE)
    assert file.read() == bytes_of(ONE)


def test_several_lines_are_several_keys_the_first_first(file: KeyFile) -> None:
    """Empty lines are none, and the same key twice is one."""
    file.path.write_text(f"{TWO}\n\n{ONE}\n{TWO}\n")
    assert file.read() == bytes_of(TWO, ONE)


@pytest.mark.parametrize("content", WRONG.values(), ids=WRONG)
def test_a_wrong_file_is_told_without_quoting_it(file: KeyFile, content: bytes) -> None:
    """It names the setting and the file, and says what would be right; nothing is written."""
    file.path.write_bytes(content)
    with pytest.raises(VaultError, match=r"RELAIS_MASTER_KEY_FILE: .*master-key: .*32 bytes in base64") as caught:
        file.read()
    for line in content.decode().split():
        assert line not in str(caught.value)
    assert file.path.read_bytes() == content


def test_a_folder_and_what_cannot_be_read_are_told_the_same_way(tmp_path: Path) -> None:
    """With the kind of error, as the system's own words may be in any language."""
    for path, kind in ((tmp_path, "IsADirectoryError"), (tmp_path / "lost", "FileNotFoundError")):
        with pytest.raises(VaultError, match=rf"RELAIS_MASTER_KEY_FILE: .*: {kind}, expected"):
            KeyFile(path, ours=True).read()


def test_a_first_key_is_made_where_nobody_named_a_file(tmp_path: Path) -> None:
    """For its owner only, once; a file that is named and missing is not made, nor one that is there replaced."""
    ours = KeyFile(tmp_path / "state" / "master-key", ours=True)
    ours.make()
    first = ours.read()
    ours.make()
    assert ours.read() == first
    assert ours.path.stat().st_mode & 0o777 == 0o600
    KeyFile(tmp_path / "named", ours=False).make()
    assert [path.name for path in tmp_path.iterdir()] == ["state"]
    ours.path.write_text("")
    ours.make()
    assert ours.path.read_text() == ""


def test_a_new_key_is_put_first_and_the_old_ones_are_taken_out(file: KeyFile) -> None:
    """The file is another one each time, never half of one; its rights stay, and no draft does."""
    before = file.path.stat()
    file.add()
    new, old = file.read()
    assert (old,) == bytes_of(ONE)
    assert file.path.stat().st_ino != before.st_ino
    file.keep_first()
    assert file.read() == (new,)
    assert file.path.stat().st_mode == before.st_mode
    assert [path.name for path in file.path.parent.iterdir()] == ["master-key"]


def test_whoever_could_read_it_can_read_the_new_one(file: KeyFile) -> None:
    """Containers read a file that is open in a closed folder; a link stays a link."""
    file.path.chmod(0o644)
    link = KeyFile(file.path.with_name("link"), ours=False)
    link.path.symlink_to(file.path)
    link.add()
    assert link.path.is_symlink()
    assert file.path.stat().st_mode & 0o777 == 0o644
    assert len(file.read()) == 2


def test_a_file_is_read_again_when_it_changes(file: KeyFile, monkeypatch: pytest.MonkeyPatch) -> None:
    """Looked at every two seconds, and at once when a key does not open."""
    file.read()
    began = time.monotonic()
    assert not file.due(urgent=True)
    file.path.write_text(f"{TWO}\n{ONE}\n")
    assert not file.due(urgent=False)
    assert file.due(urgent=True)
    monkeypatch.setattr(time, "monotonic", lambda: began + masters.LOOK_SECONDS + 1)
    assert file.due(urgent=False)
    file.read()
    assert not file.due(urgent=True)


def test_a_command_prints_the_keys() -> None:
    """Run without a shell: what a shell would do with its arguments is not done."""
    assert printing(f"{TWO}\n{ONE}").read() == bytes_of(TWO, ONE)
    line = shlex.join([sys.executable, "-c", "import sys; print(sys.argv[1])", "$HOME; echo"])
    with pytest.raises(VaultError, match="line 1"):
        KeyCommand(line).read()


@pytest.mark.parametrize("code", [0, 3])
def test_a_command_that_fails_is_told_without_its_words(code: int, capfd: pytest.CaptureFixture[str]) -> None:
    """Whatever it printed, where it printed it, and with which arguments."""
    with pytest.raises(VaultError, match=r"^RELAIS_MASTER_KEY_COMMAND: ") as caught:
        printing(ONE[:-8], code).read()
    told = str(caught.value) + "".join(capfd.readouterr())
    assert ONE[:-8] not in told
    assert "sys.exit" not in told
    assert ("code 3" in told) == (code == 3)


def test_a_command_that_is_none_or_hangs_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """And ended, if it hangs."""
    with pytest.raises(VaultError, match=r"RELAIS_MASTER_KEY_COMMAND: /nowhere: cannot be run: FileNotFoundError"):
        KeyCommand("/nowhere").read()
    monkeypatch.setattr(masters, "_PATIENCE_SECONDS", 0.1)
    with pytest.raises(VaultError, match=r"sleep: no answer within 0.1 s"):
        KeyCommand("sleep 60").read()


def test_a_command_is_run_again_each_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """And after five seconds when a key does not open: a storm of such keys is no storm of commands."""
    command, began = printing(ONE), time.monotonic()
    command.read()
    for seconds, calmly, urgently in ((1, False, False), (10, False, True), (100, True, True)):
        monkeypatch.setattr(time, "monotonic", lambda seconds=seconds: began + 2 + seconds)
        assert (command.due(urgent=False), command.due(urgent=True)) == (calmly, urgently)


def test_the_settings_name_a_file_or_a_command_or_neither(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both is refused, and so is what is no command line, naming the variable and not its value."""
    assert isinstance(source_of(Settings(master_key_command="kms get relais")), KeyCommand)
    found = source_of(Settings(state=tmp_path))
    assert isinstance(found, KeyFile)
    assert found.path == tmp_path / "master-key"
    monkeypatch.setenv("RELAIS_MASTER_KEY_COMMAND", "kms --password 'half")
    with pytest.raises(BadSettings, match=r"^RELAIS_MASTER_KEY_COMMAND: ") as caught:
        load_settings()
    assert "half" not in str(caught.value)
    monkeypatch.setenv("RELAIS_MASTER_KEY_COMMAND", "kms get")
    monkeypatch.setenv("RELAIS_MASTER_KEY_FILE", os.devnull)
    with pytest.raises(BadSettings, match=r"RELAIS_MASTER_KEY_COMMAND: .*cannot be set where RELAIS_MASTER_KEY_FILE"):
        load_settings()
