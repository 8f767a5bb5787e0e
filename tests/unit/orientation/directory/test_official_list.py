"""The official list's real quirks: each is put right and told, or refused with its reason; no row spoils another."""

import csv
import io
from datetime import date
from pathlib import Path

import pytest

from services.orientation.directory.official_list import ListedSite, NotTheList, Reading, read

BOTH = "09:00 - 12:00 / 14:00 - 17:00"
ROYE = {
    "id_fs": "982",
    "insee_dep": "80",
    "lib_fs": "France services La Poste de Roye",
    "adresse": "Place de la République",
    "complement_adresse": "",
    "insee_com": "80685",
    "code_postal": "80700",
    "lib_com": "Roye",
    "latitude": "49.698691",
    "longitude": "2.792972",
    "mail": "roye@example.org",
    "telephone": "03 22 37 15 94",
    "h_lundi": "14:00 - 17:00",
    **dict.fromkeys(("h_mardi", "h_mercredi", "h_jeudi", "h_vendredi"), BOTH),
    "h_samedi": "09:00 - 12:00",
    "prise_rdv": "Non",
    "commentaire": "",
    "type_fs": "Principal",
    "format_fs": "Fixe",
    "groupe_fs": "",
    "labellisation_fs": "Espace labellisé 01/09/2020",
}
THE_LIST = Path(__file__).parents[5] / "shared" / "data" / "france-services-sites-2024-08-01.csv"


def reading(*rows: dict[str, str]) -> Reading:
    """Read rows: Roye's, with what matters to a test changed."""
    file = io.StringIO()
    writer = csv.DictWriter(file, list(ROYE))
    writer.writeheader()
    writer.writerows(ROYE | row for row in rows)
    return read(io.StringIO(file.getvalue()))


def the_site(**changes: str) -> tuple[ListedSite, list[tuple[str, str]]]:
    """The one site of a row, and what was adapted, by column."""
    found = reading(changes)
    assert found.refused == []
    (site,) = found.sites
    return site, [(each.field, each.reason) for each in found.adapted]


def test_a_row_without_quirks_is_taken_as_it_is() -> None:
    """Roye in the Somme, not the other one."""
    site, adapted = the_site()
    assert adapted == []
    assert (site.id, site.commune, site.department, site.labelled_on) == ("982", "80685", "80", date(2020, 9, 1))
    assert (site.emails, site.phone) == (("roye@example.org",), "+33322371594")
    assert site.opening_hours == "Mo 14:00-17:00; Tu-Fr 09:00-12:00,14:00-17:00; Sa 09:00-12:00"


HOURS = {
    "overlapping": (
        "09:00 - 12:00 / 09:00 - 16:30 / 14:00 - 16:30",
        (("09:00", "16:30"),),
        "plages qui se chevauchent ou se touchent, réunies",
    ),
    "twice the same": (
        "13:30 - 16:00 / 13:30 - 16:00",
        (("13:30", "16:00"),),
        "plages qui se chevauchent ou se touchent, réunies",
    ),
    "empty range": (
        "00:00 - 00:00 / 09:00 - 12:00",
        (("09:00", "12:00"),),
        "plages vides ou à l’envers retirées",
    ),
    "never open": ("00:00 - 00:00", (), "plages vides ou à l’envers retirées"),
    "backwards": ("17:00 - 09:00", (), "plages vides ou à l’envers retirées"),
    "no such hour": ("09:00 - 25:00", (), "plages vides ou à l’envers retirées"),
    "words": ("sur rendez-vous 09:00 - 12:00", (("09:00", "12:00"),), "seules les plages lisibles sont gardées"),
}


@pytest.mark.parametrize(("cell", "ranges", "reason"), HOURS.values(), ids=HOURS)
def test_opening_hours_are_put_right_and_told(cell: str, ranges: tuple[tuple[str, str], ...], reason: str) -> None:
    """What is left is in order and touches nothing, and the report quotes the cell."""
    site, adapted = the_site(h_jeudi=cell)
    assert site.hours[3] == ranges
    assert adapted == [("h_jeudi", f"« {cell} » : {reason}")]


ADAPTED = {
    "several e-mails": (
        {"mail": "mairie@example.org - agent@example.org"},
        {"emails": ("mairie@example.org", "agent@example.org")},
        ("mail", "2 adresses dans une cellule : la première est celle du site"),
    ),
    "no e-mail in it": ({"mail": "à venir"}, {"emails": ()}, ("mail", "adresse illisible : laissée vide")),
    "no phone in it": ({"telephone": "12 34"}, {"phone": None}, ("telephone", "numéro illisible : laissé vide")),
    "a postcode without its zero": (
        {"code_postal": "1200"},
        {"postcode": "01200"},
        ("code_postal", "zéro initial ajouté"),
    ),
    "a place that is nowhere": (
        {"latitude": "498.6"},
        {"latitude": None},
        ("latitude", "hors des limites : laissé vide"),
    ),
    "a delegated commune": (
        {"insee_com": "49069", "insee_dep": "49"},
        {"commune": "49126", "department": "49"},
        ("insee_com", "49069 (Champtoceaux) fait partie de la commune 49126"),
    ),
    "an arrondissement": (
        {"insee_com": "75112", "insee_dep": "75"},
        {"commune": "75056", "department": "75"},
        ("insee_com", "75112 (Paris 12e Arrondissement) fait partie de la commune 75056"),
    ),
    "another département": (
        {"insee_com": "76540", "insee_dep": "27"},
        {"commune": "76540", "department": "76"},
        ("insee_dep", "27 n’est pas le département de 76540 : 76"),
    ),
}


@pytest.mark.parametrize(("cells", "expected", "told"), ADAPTED.values(), ids=ADAPTED)
def test_what_can_be_put_right_is_and_is_told(
    cells: dict[str, str], expected: dict[str, object], told: tuple[str, str]
) -> None:
    """The commune's code decides, never a name."""
    site, adapted = the_site(**cells)
    assert {name: getattr(site, name) for name in expected} == expected
    assert adapted == [told]


@pytest.mark.parametrize(
    ("phone", "expected"),
    [("02 62 12 34 56", "+262262123456"), ("05.96.12.34.56", "+596596123456"), ("", None)],
    ids=["Réunion", "Martinique", "none"],
)
def test_phone_numbers_are_international(phone: str, expected: str | None) -> None:
    """Overseas départements have country codes of their own."""
    assert the_site(telephone=phone) == (the_site(telephone=phone)[0], [])
    assert the_site(telephone=phone)[0].phone == expected


REFUSED = {
    "no number": ({"id_fs": ""}, "id_fs", "champ vide"),
    "no name": ({"lib_fs": " "}, "lib_fs", "champ vide"),
    "unknown commune": ({"insee_com": "80999"}, "insee_com", "aucune commune n’a le code INSEE « 80999 »"),
    "no date": (
        {"labellisation_fs": "Espace labellisé"},
        "labellisation_fs",
        "attendu : « Espace labellisé JJ/MM/AAAA »",
    ),
    "no such day": (
        {"labellisation_fs": "Espace labellisé 31/02/2020"},
        "labellisation_fs",
        "attendu : « Espace labellisé JJ/MM/AAAA »",
    ),
}


@pytest.mark.parametrize(("cells", "field", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_put_right_is_refused_alone(cells: dict[str, str], field: str, reason: str) -> None:
    """With the line of the file; the row behind it is taken."""
    found = reading({"id_fs": "1"}, cells, {"id_fs": "3"})
    assert [site.id for site in found.sites] == ["1", "3"]
    (refused,) = found.refused
    assert (refused.line, refused.field, refused.reason) == (3, field, reason)


def test_a_number_that_comes_twice_is_refused_the_second_time() -> None:
    """Which of the two is right nobody can tell; the first is kept."""
    found = reading({}, {"adresse": "1 Rue Neuve"})
    assert [site.address for site in found.sites] == ["Place de la République"]
    assert [each.reason for each in found.refused] == ["ce numéro est déjà celui d’une ligne précédente"]


def test_another_file_is_not_taken_for_the_list() -> None:
    """The columns that are missing are named."""
    with pytest.raises(NotTheList, match=r"^il y manque les colonnes adresse, code_postal, h_jeudi"):
        read(["id_fs;nom\n", "1;Roye\n"])
    with pytest.raises(NotTheList, match="séparateur attendu : virgule ou point-virgule"):
        read(["\t".join(ROYE)])


def test_a_spreadsheets_semicolons_separate_as_commas_do() -> None:
    """A decimal comma in a cell is none of them."""
    file = io.StringIO()
    writer = csv.DictWriter(file, list(ROYE), delimiter=";")
    writer.writeheader()
    writer.writerow(ROYE | {"latitude": "49,698691", "adresse": "1, Place; de la République"})
    found = read(io.StringIO(file.getvalue()))
    assert (found.adapted, found.refused) == ([], [])
    assert found.sites == [the_site(adresse="1, Place; de la République")[0]]


@pytest.mark.skipif(not THE_LIST.exists(), reason="the official list lies beside the project, not in it")
def test_the_whole_list_of_august_2024_is_read() -> None:
    """2,845 sites, of which 102 rows with something to put right; none refused."""
    with THE_LIST.open(encoding="utf-8", newline="") as lines:
        found = read(lines)
    assert (len(found.sites), len({each.line for each in found.adapted}), found.refused) == (2845, 102, [])
    # A bus of the Eure that is kept in Rouen.
    elsewhere = [(each.site, each.reason) for each in found.adapted if each.field == "insee_dep"]
    assert elsewhere == [("1820", "27 n’est pas le département de 76540 : 76")]
    assert {site.id: (site.name, site.commune) for site in found.sites if site.id in {"982", "983"}} == {
        "982": ("France services La Poste de Roye", "80685"),
        "983": ("France services Avre Luce Noye", "80570"),
    }
