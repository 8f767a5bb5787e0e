"""Contact sheets over HTTP, and the reminder to keep them up."""

import re

from tests.support.house import House

SHEET = (
    "{partner, partner_name, category, needs, name, role, address, phone, email, hours, last_verified, stale, example}"
)


def test_who_may_look_whom_up(house: House) -> None:
    """Sites, agents and partners get the narrowest sheet first; nobody without a token, and no other role."""
    url, wanted = f"{house.url('orientation')}/v1/contact-sheets", {"need": "logement", "commune": "80570"}
    callers = house.bearer("site", "fs-moreuil"), house.bearer("agent", "fs-moreuil"), house.bearer("partner", "cnaf")
    for headers in callers:
        answer = house.client.get(url, params=wanted, headers=headers)
        assert answer.status_code == 200
        sheets = answer.json()["contact_sheets"]
        assert [sheet["name"] for sheet in sheets[:2]] == ["Claire Exemple", "Émilie Exemple"]
        assert {sheet["partner"] for sheet in sheets} == {"departement-80", "departement"}
        assert set(sheets[0]) == set(SHEET.strip("{}").split(", "))
    assert house.client.get(url).status_code == 401
    assert house.client.get(url, headers=house.bearer("steering", "spie-somme-santerre")).status_code == 403


def test_a_wrong_question_points_at_what_is_wrong(house: House) -> None:
    """An unknown commune, need or parameter: 422, naming it and never quoting what was sent."""
    url, headers = f"{house.url('orientation')}/v1/contact-sheets", house.bearer("agent", "fs-moreuil")
    for name, value in (("commune", "80999"), ("commune", "kanarienvogel"), ("need", "kanarienvogel"), ("x", "1")):
        answer = house.client.get(url, params={name: value}, headers=headers)
        assert answer.status_code == 422
        assert [error["pointer"] for error in answer.json()["errors"]] == [f"/{name}"]
        assert value not in answer.text or value == "1"


def test_stale_sheets_are_counted_by_partner_without_a_word_of_them(house: House) -> None:
    """One gauge for each partner that has sheets; no name, number or address is among the metrics."""
    told = house.metrics("orientation")
    assert re.search(r'^relais_contact_sheets_stale\{partner="departement-80"\} \d', told, re.MULTILINE)
    assert not re.search(r"Exemple|01 99|@exemple", told)
