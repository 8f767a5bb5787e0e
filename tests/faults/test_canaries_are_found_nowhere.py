"""What a person tells is looked for byte by byte: in PostgreSQL's files, the broker's files, logs, metrics, errors.

A house of its own, on a PostgreSQL of its own, which logs as much as it can; canaries in every field that is personal
or free text, through every door.
"""

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from services.chassis.postgres import EmbeddedPostgres
from services.contracts.topology import SERVICES, exchange_of
from tests.support import letters, raw
from tests.support.books import Books
from tests.support.broker import listener
from tests.support.databases import dump
from tests.support.entering import HERE
from tests.support.house import House, eventually, need, visit
from tests.support.rabbit import Rabbit
from tests.support.receiver import Receiver

MOREUIL, PARTNER, HOOK = "fs-moreuil", "mission-locale-santerre", "departement-80"
AGREEMENT = {"recipients": ["local", "department"], "sensitive": True, "form": "oral"}
NETWORKS = Path(__file__).parents[2] / "deploy" / "networks"
# Everybody's here: what is no word is looked for in each way in which it is written.
BORN, PHONE = "1931-02-17", "01 99 00 87 65"
NO_WORDS = {BORN: "born", "17/02/1931": "born", PHONE: "phone", "199008765": "phone"}
# And of those whose visits are written to the broker.
BY_LETTER = {"birth_date": "1932-04-19", "phone": "01 99 00 98 54"}
NO_WORDS_BY_LETTER = {"1932-04-19": "born", "19/04/1932": "born", "01 99 00 98 54": "phone", "199009854": "phone"}
_NUMBERS = count(1)


def canary(kind: str) -> str:
    """A word that nothing else holds, letters only, so that it may be a name."""
    tail = "".join(chr(ord("a") + int(digit)) for digit in f"{next(_NUMBERS):03}")
    return f"Kanarie{kind}{tail}"


class Cage:
    """Every canary that was let out, by where; those that were written to the broker apart."""

    def __init__(self) -> None:
        self.birds, self.by_letter = dict(NO_WORDS), dict(NO_WORDS_BY_LETTER)
        self.writing_letters = False

    def __call__(self, kind: str) -> str:
        """A new one."""
        bird = canary(kind)
        (self.by_letter if self.writing_letters else self.birds)[bird] = kind
        return bird

    def found_in(self, some: bytes, *, letters_too: bool = True) -> list[str]:
        """Those that can be read in some bytes."""
        birds = self.birds | (self.by_letter if letters_too else {})
        return [f"{bird} ({birds[bird]})" for bird in raw.found_in(some, birds)]


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    """Listen as the partner that is told by webhook."""
    made = Receiver()
    made.start()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def own_house(server: EmbeddedPostgres, rabbit: Rabbit, vhost: str, receiver: Receiver) -> Iterator[House]:
    """Start a house on that server, at the most talkative level."""
    folder = Path(tempfile.mkdtemp(prefix="relais-test-"))
    urls = {service: server.url(service, service) for service in SERVICES}
    networks = shutil.copytree(NETWORKS, folder / "networks")
    file = networks / "somme-santerre.toml"
    by_webhook = f'id = "{HOOK}"\nsubscription = "webhook"\nwebhook = "{receiver.url}"\n'
    file.write_text(file.read_text().replace(f'id = "{HOOK}"\n', by_webhook, 1))
    house = House(folder, rabbit.url(vhost), urls, RELAIS_LOG_LEVEL="debug", RELAIS_NETWORK=str(networks))
    house.start()
    assert house.relais("webhooks", "secret", HOOK).returncode == 0
    yield house
    house.close()
    shutil.rmtree(folder)


def person(cage: Cage) -> dict[str, Any]:
    """Somebody made of canaries."""
    return {
        "family_name": cage("family"),
        "given_name": cage("given"),
        **(BY_LETTER if cage.writing_letters else {"birth_date": BORN, "phone": PHONE}),
        "email": f"{cage('mail').lower()}@{cage('host').lower()}.example",
    }


def told(cage: Cage, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - any field
    """A visit of somebody who tells canaries."""
    facts = {"site": MOREUIL, "age_band": "65+", "person": person(cage), "story": cage("story"), "agreement": AGREEMENT}
    return visit(**facts | changes)


@pytest.fixture(scope="module")
def cage(own_house: House, rabbit: Rabbit, vhost: str, receiver: Receiver) -> Cage:
    """Let them out through every door, and see each thing done; what was refused must not sing either."""
    cage, house = Cage(), own_house
    with ExitStack() as stack:
        readers = [stack.enter_context(listener(house, exchange_of(service))) for service in SERVICES]
        answered = _told_and_answered(cage, house)
        _written_and_answered_by_letter(cage, house, rabbit)
        _read_and_put_right(cage, house, answered["case"], answered["visit_id"])
        _on_pages(cage, house, answered["case"])
        _refused(cage, house)
        eventually(lambda: receiver.arrivals)
        heard = [reader.take() for reader in readers]
    assert all(heard), "every service tells of something"
    events = [f"{each.routing_key} {each.properties} ".encode() + each.body for some in heard for each in some]
    waiting = [json.dumps(rabbit.drain(vhost, queue)).encode() for queue in rabbit.queues(vhost) if queue[:4] == "out."]
    posted = [f"{each.path} {each.headers} ".encode() + each.body for each in receiver.arrivals]
    assert [bird for some in (*events, *waiting, *posted) for bird in cage.found_in(some)] == []
    return cage


def _told_and_answered(cage: Cage, house: House) -> dict[str, str]:
    """Over HTTP: a case whose partner reads it and answers with everything that it may write."""
    chosen = need(
        "jeune-sans-emploi-ni-formation", note=cage("note"), recipient=PARTNER, override_reason=cage("override")
    )
    body = told(cage, needs=[chosen])
    answered: dict[str, str] = house.post_visit(body).json()
    (sent,) = house.sent(body)
    partner, number = house.bearer("partner", PARTNER), sent["referral_id"]
    for service, what in (("intake", "story"), ("reporting", "case")):
        read = eventually(partial(_read, house, f"{house.url(service)}/v1/referrals/{number}/{what}"))
        assert cage.found_in(read.content), "the control: who may read it does"
    appointment = {"at": "2026-12-01T09:30:00+01:00", "place": cage("place"), "contact": cage("contact")}
    for form in (
        {"status": "accepted", "note": cage("answer"), "appointment": appointment, "story_sufficient": True},
        {"status": "failed", "reason": "other", "note": cage("failure")},
    ):
        assert house.answer(PARTNER, number, **form).status_code == 201
    line = told(cage, needs=[need("logement", note=cage("line"))], publics=[])
    assert house.post_lines(MOREUIL, [line])[0]["status"] == 201
    toward = {
        "referral_id": str(uuid4()), "site": MOREUIL, "need": "declarer-revenus", "note": cage("toward"), "agreed": True
    }  # fmt: skip
    posted = house.client.post(f"{house.url('referral')}/v1/referrals", json=toward, headers=partner)
    assert posted.status_code == 201, posted.text
    return answered


def _read(house: House, url: str) -> httpx.Response | None:
    answer = house.client.get(url, headers=house.bearer("partner", PARTNER))
    return answer if answer.status_code == 200 else None


def _written_and_answered_by_letter(cage: Cage, house: House, rabbit: Rabbit) -> None:
    """Over AMQP: a visit, one that is refused, one that is no JSON; and a partner's answer."""
    cage.writing_letters = True
    body = told(cage, needs=[need("jeune-sans-emploi-ni-formation", recipient=PARTNER, note=cage("letter"))])
    with letters.site(house, rabbit, MOREUIL) as site:
        site.write(body)
        site.write(told(cage, diagnosis=cage("field")))
        site.write(f'{{"story": "{cage("torn")}'.encode())
        replies = eventually(lambda: len(read := site.take()) == 3 and read)
    assert [json.loads(each.body).get("status", 201) for each in replies] == [201, 422, 400]
    assert cage.found_in(b"".join(each.body for each in replies)) == []
    (sent,) = house.sent(body)
    with letters.partner(house, rabbit, PARTNER) as partner:
        answer = {"referral_id": sent["referral_id"], "answer_id": str(uuid4()), "status": "accepted"}
        partner.write(answer | {"note": cage("by letter")})
        eventually(lambda: house.sent(body)[0]["state"] == "accepted")
    cage.writing_letters = False


def _read_and_put_right(cage: Cage, house: House, case: str, visit_id: str) -> None:
    """Every call about the case, by the agent of the site that knows it."""
    agent, intake = house.bearer("agent", MOREUIL), f"{house.url('intake')}/v1"
    right = person(cage)
    sought = {"person": {key: right[key] for key in ("family_name", "given_name", "birth_date")}}
    calls: list[tuple[str, str, Any]] = [
        ("PUT", f"{intake}/cases/{case}/person", right),
        ("PUT", f"{intake}/visits/{visit_id}/story", {"story": cage("corrected")}),
        ("POST", f"{intake}/cases/search", sought),
        ("GET", f"{intake}/cases/{case}/story", None),
        ("PUT", f"{intake}/cases/{case}/agreements/operator", {"sensitive": False}),
        ("GET", f"{intake}/cases/{case}/agreements", None),
        ("GET", f"{intake}/cases/{case}/accesses", None),
        ("GET", f"{intake}/cases/{case}/export", None),
        ("GET", f"{intake}/cases/{case}/export?format=pdf", None),
        ("GET", f"{house.url('reporting')}/v1/cases/{case}", None),
    ]
    for method, url, body in calls:
        answer = house.client.request(method, url, json=body, headers=agent)
        assert answer.status_code == 200, f"{method} {url.rpartition('/')[2]}: {answer.text}"
        if url.endswith(("story", "export")):
            assert cage.found_in(answer.content), "the control: who may read it does"


def _on_pages(cage: Cage, house: House, case: str) -> None:
    """What an agent and a partner type into forms, wrong at first."""
    right = person(cage)
    with _browser(house, "intake", "agent", MOREUIL) as browser:
        for form, status in ((right | {"birth_date": cage("born")}, 422), (right, 200)):
            sought = {name: form[name] for name in ("family_name", "given_name", "birth_date")}
            assert browser.post("/recherche", data=sought).status_code == status
            assert browser.post(f"/dossiers/{case}/personne", data=form).status_code in {303, status}
        shown = browser.get(f"/dossiers/{case}")
        assert right["family_name"] in shown.text, "the control: who may read it does"
        assert cage.found_in(f"{shown.url} {shown.headers}".encode()) == []
    with _browser(house, "referral", "partner", PARTNER) as browser:
        body = told(cage, needs=[need("jeune-sans-emploi-ni-formation", recipient=PARTNER)])
        assert house.post_visit(body).status_code == 201
        (sent,) = house.sent(body)
        form = {"answer_id": str(uuid4()), "status": "accepted", "note": cage("page")}
        answered = browser.post(f"/orientations/{sent['referral_id']}/reponse", data=form)
        assert answered.status_code == 303, answered.text


@contextmanager
def _browser(house: House, service: str, role: Any, org: str) -> Iterator[httpx.Client]:  # noqa: ANN401 - a Role
    """A browser of somebody who has come in."""
    with httpx.Client(base_url=house.url(service), headers=HERE, timeout=20, trust_env=False) as browser:
        entered = browser.post("/login", data={"invitation": house.tokens.invite(role, org, service)})
        assert entered.status_code == 303
        yield browser


def _refused(cage: Cage, house: House) -> None:
    """Canaries where they do not belong: each is refused, and no refusal quotes them."""
    agent, site = house.bearer("agent", MOREUIL), house.bearer("site", MOREUIL)
    wrong: list[tuple[str, dict[str, str], dict[str, Any]]] = [
        ("/v1/visits", site, visit(diagnosis=cage("field"))),
        ("/v1/visits", site, visit(commune=cage("commune"))),
        ("/v1/visits", site, visit(needs=[need(cage("code"))])),
        ("/v1/visits", site, visit(person=person(cage) | {"birth_date": cage("born")})),
        ("/v1/visits", site, visit(person=person(cage) | {"phone": cage("phone")})),
        ("/v1/visits", site, visit(story=f"1 84 12 76 451 089 46 {cage('nir')}")),
        ("/v1/cases/search", agent, {"reference": cage("reference"), "person": person(cage)}),
        ("/v1/cases/search", agent, {"person": {"family_name": cage("alone")}}),
    ]
    for path, headers, body in wrong:
        answer = house.client.post(f"{house.url('intake')}{path}", json=body, headers=headers)
        assert answer.status_code == 422, answer.text
        assert cage.found_in(answer.content) == []


def test_postgresqls_own_files_hold_none(cage: Cage, server: EmbeddedPostgres, tell: Callable[[str], None]) -> None:
    """Tables, indexes, write-ahead log, temporary files and its log, of all four databases; a control is found."""
    folder, size, seen, control = server.home, 0, [], 0
    for path, some in raw.files(folder):
        size += len(some)
        control += some.count(b"/relais/intake")
        seen += [f"{path.name}: {bird}" for bird in cage.found_in(some)]
    tell(
        f"{len(cage.birds) + len(cage.by_letter)} canaries; {size / 1e6:.0f} MB of PostgreSQL's files:"
        f" {len(seen)} found"
    )
    assert control > 0, "the control: what is in clear can be found so"
    assert seen == []


@pytest.mark.parametrize("service", SERVICES)
def test_no_row_tells(cage: Cage, own_house: House, service: str) -> None:
    """As text, so that what PostgreSQL keeps as a date, or compressed, is seen, too."""
    rows = dump(own_house.databases[service])
    assert rows["inbox" if service != "intake" else "outbox"]
    assert [f"{table}: {bird}" for table, text in rows.items() for bird in cage.found_in(text.encode())] == []


def test_the_brokers_files_and_queues_hold_none(cage: Cage, rabbit: Rabbit) -> None:
    """Its message store, its log; but for what a site or a partner itself writes to it, which it keeps for a while."""
    assert [
        f"{path.name}: {bird}"
        for path, some in raw.files(rabbit.folder)
        for bird in cage.found_in(some, letters_too=False)
    ] == []


@pytest.mark.parametrize("service", SERVICES)
def test_no_log_no_metric_and_no_file_of_a_service_tells(cage: Cage, own_house: House, service: str) -> None:
    """At level debug."""
    told = own_house.log(service) + own_house.metrics(service)
    assert told
    assert cage.found_in(told.encode()) == []
    assert [f"{path.name}: {bird}" for path, some in raw.files(own_house.folder) for bird in cage.found_in(some)] == []


def test_nothing_failed_on_the_way(cage: Cage, own_house: House, rabbit: Rabbit, vhost: str) -> None:
    """No event was parked, so that what was looked at is all there is."""
    books = Books(own_house, rabbit, vhost)
    assert cage.birds
    eventually(lambda: all(not books.rows(service, "SELECT * FROM failures") for service in SERVICES))
