"""The programs of `docs/examples`, as they stand, against four services and a broker with provisioned accounts."""

import json
import shutil
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import httpx
import pytest
from standardwebhooks.webhooks import Webhook

from tests.support.broker import vhost_of
from tests.support.examples import Example
from tests.support.house import House, eventually, need, visit
from tests.support.rabbit import Rabbit, free_ports
from tests.support.receiver import Answer, Arrival, Receiver

ROOT = Path(__file__).parents[2]
AMQP, WEBHOOK, HTTP, SITE = "mission-locale-santerre", "departement-80", "cpam", "fs-moreuil"
NEEDS = {AMQP: "jeune-sans-emploi-ni-formation", WEBHOOK: "logement", HTTP: "rembourser-soins"}


class Setting(NamedTuple):
    """A running house, where its partner told by webhook listens, and what `provision` told of each account."""

    house: House
    port: int
    accounts: dict[str, str]

    @property
    def authority(self) -> str:
        """The file of the broker's authority, which nobody trusts who is not told to."""
        return self.house.environment["RELAIS_AMQP_CA_FILE"]

    @property
    def referral(self) -> dict[str, str]:
        """Where the HTTP programs of partners and sites ask."""
        return {"REFERRAL_URL": self.house.url("referral"), "INTAKE_URL": self.house.url("intake")}

    def token(self, role: str, org: str) -> str:
        """As an operator makes one."""
        done = self.house.relais("token", role, org)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def send(self, partner: str) -> tuple[str, str]:
        """A visit that is referred to this partner, just recorded: its visit_id and its case."""
        body = visit(needs=[need(NEEDS[partner])], agreement={"recipients": [partner], "sensitive": False})
        answer = self.house.post_visit(body)
        assert answer.status_code == 201, answer.text
        return body["visit_id"], answer.json()["case"]

    def sent(self, partner: str, number: int) -> list[str]:
        """Send that many; the cases."""
        return [self.send(partner)[1] for _ in range(number)]

    def accepted(self, case: str) -> bool:
        """Whether the case's timeline tells that the partner accepted."""
        return any(entry["kind"] == "referral-accepted" for entry in self.house.timeline(case, SITE))

    def number(self, partner: str, visit_id: str) -> str:
        """The referral of a visit."""
        found = self.house.referrals("site", SITE, limit="1000")
        (mine,) = [one for one in found if one["visit_id"] == visit_id]
        assert mine["partner"] == partner
        return str(mine["referral_id"])


@pytest.fixture(scope="module")
def setting(
    houses: Callable[..., House],
    rabbit: Rabbit,
    vhosts: Callable[[], str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Setting:
    """Start the house, over TLS with its broker, and make the accounts as an operator does."""
    (port,) = free_ports(1)
    folder = Path(shutil.copytree(ROOT / "deploy" / "networks", tmp_path_factory.mktemp("networks") / "networks"))
    file = folder / "somme-santerre.toml"
    told = f'id = "{WEBHOOK}"\nsubscription = "webhook"\nwebhook = "http://127.0.0.1:{port}/"\n'
    file.write_text(file.read_text().replace(f'id = "{WEBHOOK}"\n', told, 1))
    house = houses(
        RELAIS_NETWORK=str(folder),
        RELAIS_AMQP_URL_INGEST=rabbit.url(vhosts(), tls=True),
        RELAIS_AMQP_URL_PARTNERS=rabbit.url(vhosts(), tls=True),
        RELAIS_AMQP_CA_FILE=str(rabbit.authority.ca_path),
        RELAIS_AMQP_MANAGEMENT_URL=rabbit.management_url(),
        RELAIS_AMQP_PUBLIC_URL=f"amqps://127.0.0.1:{rabbit.tls_port}",
        RELAIS_WEBHOOK_DELAYS="0.5,0.5,0.5,0.5,0.5,1,1,1,1,86390",
    )
    made = house.relais("partners", "provision", "--json")
    assert made.returncode == 0, made.stderr
    house.start()
    return Setting(house, port, {each["user"]: each["url_with_password"] for each in json.loads(made.stdout)})


def told(setting: Setting, cases: list[str]) -> bool:
    """Whether every one of them was accepted."""
    return all(setting.accepted(case) for case in cases)


def timed(setting: Setting, partner: str, tell: Callable[[str], None], name: str) -> None:
    """From a visit's recording to the partner's `accepted` in the case's timeline, five times."""
    took = []
    for _ in range(5):
        _, case = setting.send(partner)
        began = time.monotonic()
        eventually(partial(setting.accepted, case), within=30, every=0.01)
        took.append(time.monotonic() - began)
    tell(f"{name}: visit recorded to `accepted` in the timeline, median {median(took):.2f} s, worst {max(took):.2f} s")


def once_each(example: Example, number: int) -> None:
    """That many referrals were worked on, none of them twice."""
    numbers = [line.split()[1] for line in example.says("Orientation ", ", avant ")]
    assert len(numbers) == number
    assert len(set(numbers)) == number


@pytest.mark.parametrize("name", ["partner_amqp.py", "partner_amqp.mjs"])
def test_a_partner_by_amqp(
    setting: Setting, rabbit: Rabbit, tmp_path: Path, tell: Callable[[str], None], name: str
) -> None:
    """It trusts nobody but the authority, accepts in time, outlives a lost connection, and catches up without doubles.

    Its answer to what somebody else declined meanwhile is refused, and it says so.
    """
    vhost, trusted = (
        vhost_of(setting.house.environment["RELAIS_AMQP_URL_PARTNERS"]),
        {"BROKER_CA_FILE": setting.authority},
    )
    example = Example(name, tmp_path, BROKER_URL=setting.accounts[f"partner.{AMQP}"])

    def consumers() -> int:
        return int(rabbit.queues(vhost)[f"out.{AMQP}"].get("consumers", 0))

    with example.running():
        eventually(lambda: example.says("certificate", "nouve"))
    with example.running(**trusted):
        eventually(consumers)
        timed(setting, AMQP, tell, name)
        rabbit.close_connections(vhost)
        late = setting.sent(AMQP, 1)
        eventually(lambda: told(setting, late), within=20)
    eventually(lambda: not consumers())
    away = setting.sent(AMQP, 6)
    visit_id, _ = setting.send(AMQP)
    number = eventually(lambda: setting.house.sent({"site": SITE, "visit_id": visit_id}))[0]["referral_id"]
    assert setting.house.answer(AMQP, number, status="declined", reason="no-capacity").status_code == 201
    with example.running(**trusted):
        eventually(lambda: told(setting, away))
        eventually(lambda: example.says("Réponse refusée (409)", "declined"))
        eventually(lambda: rabbit.depth(vhost, f"out.{AMQP}") == 0)
    once_each(example, 13)
    assert example.says(f"Orientation {number} : declined (étape 2)")


def test_over_plain_amqp_where_the_address_says_so(setting: Setting, rabbit: Rabbit, tmp_path: Path) -> None:
    """In both languages: on one's own machine there may be no certificate."""
    plain = setting.accounts[f"partner.{AMQP}"].replace("amqps", "amqp").replace(str(rabbit.tls_port), str(rabbit.port))
    for name in ("partner_amqp.py", "partner_amqp.mjs"):
        with Example(name, tmp_path / name, BROKER_URL=plain).running():
            cases = setting.sent(AMQP, 1)
            eventually(partial(told, setting, cases))


@pytest.fixture(scope="module")
def secret(setting: Setting) -> str:
    """Make the webhook's secret as an operator does."""
    made = setting.house.relais("webhooks", "secret", WEBHOOK)
    assert made.returncode == 0, made.stderr
    return made.stdout.strip()


@pytest.mark.parametrize("name", ["partner_webhook.py", "partner_webhook.mjs"])
def test_a_partner_by_webhook(
    setting: Setting, secret: str, tmp_path: Path, tell: Callable[[str], None], name: str
) -> None:
    """It is away at first, then accepts all, in time; who cannot sign is refused, and what comes twice counts once."""
    words = {"WEBHOOK_SECRET": secret, "WEBHOOK_PORT": str(setting.port)}
    example = Example(name, tmp_path, RELAIS_TOKEN=setting.token("partner", WEBHOOK), **words)
    away = setting.sent(WEBHOOK, 3)
    time.sleep(0.8)
    with example.running():
        eventually(lambda: told(setting, away), within=15)
        timed(setting, WEBHOOK, tell, name)
        (event,) = [each for each in setting.house.events(WEBHOOK) if each["type"].endswith("ReferralSent.v1")][-1:]
        now, body = datetime.now(UTC), json.dumps(event)
        headers = {"webhook-id": event["id"], "webhook-timestamp": str(int(now.timestamp()))}
        headers["webhook-signature"] = Webhook(secret).sign(event["id"], now, body)
        again = httpx.post(f"http://127.0.0.1:{setting.port}/", content=body, headers=headers, trust_env=False)
        assert again.status_code == 204
        last = setting.sent(WEBHOOK, 1)
        eventually(lambda: told(setting, last))
    with example.running():
        after = setting.sent(WEBHOOK, 1)
        eventually(lambda: told(setting, after), within=15)
        tried = Example("webhook_test.py", tmp_path / "try", **words).run()
        assert tried.stdout.splitlines() == ["Signé : 204", "Le même : 204", "Mal signé : 401"]
        assert len(eventually(lambda: example.says("withdrawn (étape 3)"))) == 1
    once_each(example, 10)


def test_a_partner_by_curl_catches_up(setting: Setting, tmp_path: Path) -> None:
    """Killed and away, it goes on where it was: no gap, and nothing twice."""
    token = setting.token("partner", HTTP)
    example = Example("partner_curl.sh", tmp_path, RELAIS_TOKEN=token, EVERY="0.3", **setting.referral)
    early = setting.sent(HTTP, 2)
    with example.running():
        eventually(lambda: told(setting, early))
    away = setting.sent(HTTP, 4)
    with example.running():
        eventually(lambda: told(setting, away))
    (tmp_path / "curseur").unlink()
    visit_id, last = setting.send(HTTP)
    with example.running():
        eventually(lambda: setting.accepted(last))
        number = setting.number(HTTP, visit_id)
    with example.running():
        eventually(lambda: example.says(number, "accepted (étape 2)"))
    once_each(example, 7)
    with example.running(RELAIS_TOKEN=token.lower()):
        eventually(lambda: example.says("Lecture impossible (401)"))


@pytest.fixture
def visits(tmp_path: Path) -> Callable[..., tuple[Path, dict[str, Any]]]:
    """Return what writes the guide's visit into a file."""

    def write(**changes: object) -> tuple[Path, dict[str, Any]]:
        body = visit(**changes)
        file = tmp_path / f"{body['visit_id']}.json"
        file.write_text(json.dumps(body))
        return file, body

    return write


def busy_at_first(setting: Setting) -> Receiver:
    """What stands before intake, not yet up: it answers each document 503 once, then passes it on."""
    made, seen = Receiver(), set[bytes]()

    def answer(arrival: Arrival) -> Answer:
        if arrival.body not in seen:
            seen.add(arrival.body)
            return Answer(503, (("Retry-After", "1"),))
        url = setting.referral["INTAKE_URL"] + arrival.path
        headers = {name: arrival.headers[name] for name in ("authorization", "content-type")}
        given = httpx.post(url, content=arrival.body, headers=headers, trust_env=False)
        return Answer(given.status_code, (), given.content)

    made.answer = answer
    return made


def test_a_site_by_http(setting: Setting, visits: Callable[..., tuple[Path, dict[str, Any]]], tmp_path: Path) -> None:
    """Each sends the same visit until Relais takes it, is answered the same again, follows it, and takes it back."""
    names = ("site_http.py", "site_http.mjs", "site_curl.sh")
    door, token = busy_at_first(setting), setting.token("site", SITE)
    examples = [Example(name, tmp_path / name, RELAIS_TOKEN=token, **setting.referral) for name in names]
    bodies = [visits() for _ in names]
    with ExitStack() as stack:
        url = f"http://127.0.0.1:{door.port}"
        programs = [
            stack.enter_context(each.running("post", str(file), INTAKE_URL=url))
            for each, (file, _) in zip(examples, bodies, strict=True)
        ]
        time.sleep(1)
        assert [each.poll() for each in programs] == [None] * len(names)
        door.start()
        stack.callback(door.stop)
        assert [each.wait(20) for each in programs] == [0] * len(names)
    assert sorted(each.body for each in door.arrivals) == sorted([file.read_bytes() for file, _ in bodies] * 2)
    for _, body in bodies:
        setting.house.sent(body)  # else it is followed while another one is expected
    for example, (file, body) in zip(examples, bodies, strict=True):
        (line,) = example.says(f"Visite {body['visit_id']} : dossier ")
        assert example.run("post", str(file)).stdout.splitlines() == [line]
        (referral,) = setting.house.sent(body)
        number = referral["referral_id"]
        followed = example.run("follow").stdout
        assert f"Orientation {number} ({AMQP}) : sent ; {AMQP} : Accuser réception\n" in followed
        assert example.run("follow").stdout == ""
        withdrawn = example.run("withdraw", number)
        assert withdrawn.stdout == "Retirée : withdrawn\n", withdrawn.stderr
        assert f"Orientation {number} ({AMQP}) : withdrawn\n" in example.run("follow").stdout
        wrong, _ = visits(sex="X")
        refused = example.run("post", str(wrong))
        assert refused.returncode != 0
        assert "/sex" in refused.stdout + refused.stderr


@pytest.mark.parametrize("name", ["site_amqp.py", "site_amqp.mjs"])
def test_a_site_by_amqp(
    setting: Setting,
    visits: Callable[..., tuple[Path, dict[str, Any]]],
    tmp_path: Path,
    name: str,
) -> None:
    """Two visits, one of them wrong: each gets its own reply, and the right one is recorded."""
    (right, body), (wrong, other) = visits(), visits(sex="X")
    example = Example(
        name, tmp_path / "site", BROKER_URL=setting.accounts[f"site.{SITE}"], BROKER_CA_FILE=setting.authority
    )
    done = example.run(str(right), str(wrong))
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"Visite {body['visit_id']} (201) : dossier " in done.stdout
    assert f"Visite {other['visit_id']} (422) : " in done.stdout
    assert "/sex" in done.stdout
    setting.house.sent(body)
