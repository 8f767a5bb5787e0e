"""A person agrees no more: what has not left never does, and what is open is withdrawn and told to be."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from tests.support.databases import dump
from tests.support.house import House, eventually, visit
from tests.support.rabbit import Rabbit, RabbitError
from tests.support.receiver import Receiver

ROOT = Path(__file__).parents[2]
QUEUE, HOOK = "mission-locale-santerre", "departement-80"
LOGEMENT = {"needs": [{"code": "logement", "outcome": "to-refer"}], "publics": [], "age_band": "30-54"}


def decide(house: House, case: str, what: str, method: str = "DELETE", site: str = "fs-moreuil") -> httpx.Response:
    """Say it as an agent of a site."""
    url = f"{house.url('intake')}/v1/cases/{case}/{what}"
    body: dict[str, str] | None = {} if method == "PUT" and what.startswith("agreements/") else None
    return house.client.request(method, url, headers=house.bearer("agent", site), json=body)


def opened(house: House, **changes: Any) -> tuple[str, dict[str, Any]]:  # noqa: ANN401 - any field
    """A case and its referral, as its site sees it."""
    body = visit(**changes)
    answer = house.post_visit(body)
    assert answer.status_code == 201, answer.text
    (referral,) = house.sent(body)
    return answer.json()["case"], referral


def state(house: House, referral: dict[str, Any]) -> dict[str, Any]:
    """The referral as its site sees it now."""
    found = house.referrals("site", "fs-moreuil", limit="1000")
    return next(each for each in found if each["referral_id"] == referral["referral_id"])


def withdrawn(house: House, referral: dict[str, Any]) -> None:
    """Wait for its withdrawal."""
    eventually(lambda: state(house, referral)["state"] == "withdrawn", within=20)


def read_story(house: House, referral: dict[str, Any]) -> int:
    """How its partner's next read of the story is answered."""
    url = f"{house.url('intake')}/v1/referrals/{referral['referral_id']}/story"
    return house.client.get(url, headers=house.bearer("partner", QUEUE)).status_code


def told(house: House, partner: str, referral: dict[str, Any]) -> list[str]:
    """What the partner's own ledger tells of a referral."""
    events = house.events(partner)
    return [each["type"].split(".")[2] for each in events if each["data"]["referral_id"] == referral["referral_id"]]


def test_what_waits_leaves_and_what_is_open_is_withdrawn(house: House) -> None:
    """Over HTTP, from the counter to the partner and back; another site is told of no such case.

    The story is closed with the very answer to the agent, before referral has heard of it.
    """
    case, referral = opened(house, agreement=None)
    assert referral["state"] == "awaiting-agreement"
    for method, what in (("PUT", f"agreements/{QUEUE}"), ("DELETE", f"agreements/{QUEUE}"), ("GET", "agreements")):
        assert decide(house, case, what, method, "fs-roye").status_code == 404
    given = decide(house, case, f"agreements/{QUEUE}", "PUT")
    assert given.status_code == 200, given.text
    eventually(lambda: state(house, referral)["state"] == "sent")
    assert told(house, QUEUE, referral) == ["ReferralSent"]
    assert house.answer(QUEUE, referral["referral_id"], status="accepted").status_code == 201
    # Intake hears of what has left in its own time; asked too early, it would take the partner for one that guesses.
    eventually(lambda: referral["referral_id"] in dump(house.databases["intake"])["sent_referrals"], within=30)
    assert read_story(house, referral) == 200
    taken_back = decide(house, case, f"agreements/{QUEUE}")
    assert taken_back.status_code == 200, taken_back.text
    assert read_story(house, referral) == 404, "at the next read, whatever referral and its events are doing"
    assert [each["given"] for each in taken_back.json()["agreements"]] == [False]
    withdrawn(house, referral)
    assert told(house, QUEUE, referral) == ["ReferralSent", "ReferralAccepted", "ReferralWithdrawn"]
    assert house.answer(QUEUE, referral["referral_id"], status="in-progress").status_code == 409
    assert state(house, referral)["next"] is None
    eventually(lambda: "withdrawn" in str(house.timeline(case, "fs-moreuil")))


def test_a_yes_said_again_frees_what_waits(house: House) -> None:
    """A later visit without an agreement waits, though an earlier one brought it; said again, it counts for all."""
    case, _ = opened(house, agreement={"recipients": [QUEUE]})
    later: dict[str, Any] = {"case": case, "person": None, "agreement": None}
    _, waiting = opened(house, **later)
    assert waiting["state"] == "awaiting-agreement"
    eventually(lambda: "en attente de l’accord" in str(house.timeline(case, "fs-moreuil")))
    assert [each["given"] for each in decide(house, case, "agreements", "GET").json()["agreements"]] == [True]
    assert decide(house, case, f"agreements/{QUEUE}", "PUT").status_code == 200
    eventually(lambda: state(house, waiting)["state"] == "sent")
    _, after = opened(house, **later)
    assert after["state"] == "sent"


def test_an_objection_withdraws_all(house: House) -> None:
    """Whatever is open; and a later visit, with an agreement, is sent to nobody until it is lifted and agreed anew."""
    case, referral = opened(house)
    assert decide(house, case, "objection", "PUT").json()["objected"]
    withdrawn(house, referral)
    assert decide(house, case, f"agreements/{QUEUE}", "PUT").status_code == 409
    again = visit(case=case, person=None)
    assert house.post_visit(again).status_code == 201
    (waiting,) = house.sent(again)
    assert waiting["state"] == "awaiting-agreement"
    assert decide(house, case, "objection").status_code == 200
    assert decide(house, case, f"agreements/{QUEUE}", "PUT").status_code == 200
    eventually(lambda: state(house, waiting)["state"] == "sent")


class Away(NamedTuple):
    """A house whose partners cannot be reached: the vhost of their queues, the receiver of a webhook."""

    house: House
    vhost: str
    receiver: Receiver


@pytest.fixture(scope="module")
def away(
    houses: Callable[..., House],
    vhosts: Callable[[], str],
    rabbit: Rabbit,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Away]:
    """Start one; partners' queues are gone, and nobody listens where a webhook goes."""
    partner = Receiver()
    folder = Path(shutil.copytree(ROOT / "deploy" / "networks", tmp_path_factory.mktemp("networks") / "networks"))
    file = folder / "somme-santerre.toml"
    told_by = f'id = "{HOOK}"\nsubscription = "webhook"\nwebhook = "{partner.url}"\n'
    file.write_text(file.read_text().replace(f'id = "{HOOK}"\n', told_by, 1))
    vhost = vhosts()
    made = houses(
        RELAIS_NETWORK=str(folder),
        RELAIS_WEBHOOK_DELAYS=",".join(["2"] * 60 + ["86280"]),
        RELAIS_AMQP_URL_PARTNERS=rabbit.url(vhost),
    )
    made.start()
    secret = made.relais("webhooks", "secret", HOOK)
    assert secret.returncode == 0, secret.stderr
    rabbit.delete_vhost(vhost)
    eventually(lambda: "relay paused" in made.log("referral"), within=30)
    yield Away(made, vhost, partner)
    partner.stop()


def test_withdrawn_while_the_broker_is_away_it_never_leaves(away: Away, rabbit: Rabbit) -> None:
    """The partners' broker comes back: what is still agreed to arrives, what was taken back meanwhile does not."""
    house, vhost, _ = away
    case, referral = opened(house)
    _, kept = opened(house)
    assert decide(house, case, f"agreements/{QUEUE}").status_code == 200
    withdrawn(house, referral)
    rabbit.add_vhost(vhost)
    brought: list[str] = []

    def came() -> bool:
        with suppress(RabbitError):  # the queue is made anew, too
            brought.extend(message["payload"] for message in rabbit.drain(vhost, f"out.{QUEUE}"))
        return any(kept["referral_id"] in each for each in brought)

    eventually(came, within=30, every=0.5)
    assert [kept["referral_id"] in each for each in brought] == [True]
    assert told(house, QUEUE, referral) == []
    assert house.answer(QUEUE, referral["referral_id"], status="received").status_code == 404


def test_withdrawn_while_the_webhook_is_away_it_never_leaves(away: Away) -> None:
    """Tried in vain, and taken out: when the receiver is back it gets the other one only."""
    house, _, partner = away
    agreed = {"recipients": [HOOK], "sensitive": False, "form": "oral"}
    case, referral = opened(house, **LOGEMENT, agreement=agreed)
    _, kept = opened(house, **LOGEMENT, agreement=agreed)

    def tried() -> bool:
        listed = house.relais("webhooks", "list", "--json").stdout
        return "connection refused" in listed

    eventually(tried, within=20)
    assert decide(house, case, f"agreements/{HOOK}").status_code == 200
    withdrawn(house, referral)
    partner.start()
    eventually(lambda: kept["referral_id"] in bodies(partner), within=60)
    assert referral["referral_id"] not in bodies(partner)
    assert told(house, HOOK, referral) == []


def bodies(partner: Receiver) -> str:
    """All that a receiver got."""
    return " ".join(arrival.body.decode() for arrival in partner.arrivals)
