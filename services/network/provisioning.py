"""Compares what sites and partners should have at the broker with what is there, and changes the difference.

Passwords that exist are never touched, and nothing is deleted but rights that an outsider should not have.
"""

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from services.chassis.management import Definitions, Management
from services.chassis.secrets import broker_hash
from services.network import accounts
from services.network.accounts import LIMITS, Account, Definition, Vhosts

# Accounts in one request; each takes the broker some milliseconds, its queue most of them.
_AT_ONCE = 25
_PASSWORD_BYTES = 24
# What tells one definition of a kind from another, and what must be equal in it.
_KINDS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "vhosts": (("name",), ()),
    "exchanges": (("vhost", "name"), ("type", "durable", "auto_delete", "internal", "arguments")),
    "queues": (("vhost", "name"), ("durable", "auto_delete", "arguments")),
    "bindings": (("vhost", "source", "destination", "destination_type", "routing_key"), ()),
    "parameters": (("vhost", "component", "name"), ("value",)),
    "permissions": (("vhost", "user"), ("configure", "write", "read")),
}
_CANNOT_CHANGE = ("exchanges", "queues")


class Change(NamedTuple):
    """One thing done or to be done: `add`, `change` or `remove`."""

    action: str
    kind: str
    name: str


@dataclass
class Part:
    """What is to be loaded together, of one account or of none; `user` is one that exists and needs other limits."""

    account: Account | None = None
    new: bool = False
    user: Definition | None = None
    load: dict[str, list[Definition]] = field(default_factory=dict)


@dataclass
class Plan:
    """What is to be done, and what is told and left alone.

    `clashes` are queues and exchanges that exist and are not as they should be; `strangers` accounts and queues of
    sites and partners that the network does not have (any more); `overtaken` accounts that, while this was carried out,
    got a password of another run.
    """

    parts: list[Part] = field(default_factory=list)
    too_much: list[Definition] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    clashes: list[str] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)
    overtaken: list[str] = field(default_factory=list)

    @property
    def new(self) -> int:
        """How many accounts are to be made."""
        return sum(part.new for part in self.parts)


class Credentials(NamedTuple):
    """What an outsider needs to know; its password is nowhere else."""

    account: Account
    password: str


def plan(present: Definitions, wanted: Sequence[Account], vhosts: Vhosts) -> Plan:
    """The difference between what is there and what should be."""
    made = Plan()
    known = {kind: {_key(kind, each): each for each in present.get(kind, ())} for kind in _KINDS}
    users = {user["name"]: user for user in present.get("users", ())}
    _add(made, Part(load=_missing(made, known, accounts.common(vhosts))))
    for account in wanted:
        user = users.get(account.user)
        part = Part(account, new=user is None, load=_missing(made, known, accounts.wanted(account)))
        if user is None:
            made.changes.append(Change("add", "account", account.user))
        elif user.get("limits") != LIMITS or user.get("tags"):
            part.user = account.definition(user["password_hash"]) | {"hashing_algorithm": user["hashing_algorithm"]}
            made.changes.append(Change("change", "account", account.user))
        _add(made, part)
    ours = {account.user: account for account in wanted}
    for (vhost, user_name), permission in known["permissions"].items():
        if user_name in ours and vhost != ours[user_name].vhost:
            made.too_much.append(dict(permission))
            made.changes.append(Change("remove", "permission", f"{user_name} in {vhost}"))
    made.strangers = list(_strangers(known, ours, vhosts))
    return made


def apply(
    management: Management, planned: Plan, advance: Callable[[int], None] = lambda _: None
) -> Iterator[list[Credentials]]:
    """Do what is planned, and yield the credentials of each handful of new accounts once they exist.

    Another run may be at it: an account that is there by now is left as it is, and a password that is not there once
    it was written is not yielded. `advance` is told how many accounts are done. Raises ManagementError.
    """
    for permission in planned.too_much:
        management.delete_permission(permission["user"], permission["vhost"])
    common = [part for part in planned.parts if part.account is None]
    others = [part for part in planned.parts if part.account is not None]
    for part in common:
        management.load(part.load)
    for start in range(0, len(others), _AT_ONCE):
        parts = others[start : start + _AT_ONCE]
        known = management.password_hashes()
        new = [part.account for part in parts if part.account and part.new]
        made = [Credentials(account, new_password()) for account in new if account.user not in known]
        hashes = {each.account.user: broker_hash(each.password) for each in made}
        management.load(_together(parts, made, known | hashes))
        there = management.password_hashes() if made else {}
        ours = [each for each in made if there.get(each.account.user) == hashes[each.account.user]]
        planned.overtaken += [account.user for account in new if account not in {each.account for each in ours}]
        advance(len(parts))
        yield ours


def rotate(management: Management, account: Account) -> Credentials:
    """Give an account a new password; what was opened with the old one stays open. Raises ManagementError."""
    made = Credentials(account, new_password())
    management.load({"users": [account.definition(broker_hash(made.password))]})
    return made


def new_password() -> str:
    """Of letters, digits, `-` and `_`, so that it can stand in an address."""
    return secrets.token_urlsafe(_PASSWORD_BYTES)


def _together(
    parts: Sequence[Part], made: Sequence[Credentials], hashes: Mapping[str, str]
) -> dict[str, list[Definition]]:
    loaded: dict[str, list[Definition]] = {
        "users": [each.account.definition(hashes[each.account.user]) for each in made]
        + [
            part.user | {"password_hash": hashes[part.user["name"]]}
            for part in parts
            if part.user and part.user["name"] in hashes
        ]
    }
    for part in parts:
        for kind, definitions in part.load.items():
            loaded.setdefault(kind, []).extend(definitions)
    return loaded


def _add(made: Plan, part: Part) -> None:
    if part.new or part.user or part.load:
        made.parts.append(part)


def _missing(
    made: Plan, known: Mapping[str, Mapping[tuple[str, ...], Mapping[str, Any]]], wanted: Definitions
) -> dict[str, list[Definition]]:
    """Those that are to be loaded; what cannot be changed is noted in the plan, as is each change."""
    missing: dict[str, list[Definition]] = {}
    for kind, definitions in wanted.items():
        for each in definitions:
            found, name = known[kind].get(_key(kind, each)), " ".join(_key(kind, each))
            if found is not None and all(found.get(one) == each[one] for one in _KINDS[kind][1]):
                continue
            if found is not None and kind in _CANNOT_CHANGE:
                made.clashes.append(f"{_singular(kind)} {name}")
                continue
            made.changes.append(Change("change" if found is not None else "add", _singular(kind), name))
            missing.setdefault(kind, []).append(dict(each))
    return missing


def _strangers(
    known: Mapping[str, Mapping[tuple[str, ...], Mapping[str, Any]]], ours: Mapping[str, Account], vhosts: Vhosts
) -> Iterator[str]:
    queues = {account.queue for account in ours.values()}
    for vhost, user in sorted(known["permissions"]):
        if vhost in (vhosts.ingest, vhosts.partners) and user not in ours and list(accounts.of_outsiders([user])):
            yield f"account {user}"
    for vhost, name in sorted(known["queues"]):
        for kind in accounts.KINDS:
            prefix = Account(kind, "", "").queue
            if vhost == vhosts.of(kind) and name.startswith(prefix) and name not in queues:
                yield f"queue {name}"


def _key(kind: str, definition: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(str(definition[one]) for one in _KINDS[kind][0])


def _singular(kind: str) -> str:
    return "policy" if kind == "parameters" else kind.removesuffix("s")
