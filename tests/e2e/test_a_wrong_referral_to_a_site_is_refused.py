"""What a partner may not send toward a site: 422 that points at the field, and nothing is written."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from services.chassis.tokens import Role
from tests.support.databases import dump
from tests.support.house import House, visit

PARTNER = "mission-locale-santerre"
NETWORKS = Path(__file__).parents[2] / "deploy" / "networks"
NOTE = "told: not to be repeated"


def send(house: House, changes: dict[str, Any], partner: str = PARTNER, role: Role = "partner") -> httpx.Response:
    """Post a good referral with these changes."""
    body = {"referral_id": str(uuid4()), "site": "fs-roye", "need": "logement", "note": NOTE, "agreed": True}
    url, headers = f"{house.url('referral')}/v1/referrals", house.bearer(role, partner)
    return house.client.post(url, json=body | changes, headers=headers)


def refused_at(answer: httpx.Response) -> list[str]:
    """Where a 422 points."""
    assert answer.status_code == 422, answer.text
    return [error["pointer"] for error in answer.json()["errors"]]


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        pytest.param({"referral_id": "one"}, "/referral_id", id="an id that is no UUID"),
        pytest.param({"site": "nowhere"}, "/site", id="an unknown site"),
        pytest.param({"site": PARTNER}, "/site", id="a partner"),
        pytest.param({"site": "hem"}, "/site", id="a site whose label is only requested"),
        pytest.param({"need": "bonheur"}, "/need", id="an unknown need"),
        pytest.param({"about": str(uuid4())}, "/about", id="about an unknown referral"),
        pytest.param({"note": "Son numéro est le 1 85 05 78 006 084 36."}, "/note", id="a NIR"),
        pytest.param({"note": "a" * 4001}, "/note", id="a note too long"),
        pytest.param({"person": {"family_name": "Exemple"}}, "/person", id="an identity"),
        pytest.param({"agreed": False}, "/agreed", id="not agreed"),
        pytest.param({"agreed": None}, "/agreed", id="agreed to nothing"),
        pytest.param({"agreed": 1}, "/agreed", id="agreed with a number"),
        pytest.param({"agreed": "true"}, "/agreed", id="agreed with a word"),
        pytest.param({"need": "handicap-et-emploi"}, "/sensitive", id="a disability without explicit agreement"),
        pytest.param({"need": "logement", "sensitive": 1}, "/sensitive", id="an explicit agreement with a number"),
    ],
)
def test_a_wrong_referral_is_told_which_field(house: House, changes: dict[str, Any], pointer: str) -> None:
    """Nothing sent is repeated, and no row is made."""
    id_ = str(uuid4())
    answer = send(house, {"referral_id": id_} | changes)
    assert refused_at(answer) == [pointer]
    assert NOTE not in answer.text
    assert "85 05 78" not in answer.text
    assert id_ not in "\n".join(dump(house.databases["referral"]).values())


def test_without_the_persons_agreement_nothing_is_sent(house: House) -> None:
    """A body that is silent about it is refused like one that says no; the refusal says why, in French."""
    url, headers = f"{house.url('referral')}/v1/referrals", house.bearer("partner", PARTNER)
    silent = {"referral_id": str(uuid4()), "site": "fs-roye", "need": "logement"}
    assert refused_at(house.client.post(url, json=silent, headers=headers)) == ["/agreed"]
    answer = house.client.post(url, json=silent | {"agreed": False}, headers=headers)
    assert "sans l’accord de la personne" in answer.json()["errors"][0]["detail"]


def test_about_anothers_referral_looks_like_about_none(house: House) -> None:
    """A referral to another partner, and one that still waits for the agreement, are as unknown as one never made."""
    anothers, waiting = visit(), visit(agreement=None)
    for body in (anothers, waiting):
        house.post_visit(body)
    (sent,), (unsent,) = house.sent(anothers), house.sent(waiting)
    assert unsent["state"] == "awaiting-agreement"
    assert unsent["partner"] == PARTNER
    unknown = send(house, {"about": str(uuid4())})
    assert refused_at(unknown) == ["/about"]
    assert send(house, {"about": sent["referral_id"]}, partner="france-travail").json() == unknown.json()
    assert send(house, {"about": unsent["referral_id"]}).json() == unknown.json()
    assert send(house, {"about": sent["referral_id"]}).status_code == 201


def test_who_tells_a_disability_by_its_name_needs_the_explicit_agreement(house: House) -> None:
    """Being sent by the MDPH or Cap emploi tells it, whatever the need (RGPD, art. 9)."""
    assert refused_at(send(house, {}, partner="cap-emploi-80")) == ["/sensitive"]
    assert send(house, {"sensitive": True}, partner="cap-emploi-80").status_code == 201
    assert send(house, {"need": "droits-handicap", "sensitive": True}).status_code == 201


@pytest.mark.parametrize(
    ("role", "org"),
    [("site", "fs-moreuil"), ("agent", "fs-moreuil"), ("steering", "spie-somme-santerre"), ("partner", "fs-moreuil")],
)
def test_only_a_partner_of_the_network_sends(house: House, role: Role, org: str) -> None:
    """403 for every other role, and for a partner that the network files do not name."""
    assert send(house, {}, partner=org, role=role).status_code == 403


def test_a_site_that_lost_its_label_receives_nobody_more(houses: Callable[..., House]) -> None:
    """422 from then on; what was sent before is answered as it was then."""
    house = houses()
    folder = house.folder / "networks"
    shutil.copytree(NETWORKS, folder)
    house.environment["RELAIS_NETWORK"] = str(folder)
    house.start("referral")
    before = {"referral_id": str(uuid4())}
    first = send(house, before)
    assert first.status_code == 201
    house.stop("referral")
    file = folder / "somme-santerre.toml"
    file.write_text(file.read_text(encoding="utf-8").replace('label = "granted"', 'label = "withdrawn"'))
    house.start("referral")
    assert refused_at(send(house, {})) == ["/site"]
    again = send(house, before)
    assert (again.status_code, again.json()) == (200, first.json())
    house.close()
