"""The wrapped keys of a service's database: does the master key fit, which one wraps what, wrap them anew.

Two owners are nobody's. CHECK_OWNER is wrapped anew first and INDEX_OWNER last, so that while a rotation is under way
no single master key passes for all that is needed.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, LiteralString
from uuid import UUID

from sqlalchemy import Connection, Row, bindparam, func, inspect, select, text
from sqlalchemy.dialects import postgresql

from services.chassis.database import Database
from services.chassis.masters import source_of
from services.chassis.settings import Settings
from services.chassis.tables import vault_keys
from services.chassis.vault import CHECK_OWNER, INDEX_OWNER, Vault, VaultError

# Who keeps what is sealed.
KEEPERS: Final = ("intake", "referral")
_ROWS = 500
# After each transaction as long as it took, for everybody else.
_LONGEST_PAUSE = 0.2
_LOCK = 0x4B455953
_FIND = select(vault_keys.c.owner, vault_keys.c.wrapped)
_WALK = _FIND.where(vault_keys.c.owner > bindparam("after")).order_by(vault_keys.c.owner).limit(_ROWS)
# One that another transaction holds, which may be deleting it, is not waited for.
_TAKE = (
    _FIND.where(vault_keys.c.owner == func.any(bindparam("owners", type_=postgresql.ARRAY(vault_keys.c.owner.type))))
    .order_by(vault_keys.c.owner)
    .with_for_update(skip_locked=True, key_share=True)
)
_WRAP_ANEW: Final[LiteralString] = """UPDATE vault_keys SET wrapped = anew.wrapped
    FROM unnest(CAST(:owners AS uuid[]), CAST(:wrapped AS bytea[])) AS anew (owner, wrapped)
    WHERE vault_keys.owner = anew.owner"""
_OLDER: Final[LiteralString] = """SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
    AND application_name LIKE 'relais-%' AND pid <> pg_backend_pid() AND xact_start < :instant"""


@dataclass(slots=True)
class Tally:
    """What a pass over one database found: keys wrapped anew, left alone, and opened by no master key there is."""

    anew: int = 0
    left: int = 0
    unknown: int = 0


class Busy(Exception):
    """Another rotation, or a transaction that is older, is under way."""


def open_vault(settings: Settings, database: Database, service: str) -> Vault:
    """The vault of this database, with its own index key. Raises VaultError.

    A first master key is made under `RELAIS_STATE` where no other is named, and never beside what was sealed before.
    """
    with database.begin() as connection:
        sealed = _is_sealed(connection)
    source = source_of(settings)
    if not sealed:
        source.make()
    try:
        vault = Vault(*source.read(), source=source)
    except VaultError as error:
        raise _needed(error, service) if sealed else error from None
    with database.begin() as connection:
        _check(connection, vault, source.name, service)
        vault.index_with(_index_key(connection, vault))
    return vault


def check(settings: Settings, databases: Mapping[str, Database]) -> None:
    """Write nothing, anywhere; raises VaultError when one of them was sealed and its master key is not there."""
    sealed = []
    for service, database in databases.items():
        with database.begin() as connection:
            if inspect(connection).has_table(vault_keys.name) and _is_sealed(connection):
                sealed.append(service)
    if not sealed:
        return
    source = source_of(settings)
    try:
        vault = Vault(*source.read(), source=source)
    except VaultError as error:
        raise _needed(error, sealed[0]) from None
    for service in sealed:
        with databases[service].begin() as connection:
            _check(connection, vault, source.name, service)


def _needed(error: VaultError, service: str) -> VaultError:
    return VaultError(f"{error}; {service}'s database was sealed with a master key, bring it back: nothing was changed")


def _is_sealed(connection: Connection) -> bool:
    return connection.execute(select(vault_keys.c.owner).limit(1)).first() is not None


def _check(connection: Connection, vault: Vault, name: str, service: str) -> None:
    """Raises VaultError unless the keys that are nobody's open; of a database without these, any."""
    rows = _nobodys(connection) or connection.execute(_FIND.limit(1)).all()
    try:
        for row in rows:
            vault.unwrap(row.owner, row.wrapped)
    except VaultError:
        raise VaultError(
            f"{name} does not hold the master key that {service}'s database was sealed with: nothing was changed"
        ) from None


def _nobodys(connection: Connection) -> Sequence[Row[UUID, bytes]]:
    found = _FIND.where(vault_keys.c.owner.in_([CHECK_OWNER, INDEX_OWNER])).order_by(vault_keys.c.owner)
    return connection.execute(found).all()


def _index_key(connection: Connection, vault: Vault) -> bytes:
    """This database's own; made, where there is none, of the master key that wrapped what is there.

    So a database that was indexed before it had one finds everything again, and replicas that start at once agree.
    """
    found = {row.owner: row.wrapped for row in _nobodys(connection)}
    if INDEX_OWNER not in found:
        some = connection.execute(_FIND.limit(1)).first()
        key = vault.index_key_of(some.owner, some.wrapped) if some else vault.index_key
        _keep(connection, INDEX_OWNER, vault.wrap(INDEX_OWNER, key))
    if CHECK_OWNER not in found:
        _keep(connection, CHECK_OWNER, vault.new_key(CHECK_OWNER)[1])
    wrapped = connection.execute(select(vault_keys.c.wrapped).where(vault_keys.c.owner == INDEX_OWNER)).scalar_one()
    return vault.unwrap(INDEX_OWNER, wrapped)


def _keep(connection: Connection, owner: UUID, wrapped: bytes) -> None:
    """Unless another replica was first: it is waited for."""
    connection.execute(postgresql.insert(vault_keys).values(owner=owner, wrapped=wrapped).on_conflict_do_nothing())


def census(database: Database, vault: Vault) -> Counter[str | None]:
    """How many keys each master key wraps, by fingerprint; None: one that is not there."""
    return Counter(vault.fingerprint_of(row.owner, row.wrapped) for rows in _all_keys(database) for row in rows)


def number_of(database: Database) -> int:
    """How many keys there are."""
    with database.begin() as connection:
        return connection.execute(select(func.count()).select_from(vault_keys)).scalar_one()


def wrap_anew(database: Database, vault: Vault, told: Callable[[int], None]) -> Tally:
    """Have the first master key wrap every key, some hundred a transaction; `told` is given each number done.

    A key that is being deleted meanwhile is left alone, and none comes back.
    """
    tally = Tally()
    for rows in _all_keys(database):
        first = vault.fingerprints[0]
        by = {row.owner: vault.fingerprint_of(row.owner, row.wrapped) for row in rows}
        tally.unknown += sum(each is None for each in by.values())
        stale = [owner for owner, each in by.items() if each not in {None, first}]
        if stale:
            began = time.monotonic()
            anew = _wrap_anew(database, vault, stale)
            tally.anew += anew
            tally.left += len(stale) - anew
            time.sleep(min(time.monotonic() - began, _LONGEST_PAUSE))
        told(len(rows))
    return tally


def _wrap_anew(database: Database, vault: Vault, owners: Sequence[UUID]) -> int:
    with database.begin() as connection:
        rows = connection.execute(_TAKE, {"owners": list(owners)}).all()
        wrapped = [vault.wrap(row.owner, vault.unwrap(row.owner, row.wrapped)) for row in rows]
        connection.execute(text(_WRAP_ANEW), {"owners": [row.owner for row in rows], "wrapped": wrapped})
    return len(rows)


def _all_keys(database: Database) -> Iterator[Sequence[Row[UUID, bytes]]]:
    """All wrapped keys, some hundred at a time, CHECK_OWNER's first and INDEX_OWNER's last."""
    with database.begin() as connection:
        nobodys = _nobodys(connection)
    yield [row for row in nobodys if row.owner == CHECK_OWNER]
    after = INDEX_OWNER
    while True:
        with database.begin() as connection:
            rows = connection.execute(_WALK, {"after": after}).all()
        if not rows:
            break
        yield rows
        after = rows[-1].owner
    yield [row for row in nobodys if row.owner == INDEX_OWNER]


def outlast(database: Database, seconds: float) -> None:
    """Wait until no transaction of Relais that runs now is open any more; raises Busy after `seconds`."""
    with database.begin() as connection:
        instant = connection.execute(select(func.clock_timestamp())).scalar_one()
    deadline = time.monotonic() + seconds
    while True:
        with database.begin() as connection:
            older = connection.execute(text(_OLDER), {"instant": instant}).scalar_one()
        if not older:
            return
        if time.monotonic() > deadline:
            raise Busy(f"a transaction has been open for more than {seconds:g} s")
        time.sleep(0.2)


@contextmanager
def alone(database: Database) -> Iterator[None]:
    """Nobody else rotates this database's keys meanwhile; raises Busy when somebody does."""
    # A lock of the session, not of a transaction, which would be ended for lasting too long.
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if not connection.execute(select(func.pg_try_advisory_lock(_LOCK))).scalar_one():
            raise Busy("another rotation is under way")
        try:
            yield
        finally:
            connection.execute(select(func.pg_advisory_unlock(_LOCK)))
