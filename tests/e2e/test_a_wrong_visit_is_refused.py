"""A visit that is wrong: what is refused, where the answer points, and what it never repeats.

And what looks wrong and is not: the code of a commune's part, or of one that was merged.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import psycopg
import pytest

from services.chassis.database import Database
from services.chassis.keyring import open_vault
from services.chassis.settings import Settings
from services.contracts.codes import Need
from services.intake.forms import VisitForm
from tests.support.broker import listener
from tests.support.house import VISIT, House, need, visit

NIR = "2 07 03 80 570 123 45"
CANARY = "kanarienvogel"
PERSON = VISIT["person"]


def simulate(house: House, body: dict[str, Any]) -> httpx.Response:
    """Ask what the rules propose for a visit, before it is posted."""
    url, headers = f"{house.url('orientation')}/v1/orientations/simulate", house.bearer("site", body["site"])
    return house.client.post(url, json=body, headers=headers)


def ago(**distance: float) -> str:
    """An instant of the past, or with a negative distance of the future."""
    return (datetime.now(UTC) - timedelta(**distance)).isoformat()


@pytest.mark.parametrize(
    ("pointer", "words", "changes"),
    [
        pytest.param("/needs/0/code", "Valeurs acceptées", {"needs": [need("emploi")]}, id="unknown need"),
        pytest.param("/needs/1/code", "Valeurs acceptées", {"needs": [need("logement"), need("x")]}, id="second need"),
        pytest.param("/needs", "Au moins 1", {"needs": []}, id="no need"),
        pytest.param("/needs", "Au plus 10", {"needs": [need("logement")] * 11}, id="eleven needs"),
        pytest.param(
            "/needs/1", "déjà", {"needs": [need("logement"), need("logement", outcome="resolved")]}, id="twice"
        ),
        pytest.param("/surnom", "inconnu", {"surnom": "x"}, id="unknown field"),
        pytest.param("/score", "charte (art. 1)", {"score": 3}, id="a score of the person"),
        pytest.param("/needs/0/diagnosis", "charte", {"needs": [need("logement", diagnosis="x")]}, id="a diagnosis"),
        pytest.param(
            "/person/motivation", "charte", {"person": PERSON | {"motivation": 2}}, id="a person's motivation"
        ),
        pytest.param("/person/nir", "inconnu", {"person": PERSON | {"nir": "x"}}, id="a field for the NIR"),
        pytest.param("/needs/0/note", "sécurité sociale", {"needs": [need("logement", note=NIR)]}, id="NIR in a note"),
        pytest.param("/story", "sécurité sociale", {"story": f"Son numéro : {NIR}."}, id="NIR in the story"),
        pytest.param("/story", "sécurité sociale", {"story": "Voir 2.07.03.80.570.123.45"}, id="NIR with dots"),
        pytest.param("/story", "sécurité sociale", {"story": "207032A570123"}, id="NIR of Corsica, nothing between"),
        pytest.param(
            "/needs/0/label", "sécurité sociale", {"needs": [need("autre", label="2070380570123")]}, id="NIR label"
        ),
        pytest.param("/occurred_at", "history", {"occurred_at": ago(days=31)}, id="live visit of last month"),
        pytest.param("/occurred_at", "futur", {"occurred_at": ago(hours=-2)}, id="visit to come"),
        pytest.param("/occurred_at", "fuseau", {"occurred_at": "2026-11-20T09:30:00"}, id="no time zone"),
        pytest.param(
            "/occurred_at", "2000", {"occurred_at": "0001-01-01T00:00:00+14:00", "mode": "history"}, id="before time"
        ),
        pytest.param("/site", "réseau", {"site": "fs-nulle-part"}, id="a site of no network file"),
        pytest.param("/quarter", "Quartier", {"quarter": "Chez Zoé"}, id="a quarter of no network file"),
        pytest.param("/commune", "80570 (Moreuil)", {"commune": "Moreuil"}, id="a commune by its name"),
        pytest.param("/commune", "code postal", {"commune": "59510"}, id="a commune by its postcode"),
        pytest.param("/commune", "Aucune commune", {"commune": "2A999"}, id="no such commune"),
        pytest.param("/age_band", "date de naissance", {"age_band": "65+", "person": PERSON}, id="age and birth date"),
        pytest.param("/case", "inconnu", {"case": "0193508e-7a5c-7cc1-9a59-3f6d0c7a2b11"}, id="unknown case"),
        pytest.param(
            "/needs/0/recipient", "réseau", {"needs": [need("logement", recipient="x")]}, id="no such partner"
        ),
        pytest.param(
            "/needs/0/override_reason",
            "pas de choix à expliquer",
            {"needs": [need("logement", override_reason="Suit déjà la famille.")]},
            id="a reason for no choice",
        ),
        pytest.param(
            "/agreement/recipients/1", "catégorie", {"agreement": {"recipients": ["state", "x"]}}, id="agreed"
        ),
        pytest.param(
            "/agreement/given_at",
            "futur",
            {"agreement": {"recipients": ["state"], "given_at": ago(days=-30)}},
            id="agreement to come",
        ),
        pytest.param("/person/birth_date", "passée", {"person": PERSON | {"birth_date": "2999-01-01"}}, id="unborn"),
    ],
)
def test_the_answer_points_at_the_one_wrong_field(
    house: House, pointer: str, words: str, changes: dict[str, Any]
) -> None:
    """422 as a problem document with exactly one error: a pointer to the field and, in French, what would be right."""
    answer = house.post_visit(visit(**changes))
    assert answer.status_code == 422
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert (problem["type"], problem["title"], problem["status"]) == ("/problems/invalid", "Données non valables", 422)
    (error,) = problem["errors"]
    assert error["pointer"] == pointer
    assert words in error["detail"]


def test_a_wrong_need_is_told_every_code_there_is(house: House) -> None:
    """Whoever writes site software learns the accepted codes from the answer itself."""
    answer = house.post_visit(visit(needs=[need("chomage")]))
    (error,) = answer.json()["errors"]
    assert error["detail"] == f"Valeurs acceptées : {', '.join(Need)}."


def test_required_fields_are_named_all_at_once(house: House) -> None:
    """An empty visit is answered with every field that is missing: the six of the contract."""
    headers = house.bearer("site", "fs-moreuil")
    answer = house.client.post(f"{house.url('intake')}/v1/visits", json={}, headers=headers)
    assert answer.status_code == 422
    missing = {error["pointer"] for error in answer.json()["errors"]}
    assert missing == {"/visit_id", "/site", "/occurred_at", "/channel", "/age_band", "/needs"}


@pytest.mark.parametrize(
    ("status", "content", "content_type"),
    [
        pytest.param(413, b" " * 65_537, "application/json", id="64 KiB and one byte"),
        pytest.param(415, b"{}", "text/plain", id="text"),
        pytest.param(415, b"{}", "application/x-ndjson", id="lines"),
        pytest.param(415, b"{}", None, id="no type"),
        pytest.param(400, b'{"visit_id": ', "application/json", id="half a document"),
        pytest.param(400, b"", "application/json", id="nothing"),
        pytest.param(400, '{"é": 1}'.encode("latin-1"), "application/json", id="not UTF-8"),
        pytest.param(400, b"[" * 5000, "application/json", id="nested without end"),
        pytest.param(422, b"[]", "application/json", id="a list"),
    ],
)
def test_a_body_that_is_no_visit_is_a_problem_document(
    house: House, status: int, content: bytes, content_type: str | None
) -> None:
    """Size, type, syntax and shape each have their own status; the service goes on."""
    headers = house.bearer("site", "fs-moreuil") | ({"Content-Type": content_type} if content_type else {})
    answer = house.client.post(f"{house.url('intake')}/v1/visits", content=content, headers=headers)
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["status"] == status
    assert house.post_visit(visit()).status_code == 201


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"person": CANARY}, id="a name instead of a person"),
        pytest.param({"person": PERSON | {"family_name": CANARY * 10}}, id="family name too long"),
        pytest.param({"person": PERSON | {"given_name": [CANARY]}}, id="list of given names"),
        pytest.param({"person": PERSON | {"birth_date": CANARY}}, id="birth date"),
        pytest.param({"person": PERSON | {"phone": CANARY}}, id="phone"),
        pytest.param({"person": PERSON | {"email": f"{CANARY}..x@{CANARY}"}}, id="email"),
        pytest.param({"person": PERSON | {"email": f"zoe@{CANARY}…fr"}}, id="email with an ellipsis"),
        pytest.param({"story": [CANARY]}, id="story in a list"),
        pytest.param({"story": f"{CANARY} {NIR}"}, id="story with a NIR"),
        pytest.param({"needs": [need("logement", note=f"{CANARY} {NIR}")]}, id="note with a NIR"),
        pytest.param({"needs": [need(CANARY)]}, id="need"),
        pytest.param({"publics": [CANARY], "sex": CANARY, "age_band": CANARY}, id="codes"),
        pytest.param({"commune": CANARY, "visit_id": CANARY, "occurred_at": CANARY, "case": CANARY}, id="forms"),
        pytest.param({"quarter": CANARY}, id="quarter"),
        pytest.param({"agreement": {"recipients": [CANARY]}}, id="agreement"),
        pytest.param({"story": CANARY * 6000}, id="too large"),
    ],
)
def test_an_error_never_repeats_what_was_sent(house: House, changes: dict[str, Any]) -> None:
    """Whatever is wrong with a value, neither the answer nor intake's log holds it: both are kept by others."""
    answer = house.post_visit(visit(**changes))
    assert 400 <= answer.status_code < 500
    assert CANARY not in answer.text
    assert CANARY not in str(answer.headers)
    assert CANARY not in house.log("intake")


def test_the_birth_date_that_denies_an_age_band_is_not_repeated(house: House) -> None:
    """Neither in the answer nor in intake's log; an age that nobody told contradicts nothing."""
    born = PERSON["birth_date"]
    answer = house.post_visit(visit(age_band="65+", person=PERSON))
    assert [error["pointer"] for error in answer.json()["errors"]] == ["/age_band"]
    assert born not in answer.text
    assert born not in house.log("intake")
    assert house.post_visit(visit(age_band="unknown")).status_code == 201


@pytest.mark.parametrize(
    ("pointer", "words", "changes"),
    [
        pytest.param("/commune", "code postal", {"commune": "59510"}, id="a postcode"),
        pytest.param("/commune", "cinq caractères", {"commune": "Roye"}, id="a name"),
        pytest.param("/needs/1", "déjà", {"needs": [need("logement"), need("logement")]}, id="a need told twice"),
        pytest.param("/needs/0/rang", "charte", {"needs": [need("logement", rang=1)]}, id="a rank"),
        pytest.param("/person/autonomie", "charte", {"person": {"autonomie": CANARY}}, id="in what is not read"),
    ],
)
def test_what_intake_would_refuse_is_refused_when_simulated(
    house: House, pointer: str, words: str, changes: dict[str, Any]
) -> None:
    """Site software learns it while the person is still there."""
    answer = simulate(house, visit(**changes))
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert error["pointer"] == pointer
    assert words in error["detail"]
    assert CANARY not in answer.text + house.log("orientation")


@pytest.mark.parametrize(
    ("sent", "commune", "department"),
    [
        pytest.param("80685", "80685", "80", id="Roye, Somme"),
        pytest.param("70455", "70455", "70", id="Roye, Haute-Saône"),
        pytest.param("2A004", "2A004", "2A", id="Ajaccio"),
        pytest.param("97411", "97411", "974", id="Saint-Denis de La Réunion"),
        pytest.param("97123", "97701", "977", id="Saint-Barthélemy, by its code of before 2007"),
        pytest.param("75056", "75056", "75", id="Paris"),
        pytest.param("75120", "75056", "75", id="an arrondissement of Paris"),
        pytest.param("69381", "69123", "69", id="an arrondissement of Lyon"),
        pytest.param("13201", "13055", "13", id="an arrondissement of Marseille"),
        pytest.param("59355", "59350", "59", id="Lomme, associated with Lille"),
        pytest.param("49144", "44180", "44", id="merged into a commune of another département"),
    ],
)
def test_the_commune_of_today_is_what_travels(house: House, sent: str, commune: str, department: str) -> None:
    """In the event, with its département, which the proposals are simulated for, too; sent again, it is known."""
    body = visit(commune=sent, needs=[need("logement")])
    (proposal,) = simulate(house, body).json()["proposals"]
    assert {recipient["department"] for recipient in proposal["recipients"]} == {department}
    with listener(house, "intake.events") as visits:
        first, again = house.post_visit(body), house.post_visit(body)
        recorded = visits.wait_for(lambda event: event["data"]["visit_id"] == body["visit_id"])["data"]
    assert (recorded["commune"], recorded["department"]) == (commune, department)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json()


def test_a_line_with_an_unknown_commune_spoils_no_other(house: House) -> None:
    """A batch is checked line by line as single visits are."""
    results = house.post_lines("fs-moreuil", [visit(), visit(commune="99131"), visit(commune="75101")])
    assert [result["status"] for result in results] == [201, 422, 201]
    assert results[1]["errors"][0]["pointer"] == "/commune"


def test_what_was_recorded_before_it_was_refused_is_still_known(house: House) -> None:
    """A visit recorded before communes, ages and repeated needs were checked: sent again it is answered 200."""
    body = visit()
    first = house.post_visit(body)
    older = body | {"commune": "80999", "age_band": "65+", "needs": [need("logement"), need("logement")]}
    content = VisitForm.model_validate(older).model_dump_json(exclude_defaults=True)
    database = Database(house.databases["intake"], "test")
    vault = open_vault(Settings(state=house.folder), database, "intake")
    database.close()
    with psycopg.connect(house.databases["intake"].replace("postgresql+psycopg://", "postgresql://")) as connection:
        connection.execute(
            "UPDATE visits SET fingerprint = %s WHERE visit_id = %s",
            (vault.index("visit", content), body["visit_id"]),
        )
    again = house.post_visit(older)
    assert (again.status_code, again.json()) == (200, first.json())
