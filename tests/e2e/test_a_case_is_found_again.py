"""A person comes back, to another counter: the agent finds the case, or joins two."""

from typing import Any
from uuid import uuid4

import httpx

from tests.support.entering import HERE, enter
from tests.support.house import House, eventually, visit

_WRONG = {"reference": "0000-0000-0000"}


def test_two_cases_of_one_person_are_joined_by_an_agent(house: House) -> None:
    """Found by name, confirmed, joined: each visit stays with the case that it names, and both are found as one."""
    person = {"family_name": f"Vandenbroucke {uuid4().hex[:6].translate(_LETTERS)}", "given_name": "Odile"}
    person["birth_date"] = "1961-08-30"
    first = house.post_visit(visit(person=person, age_band="unknown")).json()
    spelt = person | {"family_name": person["family_name"].upper().replace("BROUCKE", "BROUCE")}
    second = house.post_visit(visit(person=spelt, site="fs-roye", age_band="unknown")).json()
    assert second["possible_matches"] == 0
    url, headers = f"{house.url('intake')}/v1/cases", house.bearer("agent", "fs-roye")
    merge: dict[str, Any] = {
        "url": f"{url}/{second['case']}/merge",
        "json": {"case": first["case"]},
        "headers": headers,
    }
    assert house.client.post(**merge).status_code == 404  # nothing has shown it yet
    known, shown = house.search("fs-roye", {"person": spelt}).json()["matches"]
    assert (known["case"], known["kind"], known["known"]) == (second["case"], "exact", True)
    assert (shown["case"], shown["kind"], shown["known"]) == (first["case"], "near", False)
    assert house.client.post(**merge).status_code == 404  # nobody has said whose it is
    assert house.client.post(f"{url}/{first['case']}/confirm", headers=headers).status_code == 200
    joined = {"case": first["case"], "merged": second["case"], "joined": True}
    assert house.client.post(**merge).json() == joined
    assert house.client.post(**merge).json() == joined
    again = house.post_visit(visit(site="fs-roye", case=second["case"], person=None)).json()
    assert (again["case"], again["reference"]) == (second["case"], second["reference"])
    eventually(lambda: [match["case"] for match in _matches(house, spelt)] == [first["case"]])


def test_an_agent_joins_by_a_printed_reference(house: House) -> None:
    """Who presses the button confirms the other case, which its log says; what is no reference is said on the page."""
    person = {"family_name": f"Dupont {uuid4().hex[:6].translate(_LETTERS)}", "given_name": "Jean"}
    person["birth_date"] = "1961-08-30"
    mine = house.post_visit(visit(person=person, age_band="unknown")).json()
    other = house.post_visit(visit(person=person, site="fs-roye", age_band="unknown")).json()
    with httpx.Client(base_url=house.url("intake"), trust_env=False, headers=HERE, timeout=20) as browser:
        enter(browser, house.tokens.invite("agent", "fs-moreuil", "intake"))
        for reference in ("x" * 41, "x" * 200, "0000-0000-0000"):
            page = browser.post(f"/dossiers/{mine['case']}/reunir", data={"reference": reference})
            assert (page.status_code, "Réunir" in page.text) == (422, True), reference
        joined = browser.post(f"/dossiers/{mine['case']}/reunir", data={"reference": other["reference"]})
        assert joined.status_code == 303
    log = house.client.get(
        f"{house.url('intake')}/v1/cases/{other['case']}/accesses", headers=house.bearer("agent", "fs-roye")
    ).json()
    assert {"confirmed", "merged"} <= {each["action"] for each in log["accesses"]}


def test_a_wrong_reference_and_an_unknown_one_look_the_same(house: House) -> None:
    """200 and no match for either; after ten of them the site has to wait, and is told how long."""
    site = "fs-ailleurs"
    reference = house.post_visit(visit()).json()["reference"]
    mistyped = {"reference": reference[:-1] + ("0" if reference[-1] != "0" else "1")}
    answers = [house.search(site, sought) for sought in (mistyped, _WRONG)]
    assert [(answer.status_code, answer.json()) for answer in answers] == [(200, {"matches": []})] * 2
    limited = eventually(lambda: _limited(house, site), every=0)
    assert 0 < limited <= 60


def test_a_search_never_quotes_what_was_sent(house: House) -> None:
    """Neither when it is wrong, nor in the log."""
    canary = f"Zyxkanarie{uuid4().hex[:6].translate(_LETTERS)}"
    person = {"family_name": canary, "given_name": canary, "birth_date": canary}
    refused = house.search("fs-roye", {"person": person})
    assert refused.status_code == 422
    found = house.search("fs-roye", {"person": person | {"birth_date": "1961-08-30"}})
    assert found.json() == {"matches": []}
    assert canary not in refused.text + house.log("intake")


# No digit, lest it be taken for a number.
_LETTERS = str.maketrans("0123456789", "ghijklmnop")


def _matches(house: House, person: dict[str, str]) -> list[dict[str, str]]:
    found: list[dict[str, str]] = house.search("fs-moreuil", {"person": person}).json()["matches"]
    return found


def _limited(house: House, site: str) -> int:
    answer = house.search(site, _WRONG)
    return int(answer.headers["Retry-After"]) if answer.status_code == 429 else 0
