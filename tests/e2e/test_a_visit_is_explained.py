"""Why a visit was oriented so, from outside: over HTTP and by command, also after the rules have changed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.support.house import House, eventually, need, visit

SHIPPED = Path(__file__).parents[2] / "deploy" / "networks"
AGREED = {"recipients": ["department"], "sensitive": True}


def explain(house: House, body: dict[str, Any], *, site: str = "fs-moreuil") -> Any:  # noqa: ANN401 - JSON
    """Ask orientation why."""
    url = f"{house.url('orientation')}/v1/orientations/explain"
    return house.client.post(url, json=body, headers=house.bearer("site", site))


def applied(answer: dict[str, Any]) -> dict[str, Any]:
    """The line that applied to the first need."""
    (line,) = (line for line in answer["needs"][0]["lines"] if line["applies"])
    found: dict[str, Any] = line
    return found


@pytest.fixture(scope="module")
def own(houses: Callable[..., House], tmp_path_factory: pytest.TempPathFactory) -> House:
    """A house with network files of its own, to be changed under it."""
    folder = tmp_path_factory.mktemp("networks")
    for file in SHIPPED.glob("*.toml"):
        (folder / file.name).write_text(file.read_text(encoding="utf-8"), encoding="utf-8")
    started = houses(RELAIS_NETWORK=str(folder))
    started.start()
    return started


def test_a_visit_keeps_its_rules_when_the_rules_change(own: House, tmp_path: Path) -> None:
    """Oriented, then the line is reworded and the service restarted: the visit shows the old one, a new one the new."""
    before = visit(needs=[need("logement")], publics=[], agreement=AGREED)
    assert own.post_visit(before).status_code == 201
    own.sent(before)
    own.stop("orientation")
    national = Path(own.environment["RELAIS_NETWORK"]) / "national.toml"
    text = national.read_text(encoding="utf-8")
    old = next(line for line in text[text.index('id = "16-logement"') :].splitlines() if line.startswith("reason"))
    national.write_text(text.replace(old, 'reason = "Une autre raison."'), encoding="utf-8")
    own.start("orientation")
    after = visit(needs=[need("logement")], publics=[], agreement=AGREED)
    assert own.post_visit(after).status_code == 201
    own.sent(after)

    first, second = (explain(own, body).json() for body in (before, after))
    assert (first["why_these_rules"], second["why_these_rules"]) == ("recorded", "recorded")
    assert first["rules_version"] != second["rules_version"]
    assert applied(first)["reason"] in old
    assert applied(second)["reason"] == "Une autre raison."

    file = tmp_path / "visit.json"
    file.write_text(json.dumps(before), encoding="utf-8")
    told = own.relais("network", "explain", str(file))
    assert told.returncode == 0, told.stderr
    assert first["rules_version"] in told.stdout
    assert "par lesquelles cette visite a été orientée" in told.stdout
    assert "Une autre raison." not in told.stdout
    asked = own.relais("network", "explain", str(file), "--json", "--rules-version", second["rules_version"])
    assert applied(json.loads(asked.stdout))["reason"] == "Une autre raison."


def test_the_explanation_agrees_with_what_was_sent(house: House) -> None:
    """The proposals explained are those of the event, with the lines above that did not apply and why."""
    body = visit(needs=[need("freins-multiples", obstacles=["mobilite", "sante"])], publics=[], age_band="30-54")
    body["agreement"] = AGREED
    assert house.post_visit(body).status_code == 201
    (sent,) = house.sent(body)
    found = eventually(lambda: explain(house, body).json())
    (told,) = found["needs"]
    assert [each["recipients"][0]["partner"] for each in told["proposals"]] == [sent["partner"]]
    assert applied(found)["id"] == "09-freins-spie"
    assert told["proposals"][0]["contact_sheet"]["partner"] == sent["partner"]
    above = told["lines"][: [line["applies"] for line in told["lines"]].index(True)]
    assert above
    assert all(line["unmet"] for line in above)
    assert "Zoé" not in json.dumps(found)


def test_whoever_may_not_know_is_refused(house: House) -> None:
    """Another site's visit: 403. A version, commune or time that cannot be: 422 with the pointer, and no echo."""
    body = visit(visit_id=str(uuid4()))
    assert explain(house, body, site="hem").status_code == 403
    wrong = {"rules_version": ["1999", "a\0b"], "commune": ["99999"], "occurred_at": ["9999-12-31T23:59:59-05:00"]}
    for field, value in ((field, value) for field, values in wrong.items() for value in values):
        answer = explain(house, body | {field: value})
        assert answer.status_code == 422
        assert [error["pointer"] for error in answer.json()["errors"]] == [f"/{field}"]
        assert value not in answer.json()["detail"]


def test_network_files_are_tried_without_any_database(house: House, tmp_path: Path) -> None:
    """Whoever writes a network file asks what it would do, before anything runs by it."""
    file = tmp_path / "visit.json"
    file.write_text(json.dumps(visit()), encoding="utf-8")
    nothing: dict[str, str | None] = {"RELAIS_STATE": str(tmp_path), "RELAIS_DATABASE_URL_ORIENTATION": None}
    told = house.relais("network", "explain", str(file), **nothing)
    assert told.returncode == 0, told.stderr
    assert "04-jeune" in told.stdout
    assert "celles des fichiers" in told.stdout
    explicit = house.relais("network", "explain", str(file), "--files", str(SHIPPED), "--json")
    assert json.loads(explicit.stdout)["why_these_rules"] == "files"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("{", "pas du JSON"),
        ("[]", "visit.json"),
        (json.dumps(visit(score=3)), "/score"),
        (json.dumps(visit(commune="99999")), "/commune"),
        (json.dumps(visit(site="nowhere")), "/site"),
    ],
    ids=["no JSON", "no visit", "a judgement", "no commune", "no site"],
)
def test_what_cannot_be_explained_is_said_and_exits_2(
    house: House, tmp_path: Path, content: str, expected: str
) -> None:
    """The file, the field and the reason, on standard error."""
    file = tmp_path / "visit.json"
    file.write_text(content, encoding="utf-8")
    done = house.relais("network", "explain", str(file), "--files", str(SHIPPED))
    assert (done.returncode, expected in done.stderr) == (2, True), done.stderr
    assert "Traceback" not in done.stderr
