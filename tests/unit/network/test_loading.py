"""The network file: what is accepted, and how a mistake is told."""

from datetime import date
from pathlib import Path

import pytest

from services.contracts.codes import EMPLOYMENT_NEEDS, Category, Need
from services.network import Charter, Network, NetworkError, load, load_files

SHIPPED = Path(__file__).parents[3] / "deploy" / "networks"
ONE_OF_EACH = """
[network]
id = "essai"
name = "Essai"
rules_version = "1"

[[charters]]
id = "charte"
name = "Charte"
parties = ["État"]
sites = ["fs-essai"]
department = "80"
signed = 2022-10-24
ends = 2023-07-01

[[sites]]
id = "fs-essai"
name = "Essai"
commune = "80570"
label = "granted"

[[partners]]
id = "mdph-80"
kind = "mdph"
category = "department"
name = "MDPH"
covers = ["80"]
basis = "mission"

[[contact_sheets]]
partner = "mdph-80"
name = "Claire Exemple"
example = true

[[information]]
text = "La MDPH répond à l’accueil."
needs = ["droits-handicap"]
source = "hypothèse"

[[journeys]]
id = "handicap"
version = "1"
name = "Droits liés au handicap"
steps = [{ who = "MDPH", what = "instruit la demande" }]
source = "hypothèse"

[[lines]]
id = "15-droits-handicap"
needs = ["droits-handicap"]
recipients = [["mdph"]]
reason = "MDPH"
source = "hypothèse"
"""


@pytest.fixture(scope="module")
def shipped() -> Network:
    """Load the networks that come with the software."""
    return load(SHIPPED)


def problems_of(folder: Path, *texts: str) -> list[str]:
    """Tell what is wrong with these files, called 0.toml, 1.toml and so on."""
    for number, text in enumerate(texts):
        (folder / f"{number}.toml").write_text(text, encoding="utf-8")
    with pytest.raises(NetworkError) as caught:
        load(folder)
    return caught.value.problems


@pytest.mark.parametrize("name", ["national", "somme-santerre", "hem"])
def test_each_shipped_file_is_right_by_itself(name: str) -> None:
    """Whoever adapts one file can check it without the others."""
    load(SHIPPED / f"{name}.toml")


def test_shipped_files_make_one_network(shipped: Network) -> None:
    """A folder is merged: the table comes from one file, sites and partners from all."""
    assert shipped.rules_version == "2026-11"
    assert {site.id for site in shipped.sites} == {"fs-moreuil", "fs-roye", "hem"}
    assert shipped.partner("departement-80-spie") is not None
    assert shipped.partner("plie-hem") is not None
    assert shipped.partner("unknown") is None
    assert shipped.site("unknown") is None


def test_table_has_all_its_lines_in_order(shipped: Network) -> None:
    """The 29 lines of the table are there, read from the top; 14 and 23 hold two lines each."""
    numbers = [int(line.id[:2]) for line in shipped.lines]
    assert numbers == sorted(numbers)
    assert set(numbers) == set(range(1, 30))
    assert [number for number in numbers if numbers.count(number) > 1] == [14, 14, 23, 23]


def test_every_need_ends_on_a_line_without_conditions(shipped: Network) -> None:
    """No person falls through the shipped table, whatever they declare."""
    certain = {
        need
        for line in shipped.lines
        for need in line.all_needs
        if not (line.publics or line.ages or line.charter) and line.obstacles is None
    }
    assert certain == set(Need)


@pytest.mark.parametrize(("day", "operators"), [("2023-12-31", 9), ("2024-01-01", 11), ("2025-01-01", 13)])
def test_basket_grows_with_the_years(shipped: Network, day: str, operators: int) -> None:
    """Nine operators until 2023, eleven from 1/1/2024, thirteen from 1/1/2025."""
    on = date.fromisoformat(day)
    national = [partner for partner in shipped.partners if partner.category is Category.OPERATOR]
    kinds = {partner.kind for partner in national if partner.basket_from is None or partner.basket_from <= on}
    assert len(kinds) == operators


@pytest.mark.parametrize(
    ("site", "day", "in_force"),
    [
        ("fs-moreuil", "2022-10-23", False),
        ("fs-moreuil", "2022-10-24", True),
        ("fs-roye", "2023-07-02", True),
        ("fs-roye", "2026-11-20", True),
        ("hem", "2026-11-20", False),
    ],
)
def test_charter_runs_from_signature_and_renews_tacitly(
    shipped: Network, site: str, day: str, *, in_force: bool
) -> None:
    """Signed on 24/10/2022, renewed without a word; Hem belongs to none."""
    charter = shipped.charter_in_force(site, date.fromisoformat(day))
    assert (charter is not None) is in_force


def test_charter_stops_after_the_last_day_of_its_notice() -> None:
    """A charter to which notice was given holds on its last day and not on the next."""
    charter = Charter(
        id="c",
        name="C",
        parties=("État",),
        sites=("fs-essai",),
        department="80",
        signed=date(2022, 10, 24),
        ends=date(2023, 7, 1),
        ended=date(2026, 6, 30),
    )
    assert charter.in_force(date(2026, 6, 30))
    assert not charter.in_force(date(2026, 7, 1))


def test_made_up_contact_details_say_so(shipped: Network) -> None:
    """No real person's or office's details are shipped."""
    assert shipped.contact_sheets
    assert all(sheet.example for sheet in shipped.contact_sheets)


def test_group_of_needs_is_spelt_out(shipped: Network) -> None:
    """`employment` in a line means the five employment needs."""
    assert next(line for line in shipped.lines if line.id == "03-rsa").all_needs == EMPLOYMENT_NEEDS


@pytest.mark.parametrize(
    ("before", "after", "problem"),
    [
        ('covers = ["80"]', 'covers = ["8"]', "partners[0].covers[0]: « 8 » ne suit pas le format"),
        ('covers = ["80"]', 'covers = "80"', "partners[0].covers: « 80 » est inconnu"),
        ('covers = ["80"]', "covers = []", "partners[0].covers: ne doit pas être vide"),
        ('id = "mdph-80"', 'id = "MDPH 80"', "partners[0].id: « MDPH 80 » ne suit pas le format"),
        ('id = "mdph-80"', 'id = "department"', "partners[0]: « department » est une catégorie"),
        ('category = "department"', 'category = "x"', "partners[0].category: « x » est inconnu"),
        ('basis = "mission"', "", "partners[0].basis: champ obligatoire"),
        ('basis = "mission"', 'basis = "mission"\nscore = 3', "partners[0].score: champ inconnu"),
        ("signed = 2022-10-24", 'signed = "hier"', "charters[0].signed: une date est attendue"),
        ("ends = 2023-07-01", "ends = 2021-07-01", "charters[0]: la charte se termine avant"),
        ('sites = ["fs-essai"]', 'sites = ["fs-autre"]', "charters[0].sites[0]: site inconnu « fs-autre »"),
        ('id = "charte"', 'id = "mdph-80"', "partners[0].id: « mdph-80 » est déjà pris (0.toml, charters[0])"),
        ('partner = "mdph-80"', 'partner = "mdph"', "contact_sheets[0].partner: partenaire inconnu « mdph »"),
        ('[["mdph"]]', '[["mdph", "x"]]', "lines[0].recipients[0][1]: aucun partenaire de type « x »"),
        ('[["mdph"]]', '[["mdph"]]\nmsa = "x"', "lines[0].msa: aucun partenaire de type « x »"),
        ('[["mdph"]]', '[["mdph", { kind = "x", age = 3 }]]', "lines[0].recipients[0][1].age: champ inconnu"),
        ('recipients = [["mdph"]]', "", "lines[0]: il faut soit `recipients`, soit `desk_first = true`"),
        ('needs = ["droits-handicap"]\nrec', 'needs = ["x"]\nrec', "lines[0].needs[0]: « x » est inconnu"),
        ('needs = ["droits-handicap"]', 'needs = ["x"]', "information[0].needs[0]: « x » est inconnu"),
        ("[[lines]]", '[[lines]]\nages = ["unknown"]', "lines[0]: un âge inconnu ne peut pas"),
        ("[[lines]]", "[[lines]]\nresident = true", "lines[0]: `resident` ne va qu'avec `charter`"),
        ("[[lines]]", '[[lines]]\njourney = "x"', "lines[0].journey: parcours inconnu « x »"),
        ("{ who", '{ when = "x", who', "journeys[0].steps[0].when: champ inconnu"),
        ('steps = [{ who = "MDPH", what = "instruit la demande" }]', "steps = []", "journeys[0].steps: ne doit pas"),
        ('needs = ["droits-handicap"]\nsource', "needs = []\nsource", "information[0].needs: ne doit pas être vide"),
        ('rules_version = "1"', "", "network.rules_version: champ obligatoire"),
        ("[network]", "[network", "document: TOML invalide"),
    ],
)
def test_mistake_is_told_with_its_file_place_and_reason(tmp_path: Path, before: str, after: str, problem: str) -> None:
    """Each problem is one line `file: table.path.to.value: reason`, and one mistake is told once."""
    assert before in ONE_OF_EACH
    (told,) = problems_of(tmp_path, ONE_OF_EACH.replace(before, after, 1))
    assert told.startswith(f"0.toml: {problem}")


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    """Nobody has to correct a file one run at a time."""
    text = ONE_OF_EACH.replace('commune = "80570"', 'commune = "Moreuil"').replace('name = "MDPH"\n', "")
    assert [told.split(": ")[1] for told in problems_of(tmp_path, text)] == ["sites[0].commune", "partners[0].name"]


def test_second_table_of_lines_is_refused(tmp_path: Path) -> None:
    """Lines are read from the top, so two files of them would have no order."""
    other = ONE_OF_EACH
    for id_ in ("essai", "charte", "fs-essai", "mdph-80", "handicap", "15-droits-handicap"):
        other = other.replace(f'"{id_}"', f'"{id_}-bis"')
    (told,) = problems_of(tmp_path, ONE_OF_EACH, other)
    assert told == "1.toml: lines: 0.toml a déjà une table de lignes, il n'en faut qu'une"


def test_ids_are_unique_over_all_files(tmp_path: Path) -> None:
    """The second file that takes an id is told where the first one is."""
    site = ONE_OF_EACH[ONE_OF_EACH.index("[[sites]]") : ONE_OF_EACH.index("[[partners]]")]
    second = f'[network]\nid = "b"\nname = "B"\n{site}'
    (told,) = problems_of(tmp_path, ONE_OF_EACH, second)
    assert told == "1.toml: sites[0].id: « fs-essai » est déjà pris (0.toml, sites[0])"


def test_folder_without_files_is_refused(tmp_path: Path) -> None:
    """An empty network would silently orient nobody."""
    assert problems_of(tmp_path) == [f"{tmp_path.name}: document: aucun fichier .toml dans ce dossier"]


def test_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    """A missing file is a problem line like any other, not a traceback."""
    with pytest.raises(NetworkError, match=r"^absent\.toml: document: fichier illisible"):
        load_files([tmp_path / "absent.toml"])


def test_schema_is_published() -> None:
    """The JSON Schema of a file names each of its tables and allows no other."""
    schema = Network.json_schema()
    assert set(schema["properties"]) == {
        *("network", "charters", "sites", "partners", "contact_sheets", "information", "journeys", "lines")
    }
    assert schema["additionalProperties"] is False
