"""`POST /v1/visits/batch`: many visits in one request, each for itself."""

import json

from tests.support.house import House, eventually, need, visit

LINES = "application/x-ndjson"


def test_a_bad_line_spoils_no_other(house: House) -> None:
    """One result per line in the order sent: the good ones recorded, each bad one with its own problem."""
    good, also_good = visit(), visit()
    bodies = [
        good,
        visit(needs=[need("chomage")]),
        good | {"story": "Une autre."},
        visit(site="hem"),
        visit(story="x" * 70_000),
        visit(occurred_at="0001-01-01T00:00:00+14:00", mode="history"),
        also_good,
    ]
    results = house.post_lines("fs-moreuil", bodies)
    assert [result["status"] for result in results] == [201, 422, 409, 403, 413, 422, 201]
    assert [result["visit_id"] for result in results] == [body["visit_id"] for body in bodies]
    assert results[1]["errors"][0]["pointer"] == "/needs/0/code"
    assert [one["state"] for body in (good, also_good) for one in house.sent(body)] == ["sent", "sent"]


def test_lines_that_are_no_visits_have_a_problem_each(house: House) -> None:
    """Half a document, a list, another encoding: their neighbours are recorded all the same."""
    body = visit()
    lines = [b'{"visit_id": ', b"[1, 2]", b'{"story": "\xff"}', json.dumps(body).encode()]
    answer = house.client.post(
        f"{house.url('intake')}/v1/visits/batch",
        content=b"\n".join(lines),
        headers=house.bearer("site", "fs-moreuil") | {"Content-Type": LINES},
    )
    results = [json.loads(line) for line in answer.text.splitlines()]
    assert [result["status"] for result in results] == [400, 422, 400, 201]
    assert [result["visit_id"] for result in results] == [None, None, None, body["visit_id"]]


def test_the_same_batch_again_is_known_line_by_line(house: House) -> None:
    """201 for each, then 200 for each with the same case and reference; nothing is counted or sent twice."""
    day = {"from": "2024-02-06", "to": "2024-02-06"}
    before = house.activity("hem", **day)["visits"]
    bodies = [
        visit(site="hem", commune="59299", mode="history", occurred_at=f"2024-02-06T{hour:02}:00:00+01:00")
        for hour in range(8, 18)
    ]
    first, again = house.post_lines("hem", bodies), house.post_lines("hem", bodies)
    assert {result["status"] for result in first} == {201}
    assert {result["status"] for result in again} == {200}
    assert [result | {"status": 201} for result in again] == first
    last = house.post_visit(visit(site="hem", commune="59299")).json()["case"]
    eventually(lambda: house.timeline(last, "hem"))  # what was recorded before it is counted
    assert house.activity("hem", **day)["visits"] == before + 10


def test_the_same_visit_twice_in_a_batch_is_one_visit(house: House) -> None:
    """The second line is answered 200 with the first one's case."""
    body = visit()
    first, second = house.post_lines("fs-moreuil", [body, body])
    assert (first["status"], second["status"]) == (201, 200)
    assert first["case"] == second["case"]
    assert len(house.sent(body)) == 1


def test_a_thousand_lines_and_not_one_more(house: House) -> None:
    """1000 lines have 1000 results; 1001 are refused as a whole with 413."""
    headers = house.bearer("site", "fs-moreuil") | {"Content-Type": LINES}
    url = f"{house.url('intake')}/v1/visits/batch"
    taken = house.client.post(url, content=b"{}\n" * 1000, headers=headers)
    assert (taken.status_code, len(taken.text.splitlines())) == (200, 1000)
    refused = house.client.post(url, content=b"{}\n" * 1001, headers=headers)
    assert refused.status_code == 413
    assert refused.headers["Content-Type"] == "application/problem+json"
