"""`relais keys`: a new master key under readers and writers, killed in the middle, run twice at once."""

import errno
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event as Signal
from uuid import UUID, uuid4

import pytest
from sqlalchemy import insert, select, text
from typer.testing import CliRunner

from services.chassis import key_commands, rotation, webhook_secrets
from services.chassis.app import App
from services.chassis.database import Database
from services.chassis.keyring import KEEPERS, Busy, census, open_vault
from services.chassis.masters import KeyFile
from services.chassis.settings import Settings
from services.chassis.tables import metadata, vault_keys
from services.chassis.vault import INDEX_OWNER, Vault, new_master_key
from tests.support.house import eventually


class Keys:
    """Two databases with sealed words, their key file, and the `relais keys` command on them."""

    def __init__(self, folder: Path, urls: dict[str, str], number: int) -> None:
        self.file = KeyFile(folder / "master-key", ours=True)
        self.settings = Settings(state=folder)
        self.databases = {service: Database(urls[service], "test") for service in KEEPERS}
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "RELAIS_STATE": str(folder)}
        self.environment |= {f"RELAIS_DATABASE_URL_{name.upper()}": urls[name] for name in KEEPERS}
        self.words: dict[str, dict[UUID, bytes]] = {}
        for service, database in self.databases.items():
            metadata.create_all(database.engine)
            with self.app(service).work() as work:
                owners = [uuid4() for _ in range(number)]
                self.words[service] = {owner: work.new_key(owner).seal("word", service) for owner in owners}

    def app(self, service: str) -> App:
        """A service's belongings, as a process of its own has them."""
        database = self.databases[service]
        return App(service, self.settings, database, open_vault(self.settings, database, service))

    def readable(self, service: str) -> int:
        """How many words can be read by a service that starts now."""
        vault, words = self.app(service).vault, self.words[service]
        with self.databases[service].begin() as connection:
            wrapped = {row.owner: row.wrapped for row in connection.execute(vault_keys.select())}
        opened = (vault.open_key(owner, wrapped[owner]).open("word", word) for owner, word in words.items())
        return sum(word == service for word in opened)

    def begin(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """Start `relais keys`."""
        return subprocess.Popen(  # noqa: S603 - this very interpreter
            [sys.executable, "-m", "services", "keys", *arguments],
            env=self.environment | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, **environment: str) -> tuple[int, str, str]:
        """Run it: code, what it printed, what it complained of."""
        process = self.begin(*arguments, **environment)
        out, err = process.communicate(timeout=60)
        assert "Traceback" not in err
        assert not any(line in out + err for line in self.lines), "a key is told"
        return process.returncode, out, err

    def census(self, service: str) -> list[int]:
        """How many keys hang on each of the master keys that are there, the one that wraps first."""
        vault = open_vault(self.settings, self.databases[service], service)
        found = census(self.databases[service], vault)
        return [found[each] for each in vault.fingerprints]

    @property
    def lines(self) -> list[str]:
        """The key file's."""
        return self.file.path.read_text().split()


Make = Callable[[int], Keys]


@pytest.fixture
def make(tmp_path: Path, databases: Callable[[], dict[str, str]]) -> Iterator[Make]:
    """Return a factory of such databases with so many words each."""
    made: list[Keys] = []

    def create(number: int) -> Keys:
        made.append(Keys(tmp_path, databases(), number))
        return made[-1]

    yield create
    for keys in made:
        for database in keys.databases.values():
            database.close()


def ask(keys: Keys, service: str, stop: Signal) -> tuple[int, int]:
    """Read old words and tell new ones, in a process that was there before, until told to stop; how many of each."""
    app, words = keys.app(service), list(keys.words[service].items())
    fresh: dict[UUID, bytes] = {}
    reads = 0
    while not stop.is_set():
        owner, word = words[reads % len(words)]
        with app.work() as work:
            assert work.key(owner).open("word", word) == service
            mine = uuid4()
            fresh[mine] = work.new_key(mine).seal("word", service)
        with app.work() as work:
            assert all(work.key(one).open("word", fresh[one]) == service for one in list(fresh)[-3:])
        reads += 1
    keys.words[service] |= fresh
    return reads, len(fresh)


def test_everybody_reads_and_writes_while_the_key_is_changed(make: Make) -> None:
    """No read fails, and what was told meanwhile hangs on the new key too; then the old one is gone."""
    keys, stop = make(1000), Signal()
    (old,) = keys.lines
    with ThreadPoolExecutor(2) as pool:
        asking = [pool.submit(ask, keys, service, stop) for service in KEEPERS]
        code, out, err = keys.run("rotate", "--drop-old", "--json")
        stop.set()
        reads = [each.result(30) for each in asking]
    assert (code, err) == (0, "")
    assert all(number > 20 for number, _ in reads)
    (new,) = keys.lines
    assert new != old
    told = json.loads(out)
    assert told["made"]
    assert told["dropped"]
    assert all(number >= 1002 for number in told["anew"].values())
    assert [keys.readable(service) for service in KEEPERS] == [len(keys.words[service]) for service in KEEPERS]


def half_rotated(keys: Keys) -> None:
    """Kill a rotation while it wraps intake's keys; it can neither end that before, nor begin with referral's."""
    old = Vault(keys.file.read()[0])

    def some_moved() -> bool:
        with keys.databases["intake"].begin() as connection:
            row = connection.execute(vault_keys.select().order_by(vault_keys.c.owner).limit(1)).one()
        return old.fingerprint_of(row.owner, row.wrapped) is None

    last = select(vault_keys).where(vault_keys.c.owner == INDEX_OWNER).with_for_update()
    with keys.databases["intake"].begin() as intake, keys.databases["referral"].begin() as referral:
        intake.execute(last)
        referral.execute(text("LOCK TABLE vault_keys IN SHARE MODE"))
        process = keys.begin("rotate")
        eventually(some_moved, within=30, every=0.005)
        process.kill()
        process.communicate()


def test_a_rotation_killed_in_the_middle_goes_on_and_once_only(make: Make) -> None:
    """Nothing is lost meanwhile; of two that go on at once one is refused, the other makes no third key and ends it."""
    keys = make(10_000)
    half_rotated(keys)
    both, (moved, rest) = keys.lines, keys.census("intake")
    assert 0 < moved < moved + rest == 10_002
    assert [keys.readable(service) for service in KEEPERS] == [10_000, 10_000]
    at_once = [keys.begin("rotate", "--json") for _ in range(2)]
    told = [process.communicate(timeout=60) for process in at_once]
    codes = [process.returncode for process in at_once]
    assert sorted(codes) == [0, 1], told
    assert "another rotation is under way" in told[codes.index(1)][1]
    done = json.loads(told[codes.index(0)][0])
    assert (done["made"], keys.lines) == (False, both)
    assert done["anew"] == {"intake": rest, "referral": 10_002}
    assert [keys.census(service) for service in KEEPERS] == [[10_002, 0], [10_002, 0]]
    keys.file.path.write_text(both[0])
    assert [keys.readable(service) for service in KEEPERS] == [10_000, 10_000]


def test_the_secrets_that_sign_webhooks_go_along(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their keys hang on the same master key."""
    monkeypatch.setattr(rotation, "SETTLE_SECONDS", 0.1)
    keys = make(1)
    with keys.app("referral").work() as work:
        secret = webhook_secrets.make(work, "cpam", rotate=False)
    with keys.app("referral").work() as work:
        signs = webhook_secrets.signing(work, "cpam")
    done = rotation.rotate(keys.settings, keys.databases, lambda *_: None, drop=True)
    assert done.anew == {"intake": 3, "referral": 4}
    with keys.app("referral").work() as work:
        assert secret
        assert webhook_secrets.signing(work, "cpam") == signs


def test_nothing_is_dropped_while_a_key_hangs_on_what_is_not_there(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Something is wrong then, and the old key may yet be needed to find out what; `status` ends with 1 for it."""
    monkeypatch.setattr(rotation, "SETTLE_SECONDS", 0.1)
    keys = make(1)
    with keys.databases["referral"].begin() as connection:
        foreign = Vault(bytes(32)).new_key(owner := uuid4())[1]
        connection.execute(insert(vault_keys).values(owner=owner, wrapped=foreign))
    done = rotation.rotate(keys.settings, keys.databases, lambda *_: None, drop=True)
    assert (done.dropped, done.unknown) == (False, {"intake": 0, "referral": 1})
    assert len(keys.lines) == 2
    code, out, err = keys.run("status", "--json")
    assert (code, "1 keys hang on a master key that is not there" in err) == (1, True)
    assert [(row["service"], row["use"], row["keys"]) for row in json.loads(out)] == [
        ("intake", "wraps", 3),
        ("intake", "opens", 0),
        ("referral", "wraps", 3),
        ("referral", "opens", 0),
        ("referral", "is missing", 1),
    ]
    assert {row["master_key"] for row in json.loads(out)} == {done.key, *done.old, None}


def test_a_key_that_somebody_still_makes_with_the_old_one_keeps_it_in(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A replica with a copy of the file that was not changed: told, and nothing dropped."""
    monkeypatch.setattr(rotation, "SETTLE_SECONDS", 0.1)
    monkeypatch.setattr(time, "sleep", lambda _: None)
    keys = make(1)
    copy = Vault(*keys.file.read())

    def told(step: str, done: float, total: float) -> None:
        if step.startswith("referral") and done == total:
            with keys.databases["intake"].begin() as connection:
                owner = uuid4()
                connection.execute(insert(vault_keys).values(owner=owner, wrapped=copy.new_key(owner)[1]))

    with pytest.raises(Busy, match="still being made with an old master key"):
        rotation.rotate(keys.settings, keys.databases, told, drop=True)
    assert len(keys.lines) == 2


def test_keys_that_a_command_gives_are_only_wrapped_anew(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One key is refused with what to do, two are a rotation; none is ever written or taken out."""
    monkeypatch.setattr(rotation, "SETTLE_SECONDS", 0.1)
    keys = make(10)
    kept = tmp_path / "kms"
    kept.write_text("".join(f"{line}\n" for line in keys.lines))
    keys.file.path.unlink()
    keys.settings = Settings(state=tmp_path, master_key_command=f"cat {kept}")

    def rotate(*names: str, drop: bool = False) -> rotation.Rotation:
        chosen = {name: keys.databases[name] for name in names or KEEPERS}
        return rotation.rotate(keys.settings, chosen, lambda *_: None, only_wrap=bool(names), drop=drop)

    with pytest.raises(rotation.CannotRotate, match="RELAIS_MASTER_KEY_COMMAND: cat: it gives one key"):
        rotate()
    both = f"{new_master_key()}\n{kept.read_text()}"
    kept.write_text(both)
    with pytest.raises(rotation.CannotRotate, match="--drop-old cannot"):
        rotate(drop=True)
    assert rotate("intake").anew == {"intake": 12}
    done = rotate()
    assert (done.made, done.anew) == (False, {"intake": 0, "referral": 12})
    assert (kept.read_text(), keys.file.path.exists()) == (both, False)
    assert [keys.readable(service) for service in KEEPERS] == [10, 10]


def test_a_file_that_cannot_be_replaced_is_told(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret mounted into a container: what to do is said, nothing is wrapped, no draft stays."""
    keys = make(1)

    def refuse(*_: object) -> None:
        raise OSError(errno.EBUSY, "Device or resource busy")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(rotation.CannotRotate, match="cannot be replaced from here"):
        rotation.rotate(keys.settings, keys.databases, lambda *_: None)
    assert [path.name for path in keys.file.path.parent.iterdir()] == ["master-key"]
    assert [keys.census(service) for service in KEEPERS] == [[3], [3]]


@pytest.mark.parametrize(
    ("arguments", "environment", "words"),
    [
        (("status",), {"RELAIS_MASTER_KEY_FILE": "/nowhere"}, "RELAIS_MASTER_KEY_FILE: /nowhere: FileNotFoundError"),
        (("rotate", "--service", "orientation"), {}, "orientation keeps nothing sealed"),
        (("rotate", "--service", "intake", "--drop-old"), {}, "--drop-old"),
        (("rotate",), {"RELAIS_DATABASE_URL_REFERRAL": ""}, "RELAIS_DATABASE_URL_REFERRAL"),
    ],
)
def test_what_is_wrong_is_told_with_code_2(
    make: Make, arguments: tuple[str, ...], environment: dict[str, str], words: str
) -> None:
    """And changes nothing."""
    keys = make(1)
    before = keys.lines
    told = CliRunner().invoke(key_commands.app, arguments, env=keys.environment | environment)
    assert (told.exit_code, words in told.stderr) == (2, True), told.output
    assert keys.lines == before
