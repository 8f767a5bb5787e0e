"""`relais network check`, as a network's administrator uses it."""

from pathlib import Path

from typer.testing import CliRunner

from services.network.commands import app

SHIPPED = Path(__file__).parents[3] / "deploy" / "networks"


def test_shipped_networks_pass() -> None:
    """Exit 0, and a line that says how much was read."""
    result = CliRunner().invoke(app, ["check", str(SHIPPED)])
    assert result.exit_code == 0
    assert "3 sites" in result.output


def test_flaw_is_named_by_file_place_and_reason(tmp_path: Path) -> None:
    """Exit 2, and one line for each flaw: whoever wrote the file can mend it without asking."""
    flawed = tmp_path / "flawed.toml"
    flawed.write_text(
        '[network]\nid = "x"\nname = "X"\n\n[[sites]]\nid = "a"\nname = "A"\ncommune = "805"\nlabel = "no"\n'
    )
    result = CliRunner().invoke(app, ["check", str(flawed)])
    assert result.exit_code == 2
    assert [line.split(": ")[:2] for line in result.output.splitlines()] == [
        ["flawed.toml", "sites[0].commune"],
        ["flawed.toml", "sites[0].label"],
    ]
