"""`relais network check` and `relais network reminders`, as a network's administrator uses them."""

import json
from pathlib import Path

from typer.testing import CliRunner

from services.network import load
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


def sheets(folder: Path, *sheets: tuple[str, str | None]) -> Path:
    """Write a network file of one partner, with sheets of these names and days of verification."""
    text = '[network]\nid = "x"\nname = "X"\n'
    text += '[[partners]]\nid = "p"\nkind = "k"\ncategory = "local"\nname = "P"\ncovers = "all"\nbasis = "mission"\n'
    for name, day in sheets:
        text += f'[[contact_sheets]]\npartner = "p"\nname = "{name}"\n' + (f"last_verified = {day}\n" if day else "")
    (folder / "x.toml").write_text(text)
    return folder / "x.toml"


def reminders(*arguments: str | Path) -> tuple[int, str]:
    """Run the command as of the last of August; its exit code and what it prints."""
    result = CliRunner().invoke(app, ["reminders", *map(str, arguments), "--on", "2026-08-31"])
    return result.exit_code, result.output


def test_sheets_to_verify_again_are_listed_oldest_first(tmp_path: Path) -> None:
    """Six calendar months: of those of the end of February, short as it is, one of the 28th is still fresh."""
    file = sheets(tmp_path, ("Ana", "2026-02-27"), ("Bea", "2026-02-28"), ("Cem", "2024-01-01"), ("Dao", None))
    told = "p: Dao: jamais vérifiée\np: Cem: vérifiée le 2024-01-01\np: Ana: vérifiée le 2026-02-27\n"
    assert reminders(file) == (0, told)
    code, out = reminders(file, "--json")
    assert code == 0
    assert json.loads(out) == [
        {"partner": "p", "name": "Dao", "last_verified": None},
        {"partner": "p", "name": "Cem", "last_verified": "2024-01-01"},
        {"partner": "p", "name": "Ana", "last_verified": "2026-02-27"},
    ]


def test_nothing_to_verify_is_no_word(tmp_path: Path) -> None:
    """A cron job mails what is printed, so that nothing is printed when nothing is to be done."""
    file = sheets(tmp_path, ("Bea", "2026-02-28"))
    assert reminders(file) == (0, "")
    assert reminders(file, "--json") == (0, "[]\n")


def test_reminders_of_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    """Exit 2 with the flaw: silence would be taken for nothing to do."""
    file = sheets(tmp_path, ("Ana", "hier"))
    code, out = reminders(file)
    assert code == 2
    assert out.startswith("x.toml: document: TOML invalide")


def test_the_shipped_sheets_are_to_be_verified_in_the_end() -> None:
    """A year later every one of them."""
    result = CliRunner().invoke(app, ["reminders", str(SHIPPED), "--on", "2027-11-22"])
    assert result.exit_code == 0
    assert len(result.output.splitlines()) == len(load(SHIPPED).contact_sheets) > 30
