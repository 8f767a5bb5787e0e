"""The embedded default: `relais run` on a machine with nothing but Python, interrupted kindly and unkindly."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from services.contracts.topology import SERVICES
from tests.support.embedded import Embedded
from tests.support.house import eventually, need, visit

SITES = ("fs-moreuil", "fs-roye", "hem")


@pytest.fixture
def relais(state_folder: Path) -> Iterator[Embedded]:
    """Relais as after its installation: no state, nothing started."""
    embedded = Embedded(state_folder)
    yield embedded
    embedded.close()


def table(printed: list[str]) -> list[str]:
    """The lines of the table that `--samples` prints."""
    return [line for line in printed if re.match(r"[│┃]", line)]


def known(relais: Embedded) -> dict[str, Any]:
    """Everything the sites see: their counts, and their referrals with ids and states."""
    return {
        site: (
            relais.activity(site),
            sorted((one["referral_id"], one["state"]) for one in relais.referrals("site", site, limit="1000")),
        )
        for site in SITES
    }


def test_the_samples_are_shown_and_sent_once(relais: Embedded, tell: Callable[[str], None]) -> None:
    """First line within 2 s, a table, and it serves; SIGTERM ends it within 10 s with code 0 and no server left.

    The second start takes less than 5 s, prints the same table, and sends nothing twice: same counts, same referrals.
    Both times are those of a processor, since other tests run beside this one.
    """
    first = relais.run("--samples")
    assert relais.worked_until_first_line < 2
    first_line_after = relais.first_line_after
    assert table(first)
    assert [line.split()[0] for line in first[1:5]] == list(SERVICES)
    assert all(relais.client.get(f"{relais.url(name)}/readyz").status_code == 200 for name in SERVICES)
    before = known(relais)
    assert [counts["visits"] > 0 and bool(referrals) for counts, referrals in before.values()] == [True, True, True]
    assert relais.servers()
    code, seconds = relais.terminate()
    assert code == 0
    assert seconds < 10
    assert relais.servers() == []

    second = relais.run("--samples")
    tell(
        f"first line after {first_line_after:.1f} s; second start {relais.ready_after:.1f} s,"
        f" {relais.worked_until_ready:.1f} s of a processor"
    )
    assert relais.worked_until_ready < 5
    assert table(second) == table(first)
    assert known(relais) == before
    assert relais.terminate()[0] == 0


def test_a_power_cut_loses_nothing(relais: Embedded) -> None:
    """Killed while 300 visits answered 201 are underway, it has every visit counted and every referral sent, once.

    The broker in memory has forgotten its queues and PostgreSQL was left behind: the ledger has everything.
    """
    relais.run()
    bodies = [visit(needs=[need("cheque-energie")]) for _ in range(300)]
    assert {result["status"] for result in relais.post_lines("fs-moreuil", bodies)} == {201}
    # From here on intake takes them for published, and they are nowhere but in this process's memory.
    eventually(lambda: "relais_events_published_total{" in relais.metrics("intake"), every=0.001)
    relais.kill_at_once()
    assert relais.servers()

    relais.run()

    def figures() -> tuple[int, int, int]:
        counts = relais.activity("fs-moreuil")
        return counts["visits"], counts["proposals"]["total"], counts["referrals"]["sent"]

    eventually(lambda: figures() == (300, 300, 300), within=20)
    sent = [one["visit_id"] for one in relais.referrals("site", "fs-moreuil", limit="1000")]
    assert sorted(sent) == sorted(body["visit_id"] for body in bodies)
    assert relais.terminate()[0] == 0
    assert relais.servers() == []

    relais.run()
    assert figures() == (300, 300, 300)  # nor is anything counted again


def test_answers_survive_a_power_cut(relais: Embedded) -> None:
    """A partner's answer taken with 201 and followed by SIGKILL is there after the restart, in list and timeline."""
    relais.run()
    body = visit()
    case = relais.post_visit(body).json()["case"]
    (referral,) = relais.sent(body)
    answer = relais.answer(referral["partner"], referral["referral_id"], status="accepted")
    assert answer.status_code == 201
    relais.kill_at_once()

    relais.run()
    eventually(lambda: "referral-accepted" in [entry["kind"] for entry in relais.timeline(case, "fs-moreuil")])
    (after,) = relais.sent(body)
    assert after["state"] == "accepted"
