"""A database's wrapped keys: whether the master key fits, the index key, wrapping anew beside others' transactions."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
import pytest
from sqlalchemy import delete, insert, select, text

from services.chassis import keyring
from services.chassis.app import App
from services.chassis.database import Database
from services.chassis.keyring import Busy, alone, census, check, open_vault, outlast, wrap_anew
from services.chassis.masters import KeyFile
from services.chassis.settings import Settings
from services.chassis.tables import vault_keys
from services.chassis.vault import CHECK_OWNER, INDEX_OWNER, Vault, VaultError, new_master_key
from tests.support.databases import dump


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Give settings with a state folder of their own."""
    return Settings(state=tmp_path)


@pytest.fixture
def file(settings: Settings) -> KeyFile:
    """Lend the file that the settings mean, whether it is there or not."""
    return KeyFile(settings.state / "master-key", ours=True)


@pytest.fixture
def sealed(settings: Settings, database: Database) -> Iterator[dict[UUID, bytes]]:
    """Seal a hundred words; owner -> sealed word."""
    app = App("intake", settings, database, open_vault(settings, database, "intake"))
    with app.work() as work:
        words = {owner: work.new_key(owner).seal("word", str(owner)) for owner in (uuid4() for _ in range(100))}
    yield words  # noqa: PT022 - rows go with the database


def readable(words: dict[UUID, bytes], settings: Settings, database: Database) -> int:
    """How many of these words can be read with the master keys of now."""
    app = App("intake", settings, database, open_vault(settings, database, "intake"))
    with app.work() as work:
        return sum(work.key(owner).open("word", word) == str(owner) for owner, word in words.items())


def test_an_older_database_goes_on_with_the_index_it_has(settings: Settings, database: Database, file: KeyFile) -> None:
    """Its keys were wrapped before it had an index key; even if a new master key was put first meanwhile."""
    file.make()
    old = Vault(*file.read())
    with database.begin() as connection:
        connection.execute(insert(vault_keys).values(owner=CHECK_OWNER, wrapped=old.new_key(CHECK_OWNER)[1]))
    file.add()
    vault = open_vault(settings, database, "intake")
    assert vault.index("visit", "A") == old.index("visit", "A")
    assert vault.index("visit", "A") != Vault(file.read()[0]).index("visit", "A")
    file.keep_first()
    with pytest.raises(VaultError):
        open_vault(settings, database, "intake")


def test_replicas_that_start_at_once_agree(settings: Settings, database: Database) -> None:
    """On the master key, which one of them makes, and on the index key."""
    with ThreadPoolExecutor(8) as pool:
        vaults = list(pool.map(lambda _: open_vault(settings, database, "intake"), range(8)))
    assert len({vault.index("visit", "A") for vault in vaults}) == 1
    assert len({vault.fingerprints for vault in vaults}) == 1
    with database.begin() as connection:
        owners = connection.execute(select(vault_keys.c.owner).order_by(vault_keys.c.owner)).scalars().all()
    assert owners == [CHECK_OWNER, INDEX_OWNER]


WRONG: dict[str, Callable[[Path], object]] = {
    "lost": lambda _: None,
    "empty": lambda path: path.write_text(""),
    "truncated": lambda path: path.write_text(new_master_key()[:20]),
    "another": lambda path: path.write_text(new_master_key()),
    "a folder": lambda path: path.mkdir(),
    "a link to nothing": lambda path: path.symlink_to(path.with_name("gone")),
}


@pytest.mark.usefixtures("sealed")
@pytest.mark.parametrize("make", WRONG.values(), ids=WRONG)
def test_a_sealed_database_is_refused_without_its_master_key(
    settings: Settings, database: Database, file: KeyFile, make: Callable[[Path], object]
) -> None:
    """Naming the setting, the file and the service; no key is made beside it, and nothing is written to it."""
    file.path.unlink()
    make(file.path)
    url = database.engine.url.render_as_string(hide_password=False)
    rows, files = dump(url), {path: path.is_file() and path.read_bytes() for path in settings.state.iterdir()}
    for refuse in (lambda: open_vault(settings, database, "intake"), lambda: check(settings, {"intake": database})):
        with pytest.raises(VaultError, match=r"RELAIS_MASTER_KEY_FILE: .*master-key.*intake's database was sealed"):
            refuse()
    assert dump(url) == rows
    assert {path: path.is_file() and path.read_bytes() for path in settings.state.iterdir()} == files


def test_an_empty_database_beside_a_sealed_one_makes_no_key(
    settings: Settings, database: Database, databases: Callable[[], dict[str, str]], file: KeyFile
) -> None:
    """Asked of all together before any is opened: the new key would be beside what it cannot open."""
    open_vault(settings, database, "intake")
    file.path.unlink()
    empty = Database(databases()["referral"], "test")
    with pytest.raises(VaultError, match="intake's database was sealed"):
        check(settings, {"referral": empty, "intake": database})
    check(settings, {"referral": empty})
    assert not file.path.exists()
    empty.close()


def test_wrapping_anew_moves_every_key_and_no_word_or_index(
    settings: Settings, database: Database, file: KeyFile, sealed: dict[UUID, bytes]
) -> None:
    """What is sealed stays as it is; only the new master key is needed then, and a second pass finds nothing."""
    before = open_vault(settings, database, "intake").index("visit", "A")
    file.add()
    vault, told = open_vault(settings, database, "intake"), list[int]()
    new, old = vault.fingerprints
    assert census(database, vault) == {old: 102}
    tally = wrap_anew(database, vault, told.append)
    assert (tally.anew, tally.left, tally.unknown, sum(told)) == (102, 0, 0, 102)
    assert census(database, vault) == {new: 102}
    assert wrap_anew(database, vault, told.append).anew == 0
    file.keep_first()
    assert readable(sealed, settings, database) == 100
    assert open_vault(settings, database, "intake").index("visit", "A") == before


def test_half_way_neither_master_key_passes_alone(
    settings: Settings, database: Database, file: KeyFile, sealed: dict[UUID, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever takes the old one out too early is told at the next start, and so is whoever puts it back alone."""
    monkeypatch.setattr(keyring, "_WALK", keyring._WALK.limit(10))  # noqa: SLF001 - so that there is a middle
    file.add()
    both, new, old = file.path.read_text(), *file.path.read_text().split()

    class Killed(Exception):
        pass

    def kill(number: int) -> None:
        if number == 10:
            raise Killed

    with pytest.raises(Killed):
        wrap_anew(database, open_vault(settings, database, "intake"), kill)
    for alone_there in (new, old):
        file.path.write_text(alone_there)
        with pytest.raises(VaultError):
            open_vault(settings, database, "intake")
    file.path.write_text(both)
    assert readable(sealed, settings, database) == 100


def test_a_key_that_hangs_on_no_master_key_is_counted_and_left_alone(
    settings: Settings, database: Database, file: KeyFile
) -> None:
    """Its master key may yet be found."""
    open_vault(settings, database, "intake")
    owner = uuid4()
    foreign = Vault(bytes(32)).new_key(owner)[1]
    with database.begin() as connection:
        connection.execute(insert(vault_keys).values(owner=owner, wrapped=foreign))
    file.add()
    vault = open_vault(settings, database, "intake")
    tally = wrap_anew(database, vault, lambda _: None)
    assert (tally.anew, tally.left, tally.unknown) == (2, 0, 1)
    assert census(database, vault) == {vault.fingerprints[0]: 2, None: 1}
    with database.begin() as connection:
        assert connection.scalar(select(vault_keys.c.wrapped).where(vault_keys.c.owner == owner)) == foreign


def test_a_key_that_is_being_destroyed_is_not_waited_for_and_does_not_come_back(
    settings: Settings, database: Database, file: KeyFile, sealed: dict[UUID, bytes]
) -> None:
    """An erasure and a rotation meet: neither holds the other up."""
    owner = next(iter(sealed))
    file.add()
    vault = open_vault(settings, database, "intake")
    with database.begin() as erasing:
        erasing.execute(delete(vault_keys).where(vault_keys.c.owner == owner))
        tally = wrap_anew(database, vault, lambda _: None)
        assert (tally.anew, tally.left) == (101, 1)
    assert wrap_anew(database, vault, lambda _: None).left == 0
    with database.begin() as connection:
        assert not connection.execute(select(vault_keys).where(vault_keys.c.owner == owner)).all()


def test_what_is_open_is_outlasted_whosever_it_is_and_what_is_not_ours_is_not(database: Database) -> None:
    """A frozen service's transaction may hold a key of before; a backup may last for hours."""
    with database.begin() as open_one:
        open_one.execute(text("SELECT 1"))
        with pytest.raises(Busy, match="open for more than"):
            outlast(database, 0.3)
    outlast(database, 0.3)
    url = database.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url, application_name="pg_dump") as backup:
        backup.execute("SELECT 1")
        outlast(database, 0.3)


def test_one_rotates_at_a_time(database: Database) -> None:
    """The second is told so at once, and may when the first has ended, however it ended."""
    with alone(database), pytest.raises(Busy, match="another rotation"), alone(database):
        pass
    with pytest.raises(ZeroDivisionError), alone(database):
        raise ZeroDivisionError
    with alone(database):
        pass
