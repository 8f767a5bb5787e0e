"""`relais partners …` at the real broker: accounts made, shown once, changed and ended."""

import itertools
import json
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pika
import pytest
from pika.exceptions import AMQPError
from typer.testing import CliRunner

from services.chassis.management import Definitions, Management
from services.network.partner_commands import app
from tests.support.house import eventually
from tests.support.rabbit import Rabbit

_NUMBERS = itertools.count(1)
SITE = '[[sites]]\nid = "{id}"\nname = "S"\ncommune = "80570"\nlabel = "granted"\n'
PARTNER = (
    '[[partners]]\nid = "{id}"\nname = "P"\nkind = "k"\ncategory = "local"\ncovers = "all"\nbasis = "mission"\n'
    "by_choice = true\n"
)


class Office:
    """An operator's desk: a network file, the broker's API, and `relais partners` in vhosts of its own."""

    def __init__(self, rabbit: Rabbit, folder: Path) -> None:
        self.rabbit, self.folder = rabbit, folder
        number = next(_NUMBERS)
        self.site, self.partner, self.other = f"o{number}-site", f"o{number}-one", f"o{number}-two"
        self.vhosts = {kind: f"office-{number}-{kind}" for kind in ("relais", "ingest", "partners")}
        self.file = folder / "network.toml"
        self.write(self.partner, self.other)
        self.environment: dict[str, str | None] = {
            "RELAIS_NETWORK": str(self.file),
            "RELAIS_AMQP_MANAGEMENT_URL": rabbit.management_url(),
            "RELAIS_AMQP_URL": rabbit.url(self.vhosts["relais"]),
            "RELAIS_AMQP_URL_INGEST": rabbit.url(self.vhosts["ingest"]),
            "RELAIS_AMQP_URL_PARTNERS": rabbit.url(self.vhosts["partners"]),
        }

    def write(self, *partners: str) -> None:
        """Write the network file: a site, and these partners."""
        texts = ['[network]\nid = "n"\nname = "N"\n', SITE.format(id=self.site)]
        self.file.write_text("\n".join(texts + [PARTNER.format(id=each) for each in partners]))

    def __call__(self, *arguments: str, **environment: str | None) -> tuple[int, str, str]:
        """Run `relais partners …`: (exit code, standard output, standard error)."""
        done = CliRunner().invoke(app, arguments, env=self.environment | environment)
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done.exit_code, done.stdout, done.stderr

    def credentials(self, *arguments: str) -> dict[str, dict[str, str]]:
        """Run it with `--json`: what it printed, by user."""
        code, out, err = self(*arguments, "--json")
        assert code == 0, err
        return {one["user"]: one for one in json.loads(out)}

    def clear(self) -> None:
        """Take everything away again."""
        for user in self.rabbit.api("GET", "/users"):
            if user["name"].partition(".")[2] in (self.site, self.partner, self.other):
                self.rabbit.delete_user(user["name"])
        for vhost in {each["name"] for each in self.rabbit.api("GET", "/vhosts")} & set(self.vhosts.values()):
            self.rabbit.delete_vhost(vhost)


@pytest.fixture
def office(rabbit: Rabbit, tmp_path: Path) -> Iterator[Office]:
    """Lend a desk; no service need run."""
    desk = Office(rabbit, tmp_path)
    yield desk
    desk.clear()


class Reader:
    """A partner's client that is always there, with all it was delivered, and when its connection ended."""

    def __init__(self, url: str, queue: str) -> None:
        self.got: list[bytes] = []
        self.ended: float | None = None
        self._url, self._queue = url, queue
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(20)

    def _run(self) -> None:
        with suppress(AMQPError):
            channel = pika.BlockingConnection(pika.URLParameters(self._url)).channel()
            channel.basic_consume(self._queue, self._take, auto_ack=True)
            self._ready.set()
            channel.start_consuming()
        self.ended = time.monotonic()

    def _take(self, _channel: Any, _method: Any, _properties: Any, body: bytes) -> None:  # noqa: ANN401 - pika's
        self.got.append(body)


def publish(office: Office, queue: str, body: bytes) -> None:
    """Put something into a partner's queue, as referral would."""
    with pika.BlockingConnection(pika.URLParameters(office.rabbit.url(office.vhosts["partners"]))) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.basic_publish("", queue, body)


def enters(url: str) -> bool:
    """Whether a client gets in."""
    try:
        pika.BlockingConnection(pika.URLParameters(url)).close()
    except AMQPError:
        return False
    return True


def test_accounts_are_made_shown_once_and_left_alone(office: Office) -> None:
    """What would change is said first; the second run changes nothing; what is printed opens."""
    planned = json.loads(office("provision", "--dry-run", "--json")[1])
    assert {"action": "add", "kind": "account", "name": f"partner.{office.partner}"} in planned
    code, out, _ = office("provision", "--dry-run")
    assert (code, len(out.splitlines())) == (0, len(planned))
    made = office.credentials("provision")
    assert set(made) == {f"site.{office.site}", f"partner.{office.partner}", f"partner.{office.other}"}
    mine = made[f"partner.{office.partner}"]
    assert (mine["queue"], mine["exchange"], mine["vhost"]) == (
        f"out.{office.partner}",
        "answers",
        office.vhosts["partners"],
    )
    assert mine["password"] not in mine["url"]
    assert all(enters(one["url_with_password"]) for one in made.values())
    code, out, err = office("provision")
    assert (code, out) == (0, "")
    assert "3 accounts, 0 of them new; nothing to change" in err
    assert enters(mine["url_with_password"])


def test_a_table_is_for_people(office: Office) -> None:
    """Each address is whole on its line, to be copied; nothing of it is on standard error."""
    code, out, err = office("provision", RELAIS_AMQP_PUBLIC_URL="amqps://broker.example.org:5671")
    assert code == 0
    line = next(line for line in out.splitlines() if f"site.{office.site}" in line)
    address = next(word for word in line.split() if word.startswith("amqps://"))
    assert address.endswith(f"@broker.example.org:5671/{office.vhosts['ingest']}")
    password = address.partition("@")[0].rpartition(":")[2]
    assert len(password) >= 32
    assert password not in err


def test_credentials_go_into_files_and_nowhere_else(office: Office) -> None:
    """One for each account, which its owner alone may read; a new password takes the place of the old."""
    folder = office.folder / "credentials"
    code, out, err = office("provision", "--out", str(folder))
    assert (code, out) == (0, "")
    files = sorted(folder.iterdir())
    assert len(files) == 3
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    mine = folder / f"partner.{office.partner}.json"
    old = json.loads(mine.read_text())
    assert old["password"] not in out + err
    assert office("rotate", office.partner, "--out", str(folder))[:2] == (0, "")
    new = json.loads(mine.read_text())
    assert (enters(old["url_with_password"]), enters(new["url_with_password"])) == (False, True)
    assert office("provision", "--out", "/dev/null/here")[0] == 2


def test_nothing_is_delivered_after_a_revocation(office: Office, tell: Callable[[str], None]) -> None:
    """A consumer that was there all the time gets nothing any more and cannot come back; its queue stays, and fills."""
    made = office.credentials("provision")
    name = f"partner.{office.partner}"
    queue, url = made[name]["queue"], made[name]["url_with_password"]
    reader = Reader(url, queue)
    other = Reader(made[f"partner.{office.other}"]["url_with_password"], f"out.{office.other}")
    publish(office, queue, b"before")
    eventually(lambda: reader.got == [b"before"])
    began = time.monotonic()
    code, out, err = office("revoke", office.partner)
    ended = eventually(lambda: reader.ended, within=20.0) - began
    tell(f"a live consumer was cut off {ended:.2f} s after `relais partners revoke` began")
    assert (code, out) == (0, f"revoked: {name}; queue {queue} kept\n")
    assert f"{name} is still in the network files" in err
    assert ended < 20
    publish(office, queue, b"after")
    publish(office, f"out.{office.other}", b"for the other")
    eventually(lambda: other.got == [b"for the other"])
    assert (reader.got, other.ended) == ([b"before"], None)
    assert not enters(url)
    assert [one["payload"] for one in office.rabbit.drain(office.vhosts["partners"], queue)] == ["after"]


def test_a_revocation_may_take_the_queue_along(office: Office) -> None:
    """A later provisioning makes both anew, as long as the network has the partner; the old password stays dead."""
    old = office.credentials("provision")[f"partner.{office.partner}"]
    publish(office, old["queue"], b"lost with it")
    _, out, _ = office("revoke", office.partner, "--purge-queue", "--json")
    assert json.loads(out) == [{"account": old["user"], "queue": old["queue"], "queue_deleted": True}]
    assert old["queue"] not in office.rabbit.queues(office.vhosts["partners"])
    new = office.credentials("provision")
    assert set(new) == {old["user"]}
    assert (enters(old["url_with_password"]), enters(new[old["user"]]["url_with_password"])) == (False, True)


def test_a_new_password_ends_what_the_old_one_opened(office: Office) -> None:
    """Whoever has the old one may have connected already."""
    old = office.credentials("provision")[f"partner.{office.partner}"]
    reader = Reader(old["url_with_password"], old["queue"])
    new = office.credentials("rotate", office.partner)
    assert eventually(lambda: reader.ended)
    (told,) = new.values()
    assert told["password"] != old["password"]
    assert (enters(old["url_with_password"]), enters(told["url_with_password"])) == (False, True)


def test_a_partner_that_left_is_named(office: Office) -> None:
    """On standard error, and the command ends with 0: nothing failed, and nothing was dropped."""
    office.credentials("provision")
    office.write(office.partner)
    code, out, err = office("provision")
    assert (code, out) == (0, "")
    assert f"uses it (any more), left alone: account partner.{office.other};" in err


def test_a_queue_of_another_making_ends_it_with_1(office: Office) -> None:
    """Named; the accounts are made all the same."""
    vhost = office.rabbit.add_vhost(office.vhosts["partners"])
    with pika.BlockingConnection(pika.URLParameters(office.rabbit.url(vhost))) as connection:
        connection.channel().queue_declare(f"out.{office.partner}", durable=True)
    code, out, err = office("provision", "--json")
    assert (code, len(json.loads(out))) == (1, 3)
    assert f"exists with other arguments, left alone: queue {vhost} out.{office.partner};" in err


def test_an_account_that_another_run_made_is_named(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a password, which this run does not know, and the command ends with 1."""
    looked = Management.definitions

    def overtaken(self: Management) -> Definitions:
        found = looked(self)
        monkeypatch.undo()
        made.update(office.credentials("provision"))
        return found

    made: dict[str, dict[str, str]] = {}
    monkeypatch.setattr(Management, "definitions", overtaken)
    code, out, err = office("provision", "--json")
    assert (code, out) == (1, "[]\n")
    for user in made:
        assert f"another run made it meanwhile, with a password of its own: {user};" in err
    assert len(made) == 3
    assert all(enters(one["url_with_password"]) for one in made.values())


@pytest.mark.parametrize("both", [("INGEST", "PARTNERS"), ("", "PARTNERS"), ("", "INGEST")])
def test_one_vhost_for_two_is_refused(office: Office, both: tuple[str, str]) -> None:
    """Before anything is made: a partner could read what sites wrote, or a site what is inside."""
    names = [f"RELAIS_AMQP_URL_{each}".rstrip("_") for each in both]
    code, out, err = office("provision", **{names[1]: office.environment[names[0]]})
    assert (code, out) == (2, "")
    assert f"{names[0]} and {names[1]} name the same vhost" in err
    assert not [one for one in office.rabbit.api("GET", "/users") if office.partner in one["name"]]


def test_the_accounts_of_the_deployed_file_are_enough(office: Office) -> None:
    """`provisioner` has its password from a file, and may delete outsiders' queues and touch nothing in them."""
    for vhost in office.vhosts.values():
        office.rabbit.add_vhost(vhost)
    user, secret = f"provisioner-{office.partner}", "a secret of its own"
    office.rabbit.add_user(user, secret, "administrator")
    file = office.folder / "password"
    file.write_text(f"{secret}\n")
    where = office.rabbit.management_url("X", "Y").replace("X:Y", user)
    changes = {"RELAIS_AMQP_MANAGEMENT_URL": where, "RELAIS_AMQP_MANAGEMENT_PASSWORD_FILE": str(file)}
    assert office("provision", **changes)[0] == 0
    code, _, err = office("revoke", office.partner, "--purge-queue", **changes)
    assert (code, "was refused" in err) == (2, True), err
    assert f"partner.{office.partner}" in {user["name"] for user in office.rabbit.api("GET", "/users")}
    nothing = {"write": "^$", "read": "^$"}
    office.rabbit.permit(user, office.vhosts["partners"], configure="^out\\..*$", **nothing)
    assert office("revoke", office.partner, "--purge-queue", **changes)[0] == 0
    office.rabbit.delete_user(user)


@pytest.mark.parametrize(
    ("arguments", "changes", "code", "words"),
    [
        pytest.param(["provision"], {"URL": None}, 2, "RELAIS_AMQP_MANAGEMENT_URL is not set", id="no variable"),
        pytest.param(["provision"], {"URL": "http://u:p@127.0.0.1:1"}, 1, "cannot be reached", id="nobody there"),
        pytest.param(["rotate", "a.*"], {}, 2, "ID: an id has 1 to 64 of a-z", id="an expression for an id"),
        pytest.param(["revoke", "nobody"], {}, 2, "no account of nobody; nothing was changed", id="nobody's id"),
        pytest.param(["provision"], {"NETWORK": "/nowhere.toml"}, 2, "nowhere.toml: document", id="no network"),
    ],
)
def test_what_is_wrong_is_said(
    office: Office, arguments: list[str], changes: dict[str, str | None], code: int, words: str
) -> None:
    """In one line, with the exit code that says whether to mend something or to try again."""
    names = {"URL": "RELAIS_AMQP_MANAGEMENT_URL", "NETWORK": "RELAIS_NETWORK"}
    told = office(*arguments, **{names[name]: value for name, value in changes.items()})
    assert (told[0], told[1]) == (code, "")
    assert words in told[2]
    assert len(told[2].splitlines()) == 1


def test_an_id_with_more_than_an_id_changes_nothing(office: Office) -> None:
    """A network file with one is refused whole."""
    office.write(office.partner, "a.b")
    code, out, err = office("provision")
    assert (code, out) == (2, "")
    assert "network.toml: partners[1].id" in err
    assert not [one for one in office.rabbit.api("GET", "/users") if office.partner in one["name"]]
