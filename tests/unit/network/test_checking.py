"""What `relais network check` looks for, one change at a time on a network that is right."""

import tomllib
from datetime import date

import pytest

from services.network import checking
from services.network.loading import Flaw, Severity, Source
from services.network.schema import NetworkFile

DAY = date(2026, 11, 22)
RIGHT = """
[network]
id = "essai"
name = "Essai"
rules_version = "1"
local_kinds = ["plie"]

[[charters]]
id = "convention"
name = "Convention"
parties = ["État"]
sites = ["fs-moreuil"]
department = "80"
territory = ["80021"]
signed = 2022-10-24
ends = 2023-07-01

[[sites]]
id = "fs-moreuil"
name = "Moreuil"
commune = "80570"
label = "granted"

[[sites]]
id = "hem"
name = "Hem"
commune = "59299"
label = "requested"

[[partners]]
id = "departement"
kind = "departement"
category = "department"
name = "Département"
covers = ["80", "59"]
basis = "mission"

[[partners]]
id = "mission-locale"
kind = "mission-locale"
category = "local"
name = "Mission locale"
covers = ["80", "59299"]
basis = "mission"

[[partners]]
id = "cpam"
kind = "cpam"
category = "operator"
name = "CPAM"
covers = "all"
basis = "mission"

[[partners]]
id = "msa"
kind = "msa"
category = "operator"
name = "MSA"
covers = ["59", "80"]
basis = "mission"

[[partners]]
id = "fs-voisine"
kind = "france-services"
category = "site"
name = "France services voisine"
covers = ["59350"]
basis = "mission"

[[contact_sheets]]
partner = "mission-locale"
covers = ["59", "80021"]
name = "Nadia Exemple"
last_verified = 2026-05-22
example = true

[[lines]]
id = "charte"
needs = ["employment"]
charter = true
recipients = [["departement"]]
reason = "R"
source = "S"

[[lines]]
id = "jeunes"
needs = ["employment"]
publics = ["neet"]
or_needs = ["jeune-sans-emploi-ni-formation"]
ages = ["16-17", "18-20"]
recipients = [["plie", { kind = "mission-locale", ages = ["16-17"] }, "departement"], ["mission-locale"]]
reason = "R"
source = "S"

[[lines]]
id = "soins"
needs = ["rembourser-soins"]
recipients = [["cpam"]]
msa = "msa"
reason = "R"
source = "S"

[[lines]]
id = "reste"
needs = [
  "employment", "declarer-revenus", "permis-ou-carte-identite", "demander-une-aide", "preparer-retraite",
  "litige-ou-conflit", "attendre-un-enfant", "endettement", "logement", "droits-handicap", "renovation-logement",
  "cheque-energie", "numerique", "courrier-et-banque", "acces-aux-droits", "aide-aux-victimes", "hebergement-urgence",
  "autre",
]
desk_first = true
reason = "R"
source = "S"
"""
CPAM, MSA, SHEET = 'covers = "all"', 'covers = ["59", "80"]', 'covers = ["59", "80021"]'
JEUNES = '"departement"], ["mission-locale"]]'
SECOND = '[network]\nid = "deux"\nname = "Deux"\n\n'


def table(name: str, *others: tuple[str, str]) -> str:
    """Copy the first table of that name, with some words replaced, as a file of its own."""
    start = RIGHT.index(f"[[{name}]]")
    text = SECOND + RIGHT[start : RIGHT.index("\n\n", start)]
    for before, after in others:
        assert before in text
        text = text.replace(before, after)
    return text


def flaws_of(*texts: str, day: date = DAY) -> list[Flaw]:
    """Check these files, called 0.toml, 1.toml and so on, read together."""
    files = [NetworkFile.model_validate(tomllib.loads(text)) for text in texts]
    return checking.find([Source(f"{number}.toml", file) for number, file in enumerate(files)], day)


def changed(before: str, after: str) -> str:
    """Change the right network in one place."""
    assert RIGHT.count(before) == 1
    return RIGHT.replace(before, after)


def test_right_network_has_no_flaw() -> None:
    """What follows stands out against silence, false alarms included.

    Lines that meet because one asks for a charter and another for a public, a need that a group names in vain, a kind
    without a partner that has a fallback, a site without the label outside any charter, a sheet of exactly six months,
    a partner among the sites that no line names: none of them is a flaw.
    """
    assert flaws_of(RIGHT) == []


@pytest.mark.parametrize(
    ("before", "after", "place", "words"),
    [
        ('"autre",', '"autre", "rembourser-soins",', "lines[3].needs[18]", "« soins » s’applique toujours avant"),
        ('  "autre",\n', "", "lines", "« autre » : aucune ligne ne nomme ce besoin"),
        (
            CPAM,
            'covers = ["80001"]',
            "lines[2].recipients",
            "« cpam » ne couvre 59299 (hem), 80021, 80570 (fs-moreuil)",
        ),
        (MSA, 'covers = ["80001"]', "lines[2].msa", "« msa » ne couvre 59299 (hem), 80021, 80570 (fs-moreuil)"),
        (
            JEUNES,
            '"plie"]]',
            "lines[1].recipients",
            "« plie » ne couvre 59299 (hem), et personne d’autre pour : âge 18",
        ),
        (CPAM, f"{CPAM}\nbasket_from = 2027-01-01", "lines[2].recipients", "« cpam » à partir du 2027-01-01"),
        (MSA, f"{MSA}\nbasket_until = 2025-12-31", "lines[2].msa", "« msa » jusqu’au 2025-12-31"),
        ('"granted"', '"withdrawn"', "charters[0].sites[0]", "« fs-moreuil » n’a plus le label"),
        ('commune = "80570"', 'commune = "80999"', "sites[0].commune", "aucune commune n’a le code INSEE 80999"),
        ('["59350"]', '["80178"]', "partners[4].covers", "comptés à Moreuil (80570)"),
    ],
)
def test_what_routes_people_wrongly_is_an_error(before: str, after: str, place: str, words: str) -> None:
    """Each is told once, at its place."""
    (flaw,) = flaws_of(changed(before, after))
    assert (flaw.file, flaw.place, flaw.severity) == ("0.toml", place, Severity.ERROR)
    assert words in flaw.reason


@pytest.mark.parametrize(
    ("before", "after", "place", "words"),
    [
        (CPAM, 'covers = ["80"]', "lines[2].recipients", "« cpam » ne couvre 59299 (hem)"),
        (MSA, 'covers = ["80"]', "lines[2].msa", "« msa » ne couvre 59299 (hem)"),
        (JEUNES, '"departement"], ["plie"]]', "lines[1].recipients[1]", "« plie » ne couvre 59299 (hem) : cet envoi"),
        ('"granted"', '"requested"', "charters[0].sites[0]", "n’a pas encore le label"),
        ("ends = 2023-07-01", "ends = 2023-07-01\nended = 2027-02-22", "charters[0].ended", "prend fin le 2027-02-22"),
        (CPAM, f"{CPAM}\nby_choice = true", "partners[2].by_choice", "des lignes nomment pourtant le type « cpam »"),
        ('category = "site"', 'category = "local"', "partners[4].kind", "aucune ligne ne nomme le type « france-serv"),
        ("last_verified = 2026-05-22\n", "", "contact_sheets[0].last_verified", "jamais vérifiée"),
        ("verified = 2026-05-22", "verified = 2026-05-21", "contact_sheets[0].last_verified", "plus de 6 mois"),
        ("verified = 2026-05-22", "verified = 2026-11-23", "contact_sheets[0].last_verified", "après le 2026-11-22"),
        (SHEET, 'covers = ["59", "62"]', "contact_sheets[0].covers", "« mission-locale » ne couvre pas 62"),
        ('["80021"]', '["80178"]', "charters[0].territory[0]", "comptés à Moreuil (80570)"),
        (MSA, 'covers = ["59", "80", "80178"]', "partners[3].covers", "comptés à Moreuil (80570)"),
        ('name = "Hem"', 'name = "moreuil"', "sites[1].name", "aussi le nom de 0.toml, sites[0]"),
    ],
)
def test_what_deserves_a_look_is_a_warning(before: str, after: str, place: str, words: str) -> None:
    """Each is told once, at its place; a line that leads to nobody at some of the sites only is among them."""
    (flaw,) = flaws_of(changed(before, after))
    assert (flaw.file, flaw.place, flaw.severity) == ("0.toml", place, Severity.WARNING)
    assert words in flaw.reason


@pytest.mark.parametrize(
    ("second", "place", "words"),
    [
        (
            table("charters", ('"convention"', '"autre"'), ('"Convention"', '"Autre"')),
            "1.toml: charters[0].sites[0]",
            "« fs-moreuil » est déjà dans la convention « convention »",
        ),
        (table("contact_sheets"), "1.toml: contact_sheets[0]", "même territoire que 0.toml, contact_sheets[0]"),
        (
            table(
                "partners",
                ('departement"', 'cpam-80"'),
                ('"Département"', '"CPAM de la Somme"'),
                ('kind = "cpam-80"', 'kind = "cpam"\nbasket_from = 2024-01-01'),
            ),
            "0.toml: partners[2].basket_from",
            "pas de dates de panier, alors que « cpam-80 », du même type, en a",
        ),
    ],
)
def test_what_two_files_say_together_is_looked_at(second: str, place: str, words: str) -> None:
    """The second file may be right by itself."""
    (flaw,) = flaws_of(RIGHT, second)
    assert str(flaw).startswith(f"{place}: avertissement : ")
    assert words in flaw.reason


@pytest.mark.parametrize(
    ("day", "warned"),
    [("2026-12-31", False), ("2027-01-01", True), ("2027-04-01", True), ("2027-04-02", False), ("2028-01-01", True)],
)
def test_charter_is_warned_of_while_notice_can_be_given(day: str, *, warned: bool) -> None:
    """In the three months before the last day for giving notice, each year anew; after it nothing can be done."""
    places = [flaw.place for flaw in flaws_of(RIGHT, day=date.fromisoformat(day))]
    assert ("charters[0].ends" in places) is warned


@pytest.mark.parametrize("terms", ["ends = 9999-12-31", "ends = 2023-07-01\nrenewal_months = 999999"])
def test_charter_may_run_to_the_end_of_the_calendar(terms: str) -> None:
    """Nothing is due within three months, and no date beyond the year 9999 is needed to say so."""
    assert flaws_of(changed("ends = 2023-07-01", terms)) == []


@pytest.mark.parametrize(("ended", "label"), [("2026-11-21", "withdrawn"), ("2027-02-23", "granted")])
def test_charter_that_is_over_or_ends_late_is_left_alone(ended: str, label: str) -> None:
    """Once over it applies nothing to its sites, label or not; an end in more than three months is no news."""
    text = changed("ends = 2023-07-01", f"ends = 2023-07-01\nended = {ended}").replace('"granted"', f'"{label}"')
    assert flaws_of(text) == []


def test_partner_outside_its_basket_covers_nobody() -> None:
    """Where one operator left the basket and another of its kind stays elsewhere, the place it left is named."""
    gone = table(
        "partners", ('departement"', 'cpam-59"'), ('kind = "cpam-59"', 'kind = "cpam"'), ('["80", "59"]', '["59"]')
    )
    text = changed(CPAM, 'covers = ["80"]\nbasket_from = 2024-01-01')
    (flaw,) = flaws_of(text, gone.replace('"Département"', '"CPAM 59"\nbasket_until = 2026-11-21'))
    assert flaw.place == "lines[2].recipients"
    assert "« cpam » ne couvre 59299 (hem)" in flaw.reason


def test_resident_line_is_judged_where_residents_live() -> None:
    """A site of another département in the same charter has no residents to lead anywhere."""
    text = changed("charter = true", "charter = true\nresident = true").replace(
        'covers = ["80", "59"]', 'covers = ["80"]'
    )
    text = text.replace('sites = ["fs-moreuil"]', 'sites = ["fs-moreuil", "hem"]').replace('"requested"', '"granted"')
    assert [flaw.place for flaw in flaws_of(text) if flaw.place.startswith("lines[0]")] == []
    assert [flaw.place for flaw in flaws_of(text.replace('"80"\nterr', '"59"\nterr'))][:1] == ["lines[0].recipients"]


def test_files_without_lines_or_sites_are_not_blamed_for_it() -> None:
    """A local file is checked without the table, and the table without any site."""
    head, lines = RIGHT[: RIGHT.index("[[lines]]")], RIGHT[RIGHT.index("[[lines]]") :]
    assert flaws_of(head) == []
    partners = RIGHT[RIGHT.index("[[partners]]") : RIGHT.index("[[contact_sheets]]")]
    header = RIGHT[: RIGHT.index("[[charters]]")]
    assert flaws_of(header + partners + lines) == []
