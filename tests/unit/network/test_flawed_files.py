"""`relais network check` on files that can be read and are flawed: each names its flaw in its first lines."""

import json
from datetime import date
from pathlib import Path
from typing import NamedTuple

import pytest
from typer.testing import CliRunner

from services.network import load
from services.network.commands import app

FLAWED = Path(__file__).parent / "flawed"
SHIPPED = Path(__file__).parents[3] / "deploy" / "networks"
DAY = "2026-11-22"


class Told(NamedTuple):
    """Where the flaw is, some words of the reason, and whether people are routed wrongly."""

    place: str
    words: str
    severity: str = "error"


FLAWS = {
    "charter_about_to_renew": Told("charters[0].ends", "préavis au plus tard le 2027-02-15", "warning"),
    "commune_of_the_past": Told("partners[1].covers", "80178 n’est plus une commune, ses habitants"),
    "everybody_on_a_condition": Told("lines[0].recipients", "personne ne convient ici : âge 30-54"),
    "information_without_a_charter": Told("information[0].charter", "jamais montrée : aucune convention", "warning"),
    "journey_that_no_line_names": Told("journeys[1].id", "aucune ligne ne nomme le parcours « jeunes »", "warning"),
    "line_behind_a_wider_one": Told("lines[1]", "jamais atteinte : « 10-jeunes » s’applique toujours avant"),
    "line_behind_several": Told("lines[2]", "« 10-mineurs-et-18-20 », « 20-jeunes-adultes » s’appliquent toujours"),
    "lines_that_cross": Told("lines[1]", "recoupe « 10-jeunes » sans être plus étroite ni plus large", "warning"),
    "need_without_a_last_line": Told("lines", "« logement » : aucune ligne ne s’applique, par exemple : aucun public"),
    "operator_after_its_basket": Told("lines[0].recipients", "« ancien-operateur » jusqu’au 2025-12-31"),
    "partner_far_from_every_site": Told("partners[1].covers", "loin de tout site", "warning"),
    "partner_that_no_line_names": Told("partners[1].kind", "aucune ligne ne nomme le type « mision-", "warning"),
    "recipients_that_cover_no_site": Told("lines[0].recipients", "« mission-locale » ne couvre 80570 (fs-moreuil)"),
    "sheet_outside_its_partner": Told("contact_sheets[0].covers", "« departement-80 » ne couvre pas 59", "warning"),
    "stale_contact_sheet": Told("contact_sheets[0].last_verified", "il y a plus de 6 mois", "warning"),
    "two_partners_of_one_name": Told("partners[2].name", "aussi le nom de two_partners_of_one_name.toml", "warning"),
    "withdrawn_site_in_a_charter": Told("charters[0].sites[0]", "« fs-moreuil » n’a plus le label"),
}
each_flaw = pytest.mark.parametrize(("name", "told"), FLAWS.items())


def check(*arguments: str | Path) -> tuple[int, str, str]:
    """Run the command; its exit code, standard output and standard error."""
    done = CliRunner().invoke(app, ["check", *map(str, arguments)])
    return done.exit_code, done.stdout, done.stderr


def test_every_flawed_file_is_looked_at() -> None:
    """No file lies there without its line in the table above."""
    assert {file.stem for file in FLAWED.glob("*.toml")} == set(FLAWS)


@each_flaw
def test_flaw_is_named_by_file_place_and_reason(name: str, told: Told) -> None:
    """One line, for the file is right otherwise; an error ends with 2 and stands on standard error."""
    code, out, err = check(FLAWED / f"{name}.toml", "--on", DAY)
    assert code == (2 if told.severity == "error" else 0)
    (line,) = err.splitlines() if told.severity == "error" else out.splitlines()[:-1]
    mark = "" if told.severity == "error" else "avertissement : "
    assert line.startswith(f"{name}.toml: {told.place}: {mark}")
    assert told.words in line
    if told.severity == "error":
        assert out == ""
    else:
        assert (out.splitlines()[-1].endswith("lines: nothing to mend, 1 to look at"), err) == (True, "")


@each_flaw
def test_every_flaw_counts_when_strict(name: str, told: Told) -> None:
    """With --strict a warning ends with 2 as well, on standard error."""
    code, out, err = check(FLAWED / f"{name}.toml", "--on", DAY, "--strict")
    assert (code, out) == (2, "")
    assert told.words in err


@each_flaw
def test_flaw_as_data(name: str, told: Told) -> None:
    """--json prints a list and nothing else; the exit code is the same."""
    code, out, err = check(FLAWED / f"{name}.toml", "--on", DAY, "--json")
    assert (code, err) == (2 if told.severity == "error" else 0, "")
    (flaw,) = json.loads(out)
    assert flaw.pop("reason")
    assert flaw == {"file": f"{name}.toml", "place": told.place, "severity": told.severity}


@each_flaw
def test_services_start_on_it_all_the_same(name: str, told: Told) -> None:
    """What only a reviewer would mind stops no running network, and the file says its flaw to whoever opens it."""
    assert load(FLAWED / f"{name}.toml").partners
    assert (FLAWED / f"{name}.toml").read_text(encoding="utf-8").startswith("# Défaut : ")
    assert told.place


def test_shipped_networks_have_no_flaw() -> None:
    """Neither errors nor warnings on the day the delivered files were last looked through."""
    assert check(SHIPPED, "--on", DAY, "--strict") == (0, "3 sites, 34 partners, 31 lines: nothing to mend\n", "")
    assert check(SHIPPED, "--on", DAY, "--json") == (0, "[]\n", "")


@pytest.mark.parametrize("name", ["national", "somme-santerre", "hem"])
def test_each_shipped_file_has_no_flaw_by_itself(name: str) -> None:
    """What only the other files could tell is not held against one."""
    code, _, err = check(SHIPPED / f"{name}.toml", "--on", DAY, "--strict")
    assert (code, err) == (0, "")


def test_shipped_networks_never_become_wrong_by_age() -> None:
    """In ten years there is much to look at, and still no error."""
    code, out, err = check(SHIPPED, "--on", "2036-11-22")
    assert (code, err) == (0, "")
    assert "fiche de « france-travail » vérifiée il y a plus de 6 mois" in out


def test_shipped_table_was_without_somebody_before_2024() -> None:
    """Before the chèque énergie came into the basket its line led to nobody, as the basket's dates say."""
    code, _, err = check(SHIPPED, "--on", "2023-12-31")
    (line,) = err.splitlines()
    assert code == 2
    assert line.startswith("national.toml: lines[19].recipients: hors du panier le 2023-12-31 : « cheque-energie » à p")


def test_without_a_day_it_is_today(tmp_path: Path) -> None:
    """A sheet verified today is fresh, and one of the last century is not."""
    text = (FLAWED / "stale_contact_sheet.toml").read_text(encoding="utf-8")
    for verified, found in ((date.today().isoformat(), 0), ("1999-12-31", 1)):  # noqa: DTZ011 - as a reader would
        (tmp_path / "x.toml").write_text(text.replace("2026-05-21", verified), encoding="utf-8")
        assert len(json.loads(check(tmp_path / "x.toml", "--json")[1])) == found


@pytest.mark.parametrize("day", ["hier", "0001-01-01", "9999-12-31"])
def test_day_that_makes_no_sense_is_refused(day: str) -> None:
    """Exit 2 and a sentence, as for any wrong option; never a traceback."""
    code, out, err = check(SHIPPED, "--on", day)
    assert (code, out) == (2, "")
    assert "--on" in err


def test_what_cannot_be_read_is_data_too(tmp_path: Path) -> None:
    """The mistakes that services refuse have the same four facts in --json."""
    (tmp_path / "x.toml").write_text('[network]\nid = "x"\n', encoding="utf-8")
    code, out, _ = check(tmp_path, "--json")
    assert code == 2
    assert json.loads(out) == [
        {"file": "x.toml", "place": "network.name", "reason": "champ obligatoire", "severity": "error"}
    ]


def test_empty_folder_is_refused(tmp_path: Path) -> None:
    """A folder without network files is no network without flaws."""
    code, _, err = check(tmp_path)
    assert code == 2
    assert err == f"{tmp_path.name}: document: aucun fichier .toml dans ce dossier\n"


def test_same_file_twice_is_refused() -> None:
    """Every id would be taken twice, and every line read twice."""
    code, _, err = check(SHIPPED / "hem.toml", SHIPPED)
    assert code == 2
    assert "hem.toml: sites[0].id: « hem » est déjà pris (hem.toml, sites[0])" in err
