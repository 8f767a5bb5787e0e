"""Changing the master key while everybody goes on reading and writing.

The new key is put first in the file, then every wrapped key is wrapped anew. Services read the file again by
themselves. Killed anywhere, it is run again and goes on: several keys in the file mean that a rotation is under way.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field

from services.chassis import keyring
from services.chassis.database import Database
from services.chassis.keyring import Busy
from services.chassis.masters import LOOK_SECONDS, KeyCommand, KeyFile, source_of
from services.chassis.settings import Settings
from services.chassis.vault import Vault, fingerprint

# Until every service has looked at the file, with something to spare.
SETTLE_SECONDS = LOOK_SECONDS + 1
# A transaction whose process is frozen is ended by the server after 60 s.
_OLDEST_SECONDS = 90.0
_PASSES = 5
# A step, how much of it is done, of how much.
Told = Callable[[str, float, float], None]


class CannotRotate(Exception):
    """The keys are not where this command can change them; says what to do."""


@dataclass(slots=True)
class Rotation:
    """What was done."""

    key: str  # the master key that wraps everything now, by its fingerprint
    made: bool
    old: list[str]  # the others that are in the file
    anew: dict[str, int] = field(default_factory=dict)  # of each service's keys, those wrapped anew
    unknown: dict[str, int] = field(default_factory=dict)  # those that hang on no master key there is
    dropped: bool = False


def rotate(
    settings: Settings, databases: Mapping[str, Database], told: Told, *, only_wrap: bool = False, drop: bool = False
) -> Rotation:
    """Have one master key, a new one unless a rotation is under way already, wrap every key in these databases.

    `only_wrap`: make no key. `drop`: take the others out of the file once nothing hangs on them. Raises VaultError,
    CannotRotate, Busy.
    """
    with ExitStack() as stack:
        for database in databases.values():
            stack.enter_context(keyring.alone(database))
        source = source_of(settings)
        _fit(settings, databases)
        made = False
        if drop and isinstance(source, KeyCommand):
            raise CannotRotate(f"{source.name}: --drop-old cannot take a key out there")
        if len(source.read()) == 1 and not only_wrap:
            _add_key(source)
            made = True
        first, *old = (fingerprint(each) for each in source.read())
        done = Rotation(first, made, old)
        _wrap_all(databases, _fit(settings, databases), done, told)
        if drop and old and not any(done.unknown.values()):
            for database in databases.values():
                keyring.outlast(database, _OLDEST_SECONDS)
            _change(source, KeyFile.keep_first)
            done.dropped = True
        return done


def _fit(settings: Settings, databases: Mapping[str, Database]) -> dict[str, Vault]:
    """Each database's vault; raises VaultError where the master keys do not fit."""
    return {service: keyring.open_vault(settings, database, service) for service, database in databases.items()}


def _wrap_all(databases: Mapping[str, Database], vaults: Mapping[str, Vault], done: Rotation, told: Told) -> None:
    """Pass over all keys until a pass that began when nobody wrapped with an old one any more finds none to wrap."""
    _pass(databases, vaults, done, told)
    started = time.monotonic()
    while (waited := time.monotonic() - started) < SETTLE_SECONDS:
        told("services take the new key", waited, SETTLE_SECONDS)
        time.sleep(0.1)
    told("services take the new key", SETTLE_SECONDS, SETTLE_SECONDS)
    for database in databases.values():
        keyring.outlast(database, _OLDEST_SECONDS)
    for _ in range(_PASSES):
        if not _pass(databases, vaults, done, told):
            return
        time.sleep(LOOK_SECONDS)
    raise Busy(
        "keys are still being made with an old master key: have every replica of intake and referral read the new one,"
        " then run this again"
    )


def _pass(databases: Mapping[str, Database], vaults: Mapping[str, Vault], done: Rotation, told: Told) -> int:
    """How many keys hung, or hang still, on an old master key."""
    found = 0
    for service, database in databases.items():
        seen, total = 0, keyring.number_of(database)

        def count(number: int, service: str = service, total: int = total) -> None:
            nonlocal seen
            seen += number
            told(f"{service}: wrapping anew", min(seen, total), total)

        tally = keyring.wrap_anew(database, vaults[service], count)
        done.anew[service] = done.anew.get(service, 0) + tally.anew
        done.unknown[service] = tally.unknown
        found += tally.anew + tally.left
    return found


def _add_key(source: KeyFile | KeyCommand) -> None:
    if isinstance(source, KeyCommand):
        raise CannotRotate(f"{source.name}: it gives one key; have it give a new one before that, then run this again")
    _change(source, KeyFile.add)


def _change(source: KeyFile | KeyCommand, change: Callable[[KeyFile], None]) -> None:
    assert isinstance(source, KeyFile)
    try:
        change(source)
    except OSError as error:
        raise CannotRotate(
            f"{source.name}: {type(error).__name__}, it cannot be replaced from here: change its lines where they are"
            " kept (docs/operations.md, Keys), then run this again"
        ) from None
