"""`relais …` as somebody types it: what it prints, and how it ends: 0 done, 1 failed, 2 your input is wrong."""

import json
import re
from pathlib import Path

import httpx
import pytest

from tests.support.house import House, eventually, need, visit

# Walks the commands as Click knows them and asks each for help, in one process: starting a Python takes a second.
EVERY_HELP = """
from typer.main import get_command
from typer.testing import CliRunner
from services.__main__ import app

def walk(command, path):
    answer = CliRunner().invoke(app, [*path, "--help"])
    print(" ".join(path) or "relais", answer.exit_code, "Usage:" in answer.stdout, bool(command.help), sep="|")
    for name, inner in getattr(command, "commands", {}).items():
        walk(inner, [*path, name])

walk(get_command(app), [])
"""


def test_a_token_is_printed_alone_and_works(house: House) -> None:
    """`relais token site fs-moreuil` prints one line, the token, with which a visit is recorded."""
    done = house.relais("token", "site", "fs-moreuil")
    assert (done.returncode, done.stderr, done.stdout.count("\n")) == (0, "", 1)
    headers = {"Authorization": f"Bearer {done.stdout.strip()}"}
    answer = house.client.post(f"{house.url('intake')}/v1/visits", json=visit(), headers=headers)
    assert answer.status_code == 201


@pytest.mark.parametrize(
    ("arguments", "changes", "words"),
    [
        pytest.param(["token", "mayor", "fs-moreuil"], {}, ["ROLE", "mayor", "steering"], id="a role there is not"),
        pytest.param(["token", "site", "hem"], {"RELAIS_INTAKE_HTTP": "foo"}, ["RELAIS_INTAKE_HTTP"], id="no address"),
        pytest.param(["run", "--service", "kitchen"], {}, ["kitchen", "orientation"], id="a service there is not"),
        pytest.param(
            ["run", "--service", "intake"], {"RELAIS_AMQP_URL": None}, ["RELAIS_AMQP_URL"], id="alone without a broker"
        ),
        pytest.param(["run"], {"RELAIS_NETWORK": "/nowhere.toml"}, ["nowhere.toml: document: "], id="no network file"),
        pytest.param(["report", "activity"], {"RELAIS_TOKEN": None}, ["RELAIS_TOKEN"], id="a report without a token"),
        pytest.param(["visits", "send", "/nowhere.ndjson", "--token", "t"], {}, ["nowhere.ndjson"], id="no such file"),
    ],
)
def test_wrong_input_ends_with_2_and_is_named(
    house: House, arguments: list[str], changes: dict[str, str | None], words: list[str]
) -> None:
    """Exit code 2, and on standard error what is wrong; never a traceback."""
    done = house.relais(*arguments, **changes)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr


def test_a_taken_port_is_said_so(house: House) -> None:
    """Starting where another Relais listens ends with 2, naming the address; the other one goes on."""
    done = house.relais("run")
    assert done.returncode == 2
    assert f"127.0.0.1:{house.ports['intake']}" in done.stderr
    assert house.client.get(f"{house.url('intake')}/healthz").status_code == httpx.codes.OK


def test_a_wrong_network_file_is_told_line_by_line(house: House, tmp_path: Path) -> None:
    """Each problem is a line `file: table.path.to.value: reason`, for `run` as for `network check`."""
    file = tmp_path / "mine.toml"
    file.write_text('[network]\nid = "mine"\nname = ""\n\n[[sites]]\nid = "A"\nname = "A"\ncommune = "80570"\n')
    checked = house.relais("network", "check", str(file))
    run = house.relais("run", RELAIS_NETWORK=str(file))
    assert (checked.returncode, run.returncode) == (2, 2)
    assert checked.stderr == run.stderr
    lines = checked.stderr.splitlines()
    assert [line.split(": ")[:2] for line in lines] == [
        ["mine.toml", "network.name"],
        ["mine.toml", "sites[0].id"],
        ["mine.toml", "sites[0].label"],
    ]
    assert all(re.fullmatch(r"[^:]+: [^:]+: .+", line) for line in lines)


def test_the_delivered_network_files_are_right(house: House) -> None:
    """`relais network check deploy/networks` finds nothing to mend."""
    done = house.relais("network", "check", str(Path(__file__).parents[2] / "deploy" / "networks"))
    assert (done.returncode, done.stderr) == (0, "")


def test_every_command_explains_itself(house: House) -> None:
    """`--help` of `relais` and of each command below it ends with 0, a usage line and a sentence."""
    done = house.python(EVERY_HELP)
    assert done.returncode == 0, done.stderr
    told = [line.split("|") for line in done.stdout.splitlines()]
    assert {"relais", "run", "token", "visits send", "network check", "report activity", "dead-letters replay"} <= {
        line[0] for line in told
    }
    assert [line for line in told if line[1:] != ["0", "True", "True"]] == []


def test_visits_of_a_file_are_sent_and_a_bad_one_is_named(house: House, tmp_path: Path) -> None:
    """Its line number and its field; the others are recorded, and sending the mended file again counts none twice."""
    good, bad, also_good = visit(), visit(needs=[need("chomage")]), visit(story="Une ligne\u2028qui continue.")
    file = tmp_path / "visits.ndjson"
    token = house.tokens.sign("site", "fs-moreuil")

    def write(*bodies: object) -> None:
        file.write_text("\n\n".join(json.dumps(body, ensure_ascii=False) for body in bodies) + "\n", encoding="utf-8")

    write(good, bad, also_good)
    first = house.relais("visits", "send", str(file), RELAIS_TOKEN=token)
    assert first.returncode == 1
    assert "line 3: 422 /needs/0/code" in first.stderr
    assert re.search(r"\b2\b.*\b1\b", first.stdout)
    assert [len(house.sent(body)) for body in (good, also_good)] == [1, 1]

    write(good, bad | {"needs": [need("logement")]}, also_good)
    second = house.relais("visits", "send", str(file), RELAIS_TOKEN=token)
    assert (second.returncode, second.stderr.strip()) == (0, "")
    assert re.search(r"\b3\b.*\b0\b", second.stdout)
    assert [len(house.sent(body)) for body in (good, also_good)] == [1, 1]


@pytest.mark.parametrize(
    ("content", "place"),
    [
        pytest.param(b'{"visit_id": 1}\n\nhello\n', "line 3", id="not JSON"),
        pytest.param(b"[1]\n", "line 1", id="not a visit"),
        pytest.param(b'{"story": "\xe9"}\n', "visits.ndjson", id="not UTF-8"),
    ],
)
def test_a_file_that_is_no_ndjson_is_not_sent(house: House, tmp_path: Path, content: bytes, place: str) -> None:
    """Exit code 2 naming the place, before anything is sent."""
    file = tmp_path / "visits.ndjson"
    file.write_bytes(content)
    done = house.relais("visits", "send", str(file), "--token", "never used")
    assert done.returncode == 2
    assert place in done.stderr
    assert "Traceback" not in done.stderr


def test_a_refused_token_is_not_taken_for_silence(house: House, tmp_path: Path) -> None:
    """With another's token nothing can be sent: exit code 1 with the status, not an invitation to try again."""
    file = tmp_path / "visits.ndjson"
    file.write_text(json.dumps(visit()))
    done = house.relais("visits", "send", str(file), "--token", house.tokens.sign("partner", "france-travail"))
    assert done.returncode == 1
    assert done.stderr.strip().startswith("403")


def test_the_activity_report_is_the_one_of_the_api(house: House) -> None:
    """`relais report activity` prints the JSON that the call answers with, and CSV when asked."""
    day = ("--from", "2023-03-07", "--to", "2023-03-07")
    period = {"from": day[1], "to": day[3]}
    before = house.activity("spie-somme-santerre", **period)["visits"]
    house.post_visit(visit(mode="history", occurred_at="2023-03-07T10:00:00+01:00"))
    eventually(lambda: house.activity("spie-somme-santerre", **period)["visits"] == before + 1, within=30)
    token = house.tokens.sign("steering", "spie-somme-santerre")
    printed = house.relais("report", "activity", *day, RELAIS_TOKEN=token)
    assert printed.returncode == 0, printed.stderr
    report = json.loads(printed.stdout)
    assert report["filters"]["sites"] == ["fs-moreuil", "fs-roye"]
    assert report["totals"]["visits"] == house.activity("spie-somme-santerre", **period)["visits"]
    table = house.relais("report", "activity", *day, "--format", "csv", RELAIS_TOKEN=token)
    assert table.returncode == 0
    assert table.stdout.splitlines()[:2] == ["figure,code,label,count", f"visits,,Visites,{report['totals']['visits']}"]
