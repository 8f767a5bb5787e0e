"""Every message of a real run, delivered ten times in any order: each database says what one ordered run said.

Each consumer is alone on a vhost of its own, so that nothing but what is posted here ever reaches it. No case is erased
here: what comes before an erasure and what after it is kept in other words, as the tests of erasing tell.
"""

import itertools
import json
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from services.contracts.referral import MOVED, ReferralSent, ReferralWithdrawn
from services.contracts.topology import CASES, SERVICES, SUBSCRIPTIONS
from tests.support import tables
from tests.support.afterwards import go_on
from tests.support.books import Books
from tests.support.crowd import SITE, visitors
from tests.support.databases import all_of
from tests.support.house import House, eventually
from tests.support.mail import Letter, bags, post, singly
from tests.support.rabbit import Rabbit

TIMES = 10
DECISIONS = frozenset(event.TYPE for event in CASES)
STEPS = frozenset(event.name() for event in MOVED)
# These take the clock days, or a mistake: the recorded ones are posted. And one that no run of this test takes.
UNTOLD = {"ReferralExpired", "ReferralVoided", "ReferralReminded", "ReferralEscalated"}
ERASED = "CaseErased"
_GOLDEN = Path(__file__).parents[1] / "golden"
# What the partner of every eighth referral answers, and so on; the first stays silent. A refusal is handed on.
_ANSWERS: tuple[tuple[dict[str, str], ...], ...] = (
    (),
    ({"status": "received"},),
    ({"status": "received"}, {"status": "accepted"}, {"status": "completed", "outcome": "helped"}),
    ({"status": "received"}, {"status": "declined", "reason": "no-capacity"}),
    ({"status": "accepted"},),
    ({"status": "received"}, {"status": "accepted"}),
    ({"status": "accepted"}, {"status": "in-progress"}, {"status": "on-hold"}),
    ({"status": "accepted"}, {"status": "in-progress"}, {"status": "failed", "reason": "person-unreachable"}),
)
_LEDGER = "SELECT type, routing_key, body, position FROM outbox WHERE recipient IS NULL AND position > %s ORDER BY 4"
_SENT = "SELECT id::text, partner FROM referrals WHERE state = 'sent' AND visit_id::text = ANY(%s) ORDER BY change"
_LAST = "SELECT coalesce(max(position), 0) FROM outbox"
# Times, and numbers that tell the order in which a run happened to do things.
_ANEW = {
    "intake": {"inbox.handled_at", "accesses.number", "vault_keys.wrapped"},
    "reporting": {"inbox.handled_at", "case_steps.number", "visits.written_on", "needs.written_on"},
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
        ends = _ends(found) if self.service == "referral" else []
        names = {
            row["id"]: f"referral of {row['orientation_id']}/{row['proposal']}" for row in found.get("referrals", [])
        }
        for row in found["outbox"]:
            if self.service == "orientation":
                names[row["body"]["data"]["orientation_id"]] = f"orientation of {row['body']['data']['visit_id']}"
            if row["recipient"]:  # outside, each trace begins anew
                del row["body"]["traceparent"]
        return tables.said(found | {"ends": ends}, names, _ANEW[self.service])


def _ends(found: tables.Tables) -> list[dict[str, Any]]:
    """Of whom people decided about after their visits: whether they are with a partner; taken out of `found`.

    Whether a referral was opened as sent, or waited, or was sent and withdrawn, depends on what referral heard of
    first; whether its partner may go on with it does not. Of all others every step counts.
    """
    decided = {row["case_id"] for row in found["agreements"]}
    for row in found["joined_cases"]:
        if row["joined"] and decided & {row["case_id"], row["into_case"]}:
            decided |= {row["case_id"], row["into_case"]}
    theirs = [row for row in found["referrals"] if row["case_id"] in decided]
    ids = {row["id"] for row in theirs}
    found["referrals"] = [row for row in found["referrals"] if row["id"] not in ids]
    found["history"] = [row for row in found["history"] if row["referral_id"] not in ids]
    # Whoever takes something back notes how far its recipient has read, be it nothing.
    found["marks"] = [row for row in found["marks"] if not row["name"].startswith("read.")]
    events = [row for row in found["outbox"] if row["body"]["data"]["referral_id"] in ids]
    found["outbox"] = [row for row in found["outbox"] if row["body"]["data"]["referral_id"] not in ids]
    return [
        {
            **{name: row[name] for name in ("orientation_id", "proposal", "case_id", "partner")},
            "with_partner": _is_with_partner(row, [one for one in events if one["recipient"] == row["partner"]]),
        }
        for row in theirs
    ]


def _is_with_partner(referral: dict[str, Any], events: list[dict[str, Any]]) -> bool:
    """Whether it is sent; and its partner, by these events, has been told just that.

    A sending that was just leaving when the person took it back is called back, and its end is told all the same.
    """
    told = {
        kind: sum(one["type"] == kind and one["body"]["data"]["referral_id"] == referral["id"] for one in events)
        for kind in (ReferralSent.TYPE, ReferralWithdrawn.TYPE)
    }
    sent, withdrawn = told.values()
    assert max(sent, withdrawn) <= 1
    assert (referral["state"] == "sent") == (sent > withdrawn)
    assert referral["state"] in {"sent", "withdrawn", "awaiting-agreement"}
    return bool(sent > withdrawn)


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
    try:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda one: one.house.start(one.service), everyone))
        yield pairs
    finally:
        with ThreadPoolExecutor(len(everyone)) as pool:
            list(pool.map(lambda one: one.house.close(), everyone))
        for one in everyone:
            shutil.rmtree(one.house.folder)


def recorded(house: House, books: Books) -> list[Letter]:
    """What was published, from first to last: for 96 visits, what people did afterwards, what partners answered."""
    before = {service: books.rows(service, _LAST)[0][0] for service in SERVICES}
    guests = visitors(96)
    house.post_lines(SITE, [one.body for one in guests])
    books.settle(guests)
    go_on(house, books, guests)
    books.settle(guests)
    sent = books.rows("referral", _SENT, [one.visit_id for one in guests])
    for (referral_id, partner), answers in zip(sent, itertools.cycle(_ANSWERS), strict=False):
        for form in answers:
            assert house.answer(partner, referral_id, **form).status_code == 201
    ledgers = [books.rows(service, _LEDGER, before[service]) for service in SERVICES]
    letters = [Letter(*row[:3]) for rows in ledgers for row in rows]
    return sorted(letters, key=lambda one: datetime.fromisoformat(json.loads(one.body)["time"]))


def told_by_the_clock() -> list[Letter]:
    """The recorded steps that no run of a minute takes."""
    bodies = {name: (_GOLDEN / f"{name}.v1.json").read_text(encoding="utf-8") for name in sorted(UNTOLD)}
    return [Letter(f"fr.relais.{name}.v1", name, body) for name, body in bodies.items()]


def post_in_order(consumer: Consumer, letters: list[Letter]) -> None:
    """One by one where order tells: each queue is read by itself, so a decision waits for what was told before it."""
    number = 0
    for decision, group in itertools.groupby(letters, key=lambda one: one.type in DECISIONS):
        waiting = list(group)
        for some in [[one] for one in waiting] if decision else [waiting]:
            post(consumer.url, singly(some))
            number += len(some)
            handled(consumer, number)


def handled(consumer: Consumer, number: int) -> None:
    """Wait until so many deliveries were handled, and none more."""
    eventually(lambda: consumer.handled >= number, within=60.0)
    assert consumer.handled == number


@pytest.mark.timeout(300)  # half of it is the start of eight services
def test_ten_times_in_any_order_is_once_in_order(
    own_house: House,
    books: Books,
    consumers: dict[str, tuple[Consumer, Consumer]],
    tell: Callable[[str], None],
) -> None:
    """Alone or in batches, a referral's answers before its sending, decisions before visits: all four say the same.

    Intake's and reporting's rows are the same to the last column; the others' once generated ids are named by what they
    are of. Of a referral that somebody decided about after the visit only its end is compared: see `_ends`.
    """
    seed = random.randrange(10**6)  # noqa: S311 - printed, not secret
    chance = random.Random(seed)  # noqa: S311 - repeatable
    tell(f"seed {seed}")
    letters = recorded(own_house, books)
    wanted = {event.name() for events in SUBSCRIPTIONS.values() for event in events} - UNTOLD - {ERASED}
    assert {letter.type.split(".")[2] for letter in letters} == wanted
    letters += told_by_the_clock()
    for service, (ordered, shuffled) in consumers.items():
        mine = [one for one in letters if one.type in {event.TYPE for event in SUBSCRIPTIONS[service]}]
        post_in_order(ordered, mine)
        early = [one for one in mine if one.type.split(".")[2] in STEPS]
        post(shuffled.url, singly(early))
        handled(shuffled, len(early))
        late = [one for one in mine for _ in range(TIMES - (one in early))]
        chance.shuffle(late)
        messages = bags(late, chance)
        post(shuffled.url, messages)
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
    ends = [json.loads(row)["with_partner"] for row in consumers["referral"][1].said()["ends"].elements()]
    assert set(ends) == {True, False}


PLANTED = {
    "intake": "DELETE FROM sent_referrals WHERE ctid = (SELECT ctid FROM sent_referrals LIMIT 1)",
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
