"""Every message of a real run, delivered ten times in any order: each database says what one ordered run said.

Each consumer is alone on a vhost of its own, so that nothing but what is posted here ever reaches it.
"""

import itertools
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from services.contracts.referral import MOVED
from services.contracts.topology import SUBSCRIPTIONS
from tests.support import tables
from tests.support.books import Books
from tests.support.crowd import SITE, visitors
from tests.support.databases import all_of
from tests.support.house import House, eventually
from tests.support.mail import Letter, bags, post, singly
from tests.support.rabbit import Rabbit

TIMES = 10
PUBLISHERS = ("intake", "orientation", "referral")
STEPS = frozenset(event.name() for event in MOVED)
# These take the clock days, or a withdrawal: reporting gets the recorded ones.
UNTOLD = {"ReferralExpired", "ReferralWithdrawn", "ReferralVoided", "ReferralReminded", "ReferralEscalated"}
_GOLDEN = Path(__file__).parents[1] / "golden"
# What the partner of every seventh referral answers, and so on; the first stays silent. A refusal is handed on.
_ANSWERS: tuple[tuple[dict[str, str], ...], ...] = (
    (),
    ({"status": "received"},),
    ({"status": "received"}, {"status": "accepted"}, {"status": "completed", "outcome": "helped"}),
    ({"status": "received"}, {"status": "declined", "reason": "no-capacity"}),
    ({"status": "accepted"},),
    ({"status": "accepted"}, {"status": "in-progress"}, {"status": "on-hold"}),
    ({"status": "accepted"}, {"status": "in-progress"}, {"status": "failed", "reason": "person-unreachable"}),
)
_LEDGER = "SELECT type, routing_key, body, position FROM outbox WHERE recipient IS NULL AND position > %s ORDER BY 4"
_SENT = "SELECT id::text, partner FROM referrals WHERE state = 'sent' AND visit_id::text = ANY(%s) ORDER BY change"
_LAST = "SELECT coalesce(max(position), 0) FROM outbox"
# Times, and numbers that tell the order in which a run happened to do things.
_ANEW = {
    "reporting": {"inbox.handled_at"},
    "orientation": {
        *("inbox.handled_at", "marks.position", "rules_in_use.since"),
        *("outbox.position", "outbox.created_at", "outbox.body.id", "outbox.body.time"),
    },
    "referral": {
        *("inbox.handled_at", "history.at", "marks.position", "vault_keys.wrapped"),
        *("referrals.opened_at", "referrals.changed_at", "referrals.since", "referrals.due_at", "referrals.change"),
        *("outbox.position", "outbox.created_at", "outbox.body.id", "outbox.body.time", "outbox.body.data.due_at"),
    },
}


@dataclass
class Consumer:
    """One service with its database and its vhost."""

    service: str
    house: House
    vhost: str

    @property
    def url(self) -> str:
        """Its broker's."""
        return self.house.environment["RELAIS_AMQP_URL"]

    @property
    def handled(self) -> int:
        """How many deliveries it has handled, those included that had no effect."""
        return sum(self.house.handled(self.service, outcome) for outcome in ("handled", "duplicate"))

    def published(self) -> bool:
        """Whether its relay has nothing left to do."""
        return f'relais_outbox_pending{{service="{self.service}"}} 0.0' in self.house.metrics(self.service)

    def said(self) -> tables.Said:
        """What its database says, generated ids named by what they stand for."""
        found = tables.read(self.house.databases[self.service])
        names = {
            row["id"]: f"referral of {row['orientation_id']}/{row['proposal']}" for row in found.get("referrals", [])
        }
        for row in found["outbox"]:
            if self.service == "orientation":
                names[row["body"]["data"]["orientation_id"]] = f"orientation of {row['body']['data']['visit_id']}"
            if row["recipient"]:  # outside, each trace begins anew
                del row["body"]["traceparent"]
        return tables.said(found, names, _ANEW[self.service])


@pytest.fixture(scope="module")
def consumers(
    rabbit: Rabbit, vhosts: Callable[[], str], databases: Callable[[], dict[str, str]]
) -> Iterator[dict[str, tuple[Consumer, Consumer]]]:
    """Start each consumer twice: for the ordered deliveries, and for the shuffled ones."""

    def create(service: str) -> Consumer:
        folder = Path(tempfile.mkdtemp(prefix="relais-test-"))
        vhost = vhosts()
        house = House(folder, rabbit.url(vhost), all_of(databases()), RELAIS_PUBLIC_URL="https://relais.example")
        return Consumer(service, house, vhost)

    pairs = {service: (create(service), create(service)) for service in SUBSCRIPTIONS}
    everyone = [one for pair in pairs.values() for one in pair]
    with ThreadPoolExecutor(len(everyone)) as pool:
        list(pool.map(lambda one: one.house.start(one.service), everyone))
    yield pairs
    with ThreadPoolExecutor(len(everyone)) as pool:
        list(pool.map(lambda one: one.house.close(), everyone))
    for one in everyone:
        shutil.rmtree(one.house.folder)


def recorded(house: House, books: Books) -> list[Letter]:
    """What the three publishers published for 96 visits and what their partners answered."""
    before = {service: books.rows(service, _LAST)[0][0] for service in PUBLISHERS}
    guests = visitors(96)
    house.post_lines(SITE, [one.body for one in guests])
    books.settle(guests)
    sent = books.rows("referral", _SENT, [one.visit_id for one in guests])
    for (referral_id, partner), answers in zip(sent, itertools.cycle(_ANSWERS), strict=False):
        for form in answers:
            assert house.answer(partner, referral_id, **form).status_code == 201
    ledgers = {service: books.rows(service, _LEDGER, before[service]) for service in PUBLISHERS}
    return [Letter(*row[:3]) for service in PUBLISHERS for row in ledgers[service]]


def told_by_the_clock() -> list[Letter]:
    """The recorded steps that no run of a minute takes."""
    bodies = {name: (_GOLDEN / f"{name}.v1.json").read_text(encoding="utf-8") for name in sorted(UNTOLD)}
    return [Letter(f"fr.relais.{name}.v1", name, body) for name, body in bodies.items()]


def handled(consumer: Consumer, number: int) -> None:
    """Wait until so many deliveries were handled, and none more."""
    eventually(lambda: consumer.handled >= number, within=60.0)
    assert consumer.handled == number


def test_ten_times_in_any_order_is_once_in_order(
    own_house: House,
    books: Books,
    consumers: dict[str, tuple[Consumer, Consumer]],
    tell: Callable[[str], None],
) -> None:
    """Alone or in batches, a referral's answers before its sending: orientation, referral and reporting say the same.

    Reporting's database is the same to the last column; the others' once generated ids are named by what they are of.
    """
    seed = random.randrange(10**6)  # noqa: S311 - printed, not secret
    chance = random.Random(seed)  # noqa: S311 - repeatable
    tell(f"seed {seed}")
    letters = recorded(own_house, books)
    assert {letter.type.split(".")[2] for letter in letters} >= {"ReferralSent", *STEPS} - UNTOLD
    letters += told_by_the_clock()
    for service, (ordered, shuffled) in consumers.items():
        mine = [one for one in letters if one.type in {event.TYPE for event in SUBSCRIPTIONS[service]}]
        post(ordered.url, singly(mine))
        early = [one for one in mine if one.type.split(".")[2] in STEPS]
        post(shuffled.url, singly(early))
        handled(shuffled, len(early))
        late = [one for one in mine for _ in range(TIMES - (one in early))]
        chance.shuffle(late)
        messages = bags(late, chance)
        post(shuffled.url, messages)
        handled(ordered, len(mine))
        handled(shuffled, TIMES * len(mine))
        for one in (ordered, shuffled):
            eventually(one.published)
        assert shuffled.house.handled(service) == len(mine)
        assert tables.differences(ordered.said(), shuffled.said()) == []
        tell(
            f"{service}: {len(mine)} events {TIMES} times, shuffled, in {len(early) + len(messages)} messages"
            f" ({sum(bag.batch for bag in messages)} of them batches): 0 differences in"
            f" {sum(rows.total() for rows in ordered.said().values())} rows"
        )


PLANTED = {
    "orientation": "DELETE FROM inbox WHERE id = (SELECT min(id) FROM inbox)",
    "referral": "UPDATE outbox SET body = replace(body, 'mission-locale-santerre', 'other') WHERE recipient IS NULL",
    "reporting": "DELETE FROM needs WHERE ctid = (SELECT ctid FROM needs LIMIT 1)",
}


@pytest.mark.parametrize("service", SUBSCRIPTIONS)
def test_a_difference_would_be_seen(consumers: dict[str, tuple[Consumer, Consumer]], service: str) -> None:
    """Another word in an event, a missing row: the comparison above tells each, in the table where it was planted."""
    ordered, shuffled = consumers[service]
    assert tables.differences(ordered.said(), shuffled.said()) == []
    tables.change(shuffled.house.databases[service], PLANTED[service])
    told = tables.differences(ordered.said(), shuffled.said())
    assert told
    assert all(line.split(":")[0] in PLANTED[service] for line in told)
