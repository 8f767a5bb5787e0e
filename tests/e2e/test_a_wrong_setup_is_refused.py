"""A mistake in the environment stops the start with code 2 and the variable's name: no visit goes astray for it."""

import base64
import secrets
from pathlib import Path

import pytest

from tests.support.house import House
from tests.support.rabbit import free_ports


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        pytest.param("RELAIS_DATABASE_URL_INTAKE", None, id="database forgotten beside a broker"),
        pytest.param("RELAIS_JWKS", "nowhere.json", id="no keys to check tokens with"),
        pytest.param("RELAIS_SIGNING_KEY_FILE", "/dev/null", id="a key that is none"),
        pytest.param("RELAIS_NETWORK", "nowhere", id="no network files"),
    ],
)
def test_it_names_the_variable(house: House, variable: str, value: str | None) -> None:
    """Rather than serving from an embedded database nobody looks at, or refusing every token later."""
    result = house.relais("run", "--service", "intake", **{variable: value})
    assert result.returncode == 2, result.stderr
    assert variable in result.stderr or "nowhere" in result.stderr
    assert "Traceback" not in result.stderr


def test_another_master_key_is_noticed_before_any_visit(house: House, tmp_path: Path) -> None:
    """What is sealed with one key and read with another would be lost to everybody."""
    other = tmp_path / "other"
    other.write_text(base64.b64encode(secrets.token_bytes(32)).decode())
    port = {"RELAIS_INTAKE_HTTP": f"127.0.0.1:{free_ports(1)[0]}"}
    result = house.relais("run", "--service", "intake", RELAIS_MASTER_KEY_FILE=str(other), **port)
    assert result.returncode == 2, result.stderr
    assert "RELAIS_MASTER_KEY_FILE" in result.stderr


def test_an_empty_list_of_parked_events_says_where_it_looked(house: House, tmp_path: Path) -> None:
    """In an incident "none" must not mean "none where I happened to look"."""
    nothing = {name: None for name in house.environment if name.startswith(("RELAIS_DATABASE", "RELAIS_AMQP"))}
    lost = house.relais("dead-letters", "list", RELAIS_STATE=str(tmp_path), **nothing)
    assert (lost.returncode, "RELAIS_DATABASE_URL" in lost.stderr) == (2, True)
    one = house.relais("dead-letters", "list", "--service", "orientation")
    assert (one.returncode, "orientation" in one.stdout) == (0, True)
