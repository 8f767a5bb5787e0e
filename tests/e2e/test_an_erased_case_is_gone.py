"""After an erasure nothing leads to the person: in no database, no queue, no log, no backup; what was counted stays."""

import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest
from psycopg import sql

from services.chassis.postgres import EmbeddedPostgres
from services.contracts.topology import SERVICES
from tests.support import raw
from tests.support.backups import back_up, restore
from tests.support.databases import dump, server_of
from tests.support.house import House, eventually, need, visit
from tests.support.rabbit import Rabbit

SITE, PARTNER, NEXT, CHARTER = "fs-moreuil", "mission-locale-santerre", "france-travail", "spie-somme-santerre"
NEED = "jeune-sans-emploi-ni-formation"
PERSON = {
    "family_name": "Kanarienlos",
    "given_name": "Zephirine",
    "birth_date": f"{datetime.now(UTC).year - 19}-06-05",
    "phone": "01 99 00 44 65",
    "email": "zephirine@kanarienlos.example",
}
STORY, NOTE, ANSWERED = "canary: left school in march", "canary: call after four", "canary: seen with her mother"
CANARIES = [*PERSON.values(), STORY, NOTE, ANSWERED]
# Without the birth date, which is a day like others.
TOLD = [word for word in CANARIES if word != PERSON["birth_date"]]


@dataclass
class Known:
    """A case that went all the way, and every id that leads to it."""

    case: str
    reference: str
    visits: list[str]
    referrals: list[str]
    bodies: list[dict[str, Any]] = field(default_factory=list)

    @property
    def ids(self) -> list[str]:
        """What must be gone."""
        return [self.case, *self.visits, *self.referrals]


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedPostgres]:
    """Start a PostgreSQL that only this module uses: its files are read."""
    with server_of(*SERVICES) as server:
        yield server


@pytest.fixture(scope="module")
def own_house(server: EmbeddedPostgres, rabbit: Rabbit, vhosts: Callable[[], str]) -> Iterator[House]:
    """Start a house that waits for nobody before it forgets."""
    folder = Path(tempfile.mkdtemp(prefix="relais-test-"))
    urls = {service: server.url(service, service) for service in SERVICES}
    house = House(folder, rabbit.url(vhosts()), urls, RELAIS_ERASURE_HOURS="0")
    house.start()
    yield house
    house.close()
    shutil.rmtree(folder)


@pytest.fixture
def folder() -> Iterator[Path]:
    """Lend a folder for backups."""
    with tempfile.TemporaryDirectory(prefix="relais-test-") as name:
        yield Path(name)


def told(house: House) -> Known:
    """Somebody comes twice; the partner answers with everything that it may write, and sends the person back."""
    first = visit(person=PERSON, story=STORY, needs=[need(NEED, note=NOTE)])
    answered = house.post_visit(first).json()
    again = visit(case=answered["case"], story=f"{STORY}, again", person=None)
    assert house.post_visit(again).status_code == 201
    (one,), (two,) = house.sent(first), house.sent(again)
    appointment = {"at": f"{datetime.now(UTC) + timedelta(days=9):%Y-%m-%d}T09:30:00+01:00", "place": ANSWERED}
    taken = house.answer(
        PARTNER, one["referral_id"], status="accepted", note=ANSWERED, appointment=appointment, story_sufficient=True
    )
    assert taken.status_code == 201, taken.text
    assert house.answer(PARTNER, two["referral_id"], status="declined", reason="no-capacity").status_code == 201
    back = str(uuid4())
    form = {"referral_id": back, "site": SITE, "need": "demander-une-aide", "agreed": True}
    form |= {"about": one["referral_id"], "note": NOTE}
    url, headers = f"{house.url('referral')}/v1/referrals", house.bearer("partner", PARTNER)
    sent = house.client.post(url, json=form, headers=headers)
    assert sent.status_code == 201, sent.text
    # Visit and orientation twice, two referrals sent, two answers, one referral back, one handed on and sent.
    eventually(lambda: len(house.timeline(answered["case"], SITE)) >= 11, within=30)
    known = _referrals(house, "referral", "referrals", answered["case"])
    eventually(lambda: _referrals(house, "intake", "sent_referrals", answered["case"], ",sent,") == known, within=30)
    return Known(
        answered["case"],
        answered["reference"],
        [first["visit_id"], again["visit_id"]],
        sorted(known),
        [first, again],
    )


def _referrals(house: House, service: str, table: str, *words: str) -> set[str]:
    rows = dump(house.databases[service])[table].splitlines()
    return {row.strip("(").split(",")[0] for row in rows if all(word in row for word in words)}


def erase(house: House, case: str, site: str = SITE) -> httpx.Response:
    """An agent has it erased."""
    return house.client.delete(f"{house.url('intake')}/v1/cases/{case}", headers=house.bearer("agent", site))


def gone(house: House, known: Known) -> None:
    """Wait until nothing is left, or say where."""
    deadline = time.monotonic() + 30
    while (found := left(house, known)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert found == []


def left(house: House, known: Known) -> list[str]:
    """Where in the four databases an id of the case stands yet, but in what tells the partners to forget it."""
    found = []
    for service in SERVICES:
        for table, text in dump(house.databases[service]).items():
            rows = [row for row in text.splitlines() if "fr.relais.ReferralErased.v1" not in row]
            found += [f"{service}.{table}" for one in known.ids if any(one in row for row in rows)]
    return sorted(set(found))


def counted(house: House) -> dict[str, Any]:
    """What reports say, but for how long things took."""
    found = {}
    for by in ("site", "need", "day", "outcome", "channel", "mode", "class", "department"):
        url = f"{house.url('reporting')}/v1/reports/activity?by={by}"
        report = house.client.get(url, headers=house.bearer("steering", CHARTER)).json()
        found[by] = [report["totals"], report["rows"], report["overrides"]]
        found["told_once"] = report["told_once"]
        found["appointments"] = report["delays"]["visit_to_appointment"]
    return found


def settled(house: House) -> bool:
    """Nothing is under way, and no service has anything to forget."""
    return all(
        f'{name}{{service="{service}"}} 0.0' in house.metrics(service)
        for service in SERVICES
        for name in ("relais_outbox_pending", "relais_forgetting_pending")
    )


def test_nothing_leads_to_the_person_and_the_totals_stay(own_house: House) -> None:
    """Every table of all four databases, and the logs; the partner is told; the visit sent again is not recorded."""
    known = told(own_house)
    eventually(lambda: settled(own_house), within=60)
    before = counted(own_house)
    assert left(own_house, known)
    answer = erase(own_house, known.case)
    assert (answer.status_code, answer.json()) == (200, {"erased": True, "partners": [NEXT, PARTNER]}), answer.text
    gone(own_house, known)
    everything = "\n".join(text for service in SERVICES for text in dump(own_house.databases[service]).values())
    logs = "\n".join(own_house.log(service) for service in SERVICES)
    for secret in [*CANARIES, known.reference]:
        assert secret not in everything
        assert secret not in logs
    assert not any(one in logs for one in known.ids)
    assert counted(own_house) == before
    told_partners = [each for partner in (PARTNER, NEXT) for each in own_house.events(partner)]
    about = [each for each in told_partners if each["data"].get("referral_id") in known.referrals]
    assert {each["type"] for each in about} == {"fr.relais.ReferralErased.v1"}
    assert sorted(each["data"]["referral_id"] for each in about) == known.referrals
    assert own_house.timeline(known.case, SITE) == []
    assert erase(own_house, known.case).status_code == 404
    for body in known.bodies:
        assert own_house.post_visit(body).status_code == 410
    eventually(lambda: not any(dump(own_house.databases[service])["forgetting"] for service in SERVICES), within=30)


def test_a_restored_backup_forgets_again(own_house: House, folder: Path, server: EmbeddedPostgres) -> None:
    """All four databases are set back to before the erasure: at its start intake has it erased again, everywhere.

    What the person told is in no file of the database server, before or after: not in clear, and its key is gone.
    """
    known = told(own_house)
    eventually(lambda: settled(own_house), within=60)
    before = counted(own_house)
    back_up(own_house, folder, *SERVICES)
    assert erase(own_house, known.case).status_code == 200
    gone(own_house, known)
    own_house.stop()
    restore(own_house, folder, *SERVICES)
    assert len(left(own_house, known)) > len(SERVICES)
    own_house.start()
    gone(own_house, known)
    eventually(lambda: settled(own_house), within=60)
    assert counted(own_house) == before
    assert '"event": "erased again after a restore"' in own_house.log("intake")
    assert known.case not in dump(own_house.databases["intake"])["vault_keys"]
    everything = [*raw.files(server.home), *raw.files(own_house.folder)]
    assert any(b"/relais/intake" in some for _, some in everything), "the control: what is in clear can be found so"
    words = [*TOLD, known.reference, known.reference.replace("-", "")]
    assert [(path.name, word) for path, some in everything for word in raw.found_in(some, words)] == []


@pytest.mark.soak
def test_a_service_restored_alone_is_told_again(own_house: House, folder: Path) -> None:
    """Nobody tells it by itself: a command finds in it what the journal names, and has all forget it anew."""
    known = told(own_house)
    eventually(lambda: settled(own_house), within=60)
    back_up(own_house, folder, "reporting")
    assert erase(own_house, known.case).status_code == 200
    gone(own_house, known)
    before = counted(own_house)
    own_house.stop("reporting")
    restore(own_house, folder, "reporting")
    own_house.start("reporting")
    assert {each.partition(".")[0] for each in left(own_house, known)} == {"reporting"}
    done = own_house.relais("erasures", "replay", "--service", "reporting", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["found"] == {"reporting": 1}
    gone(own_house, known)
    assert {name: value for name, value in counted(own_house).items() if name != "appointments"} == {
        name: value for name, value in before.items() if name != "appointments"
    }
    listed = own_house.relais("erasures", "list", "--json")
    assert sha256(UUID(known.case).bytes).hexdigest() in {each["digest"] for each in json.loads(listed.stdout)}
    assert known.case not in listed.stdout


def test_who_is_away_forgets_when_it_is_back(own_house: House) -> None:
    """What waits in its queues is of an erased case by then: late events and the news of it, in whatever order."""
    own_house.stop("orientation", "reporting")
    body = visit(person=PERSON, story=STORY)
    case = own_house.post_visit(body).json()["case"]
    assert erase(own_house, case).status_code == 200
    own_house.start("orientation", "reporting")
    known = Known(case, "", [body["visit_id"]], [])
    eventually(lambda: settled(own_house), within=60)
    gone(own_house, known)
    assert own_house.handled("reporting", "parked") == 0


@pytest.mark.soak
def test_reporting_is_rebuilt_from_ledgers_that_were_rewritten(own_house: House) -> None:
    """Emptied, and told all anew: the same totals, and nobody who was erased."""
    known = told(own_house)
    eventually(lambda: settled(own_house), within=60)
    assert erase(own_house, known.case).status_code == 200
    gone(own_house, known)
    eventually(lambda: settled(own_house), within=60)
    before = counted(own_house)
    own_house.stop("reporting")
    tables = [table for table in dump(own_house.databases["reporting"]) if table != "alembic_version"]
    with psycopg.connect(own_house.databases["reporting"].replace("+psycopg", "")) as connection:
        connection.execute(sql.SQL("TRUNCATE {}").format(sql.SQL(", ").join(map(sql.Identifier, tables))))
    own_house.start("reporting")
    for publisher in ("intake", "orientation", "referral"):
        done = own_house.relais("replay", "--from", publisher, "--to", "reporting")
        assert done.returncode == 0, done.stderr
    eventually(lambda: counted(own_house) == before, within=30.0)
    assert left(own_house, known) == []


def test_what_would_go_is_counted_first(own_house: House) -> None:
    """A dry run deletes nothing; a run erases as an agent would: the other services hear of it."""
    body = visit(person=PERSON, story=STORY)
    case = own_house.post_visit(body).json()["case"]
    own_house.sent(body)
    with psycopg.connect(own_house.databases["intake"].replace("+psycopg", "")) as connection:
        aged = "UPDATE cases SET last_contact_on = last_contact_on - interval '800 days' WHERE id = %s"
        connection.execute(aged, [case])
    for options, number in ((["--dry-run"], 1), (["--dry-run"], 1), ([], 1), (["--dry-run"], 0)):
        done = own_house.relais("retention", "run", "--json", *options)
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        assert (sum(told["counts"]["cases"].values()), told["dry_run"]) == (number, bool(options))
    assert "cases, two years after the last contact" in own_house.relais("retention", "run", "--dry-run").stdout
    gone(own_house, Known(case, "", [body["visit_id"]], []))
