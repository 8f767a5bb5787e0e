"""A partner told by webhook: its program is the guide's, its secret the command's, and Relais is killed meanwhile."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook

from tests.support.examples import Example
from tests.support.house import House, eventually, need, visit
from tests.support.rabbit import free_ports
from tests.support.receiver import Answer, Receiver, receiver

ROOT = Path(__file__).parents[2]
GUIDE, OTHER = "mission-locale-santerre", "cap-emploi-80"


@pytest.fixture(scope="module")
def port() -> int:
    """Choose where the guide's program listens."""
    (found,) = free_ports(1)
    return found


@pytest.fixture(scope="module")
def other() -> Iterator[Receiver]:
    """Start the receiver of the other partner."""
    with receiver() as started:
        yield started


@pytest.fixture(scope="module")
def own_house(
    houses: Callable[..., House], port: int, other: Receiver, tmp_path_factory: pytest.TempPathFactory
) -> House:
    """Start a house of whose partners two are told by webhook."""
    folder = tmp_path_factory.mktemp("networks")
    folder = Path(shutil.copytree(ROOT / "deploy" / "networks", folder / "networks"))
    file = folder / "somme-santerre.toml"
    text = file.read_text()
    for partner, url in ((GUIDE, f"http://127.0.0.1:{port}/"), (OTHER, other.url)):
        told = f'id = "{partner}"\nsubscription = "webhook"\nwebhook = "{url}"\n'
        assert f'id = "{partner}"\n' in text
        text = text.replace(f'id = "{partner}"\n', told, 1)
    file.write_text(text)
    made = houses(RELAIS_NETWORK=str(folder), RELAIS_WEBHOOK_DELAYS=",".join([*["0.5"] * 60, "86370"]))
    made.start("intake", "orientation", "referral")
    return made


def toward_the_other() -> dict[str, Any]:
    """A visit whose referral goes to the other partner."""
    person = need("handicap-et-emploi")
    agreement = {"recipients": [OTHER], "sensitive": True, "form": "oral"}
    return visit(needs=[person], agreement=agreement, age_band="30-54")


def deliveries(house: House, *options: str) -> list[dict[str, Any]]:
    """What `relais webhooks list` tells."""
    told = house.relais("webhooks", "list", "--json", *options)
    assert told.returncode == 0, told.stderr
    found: list[dict[str, Any]] = json.loads(told.stdout)
    return found


def guides_program(house: House, name: str, port: int, secret: str, folder: Path) -> Example:
    """The guide's program on this port."""
    token = house.bearer("partner", GUIDE)["Authorization"].removeprefix("Bearer ")
    return Example(name, folder, WEBHOOK_SECRET=secret, WEBHOOK_PORT=str(port), RELAIS_TOKEN=token)


def test_the_guides_programs_get_what_came_while_it_was_away(own_house: House, port: int, tmp_path: Path) -> None:
    """Without a secret nothing is sent; with it, the program verifies and prints each referral, within seconds.

    In Python, then in Node, which was away too.
    """
    body = visit()
    own_house.post_visit(body)
    (early,) = own_house.sent(body)
    (waiting,) = deliveries(own_house)
    assert (waiting["partner"], waiting["state"], waiting["reason"]) == (GUIDE, "pending", "no secret yet")
    made = own_house.relais("webhooks", "secret", GUIDE)
    assert made.returncode == 0, made.stderr
    secret = made.stdout.strip()
    assert re.fullmatch(r"whsec_[A-Za-z0-9+/]{43}=", secret)
    program = guides_program(own_house, "partner_webhook.py", port, secret, tmp_path / "python")
    with program.running():
        eventually(lambda: program.says(early["referral_id"]), within=25)
        late = visit()
        own_house.post_visit(late)
        (referral,) = own_house.sent(late)
        eventually(lambda: program.says(referral["referral_id"]), within=30)
        tested = own_house.relais("webhooks", "test", GUIDE)
        assert (tested.returncode, tested.stdout) == (0, "delivered\n"), tested.stderr
    another = visit()
    own_house.post_visit(another)
    (referral,) = own_house.sent(another)
    other = guides_program(own_house, "partner_webhook.mjs", port, secret, tmp_path / "node")
    with other.running():
        eventually(lambda: other.says(referral["referral_id"]), within=25)
    assert secret.removeprefix("whsec_") not in own_house.log("referral")


def test_killed_in_the_middle_nothing_is_lost(own_house: House, other: Receiver, tell: Callable[[str], None]) -> None:
    """SIGKILL while it delivers: every event arrives, and of those that come twice the id is the same."""
    made = own_house.relais("webhooks", "secret", OTHER)
    assert made.returncode == 0, made.stderr
    other.answer = lambda _: Answer(seconds=0.05)
    answered = own_house.post_lines("fs-moreuil", [toward_the_other() for _ in range(60)])
    assert {line["status"] for line in answered} == {201}
    eventually(lambda: len(other.arrivals) >= 15)
    own_house.kill("referral")
    before = len(other.arrivals)
    own_house.start("referral")
    expected = [event["id"] for event in eventually(lambda: full(own_house.events(OTHER), 60))]
    eventually(lambda: set(other.ids) == set(expected), within=15)
    # A gauge is read again more rarely than it is scraped.
    eventually(lambda: f'relais_webhook_pending{{partner="{OTHER}"}} 0.0' in own_house.metrics("referral"), within=60)
    twice = len(other.ids) - 60
    tell(f"60 events, killed after {before}: all arrived, {twice} twice")
    assert twice <= 1
    assert list(dict.fromkeys(other.ids)) == expected
    for arrival in other.arrivals:
        Webhook(made.stdout.strip()).verify(arrival.body, arrival.headers)


def full(events: list[dict[str, Any]], number: int) -> list[dict[str, Any]]:
    """The events, when they are all there."""
    return events if len(events) == number else []


def test_what_failed_is_listed_and_replayed(own_house: House, other: Receiver) -> None:
    """With its partner, type, tries and reason; a wrong partner is refused, and a secret is shown once."""
    seen = len(other.arrivals)
    other.answer = lambda _: Answer(status=410)
    own_house.post_visit(toward_the_other())
    eventually(lambda: len(other.arrivals) > seen)
    (row,) = eventually(lambda: deliveries(own_house, "--failed"))
    facts = {name: row[name] for name in ("partner", "type", "tries", "reason", "state")}
    assert facts == {
        "partner": OTHER,
        "type": "fr.relais.ReferralSent.v1",
        "tries": 1,
        "reason": "HTTP 410",
        "state": "failed",
    }
    eventually(lambda: f'relais_webhook_failed{{partner="{OTHER}"}} 1.0' in own_house.metrics("referral"), within=60)
    counted = f'relais_webhook_deliveries_total{{outcome="failed",partner="{OTHER}"}} 1.0'
    eventually(lambda: counted in own_house.metrics("referral"))
    other.answer = lambda _: Answer()
    replayed = own_house.relais("webhooks", "replay", OTHER, row["event"])
    assert (replayed.returncode, replayed.stdout) == (0, "1 of 1 to be tried again\n")
    eventually(lambda: other.ids[seen:] == [row["event"]] * 2)
    for arguments, code, words in (
        (("secret", "departement-80"), 2, f"those with: {GUIDE}, {OTHER}"),
        (("secret", OTHER), 1, "--rotate makes a new one"),
    ):
        refused = own_house.relais("webhooks", *arguments)
        assert (refused.returncode, words in refused.stderr) == (code, True), refused.stderr
    assert "s3cret" not in own_house.log("referral")
