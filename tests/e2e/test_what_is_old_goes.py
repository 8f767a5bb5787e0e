"""A service on its own deletes what is too old, and tells a partner who has missed some of it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from sqlalchemy import text

from services.chassis.database import Database
from services.chassis.outbox import Entry, append
from tests.support.house import House, eventually
from tests.support.prometheus import samples

READER, QUIET, NEW = "mission-locale-santerre", "france-travail", "cpam"
EVENT = '{"specversion": "1.0", "id": "%s"}'


@pytest.fixture(scope="module")
def own_house(houses: Callable[..., House]) -> House:
    """Start referral alone, which keeps its ledger for ten days."""
    house = houses(RELAIS_LEDGER_DAYS="10")
    house.start("referral")
    return house


def write(house: House, age: timedelta, *entries: tuple[str, str]) -> None:
    """Put events of an age into referral's ledger, for (partner, id) each."""
    database = Database(house.databases["referral"], "test")
    rows = [Entry(partner, "fr.relais.ReferralSent.v1", "ReferralSent", EVENT % id_) for partner, id_ in entries]
    with database.begin() as connection:
        append(connection, rows, datetime.now(UTC) - age)
    database.close()


def grow_old(house: House, by: timedelta, *, first: int) -> None:
    """Make the ledger's first rows older."""
    database = Database(house.databases["referral"], "test")
    with database.begin() as connection:
        aged = "UPDATE outbox SET created_at = created_at - CAST(:by AS interval) WHERE position <= :first"
        connection.execute(text(aged), {"by": by, "first": first})
    database.close()


def page(house: House, partner: str, after: str | None = None) -> httpx.Response:
    """A partner asks for its events."""
    query = {"after": after} if after else {}
    url, headers = f"{house.url('referral')}/v1/referrals/events", house.bearer("partner", partner)
    return house.client.get(url, headers=headers, params=query)


def test_who_has_missed_something_is_told_and_nobody_else(own_house: House) -> None:
    """A partner that stopped reading gets 410; one that had read all it was sent goes on, however long ago that was."""
    write(own_house, timedelta(days=9), (READER, "1"), (QUIET, "2"), (READER, "3"), (READER, "4"))
    first = page(own_house, READER, None).json()
    assert [event["id"] for event in first["events"]] == ["1", "3", "4"]
    half_read = own_house.client.get(
        f"{own_house.url('referral')}/v1/referrals/events",
        headers=own_house.bearer("partner", READER),
        params={"limit": "1"},
    ).json()["next"]
    all_read = page(own_house, QUIET).json()["next"]
    grow_old(own_house, timedelta(days=2), first=3)
    own_house.kill("referral")
    own_house.start("referral")
    eventually(lambda: [event["id"] for event in page(own_house, READER).json()["events"]] == ["4"], within=30.0)

    gone = page(own_house, READER, half_read)
    assert (gone.status_code, gone.headers["Content-Type"]) == (410, "application/problem+json")
    assert gone.json()["type"] == "/problems/events-expired"
    assert "10 jours" in gone.json()["detail"]
    assert page(own_house, READER, first["next"]).json() == {"events": [], "next": first["next"]}
    assert page(own_house, QUIET, all_read).json() == {"events": [], "next": all_read}
    write(own_house, timedelta(0), (QUIET, "5"), (NEW, "6"))
    assert [event["id"] for event in page(own_house, QUIET, all_read).json()["events"]] == ["5"]
    assert [event["id"] for event in page(own_house, NEW).json()["events"]] == ["6"]
    counted = {"service": "referral", "table": "outbox"}
    eventually(lambda: counted in samples(own_house.metrics("referral")).get("relais_pruned_rows_total", []))
    eventually(lambda: '"event": "pruned"' in own_house.log("referral"))
