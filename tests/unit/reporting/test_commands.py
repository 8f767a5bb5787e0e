"""`relais report activity`: what it asks of the API, what it prints, how it ends."""

from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from services.reporting import commands

ADDRESS = "127.0.0.1:8004"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[httpx.Request]:
    """Answer every request with a report, and keep what was asked; a token starting with `bad` is refused."""
    requests: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        status = {"Bearer bad-input": 422, "Bearer bad-role": 403, "Bearer bad-gateway": 502}
        code = status.get(request.headers["Authorization"], 200)
        if code == 502:
            return httpx.Response(code, text="<html>")
        if code != 200:
            errors = [{"pointer": "/from", "detail": "Une date est attendue."}]
            return httpx.Response(code, json={"title": "Non", "status": code, "detail": "Refusé.", "errors": errors})
        return httpx.Response(200, text='{"totals": {}}')

    client = httpx.Client(transport=httpx.MockTransport(answer))
    monkeypatch.setattr(httpx, "get", client.get)
    return requests


def run(*arguments: str) -> tuple[int, str, str]:
    """Exit code, standard output, standard error."""
    result = CliRunner(env={"RELAIS_TOKEN": None, "RELAIS_REPORTING_HTTP": ADDRESS}).invoke(
        commands.app, ["activity", *arguments]
    )
    return result.exit_code, result.stdout, result.stderr


def test_it_asks_the_public_api(asked: list[httpx.Request]) -> None:
    """Only what was given is asked, on the caller's own token."""
    code, out, _ = run("--token", "t", "--from", "2026-01-01", "--to", "2026-06-30", "--site", "hem", "--by", "month")
    assert (code, out) == (0, '{"totals": {}}\n')
    assert asked[0].url.path == "/v1/reports/activity"
    assert dict(asked[0].url.params) == {
        "from": "2026-01-01",
        "to": "2026-06-30",
        "site": "hem",
        "by": "month",
        "format": "json",
    }
    assert asked[0].headers["Authorization"] == "Bearer t"
    assert asked[0].url.netloc == ADDRESS.encode()


def test_it_writes_a_file(asked: list[httpx.Request], tmp_path: Path) -> None:
    """With --output nothing is printed."""
    file = tmp_path / "activite.csv"
    assert run("--token", "t", "--format", "csv", "--output", str(file)) == (0, "", "")
    assert file.read_text() == '{"totals": {}}'
    assert asked[0].url.params["format"] == "csv"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([], 2, "token"),
        (["--token", "bad-input"], 2, "/from: Une date est attendue."),
        (["--token", "bad-role"], 1, "403: Refusé."),
        (["--token", "bad-gateway"], 1, "502"),
        (["--token", "t", "--output", "/nowhere/at/all.csv"], 1, "cannot be written"),
    ],
)
@pytest.mark.usefixtures("asked")
def test_it_ends_with_what_went_wrong(arguments: list[str], code: int, words: str) -> None:
    """2 when the input is wrong, 1 for everything else; the reason goes to standard error."""
    exit_code, out, error = run(*arguments)
    assert (exit_code, out) == (code, "")
    assert words in error


def test_a_service_that_is_away_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """No traceback."""

    def away(*_arguments: object, **_options: object) -> httpx.Response:
        raise httpx.ConnectError("refused")

    monkeypatch.setattr(httpx, "get", away)
    code, _, error = run("--token", "t")
    assert code == 1
    assert "does not answer" in error
