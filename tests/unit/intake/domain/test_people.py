"""Who may be the same person, whatever the spelling."""

from datetime import date

import pytest

from services.intake.domain import people
from services.intake.domain.people import Person

BORN = date(1984, 5, 17)


def person(names: str, born: date = BORN) -> Person:
    """A person out of `family name / given name`."""
    family_name, _, given_name = names.partition(" / ")
    return people.person(family_name, given_name, born)


def alike(one: Person, other: Person) -> tuple[str, ...] | None:
    """The kind of likeness and its reasons, the same whoever is sought; None without one."""
    found, back = people.likeness(one, other), people.likeness(other, one)
    assert found == back
    return (found.kind, *found.why) if found else None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("L’Hermitte-Da Silva / Zoé", "LHERMITTE DA SILVA / zoe"),
        ("L'Hermitte / Zoé", "L`HERMITTE / ZOÉ"),
        ("Lefèvre / Amélie", "Lefe\u0300vre / Ame\u0301lie"),
        ("De La Tour / Jean-Pierre", "DELATOUR / Jean Pierre"),
        ("De La Tour / Jean", "La Tour / Jean"),
        ("De La Tour / Jean", "Tour / Jean"),
        ("de Souza / Ana", "Souza / Ana"),
        ("D’Angelo / Lucia", "Dangelo / Lucia"),
        ("von Berg / Eva", "VON-BERG / Eva"),
        ("Ben Salah / Mohamed", "Bensalah / Mohamed"),
        ("El Amrani / Fatima", "Amrani / Fatima"),
        ("Lebœuf / Lætitia", "LEBOEUF / Laetitia"),
        ("Strauß / Jürgen", "STRAUSS / Jurgen"),
        ("Søndergård / Bjørn", "Sondergard / Bjorn"),
        ("Y\u0131lmaz / İrem", "YILMAZ / IREM"),
        ("St-Pierre / Luc", "Saint Pierre / Luc"),
        ("Шевченко / Олена", "ШЕВЧЕНКО / олена"),
        ("Le / Du", "LE / DU"),
        ("? / 7", "? / 7"),
    ],
)
def test_one_person_has_many_spellings(one: str, other: str) -> None:
    """Accents, apostrophes, hyphens, ligatures, case and particles do not make another person."""
    assert alike(person(one), person(other)) == ("exact", "Mêmes nom, prénom et date de naissance.")


def test_swapped_fields_are_the_same_person() -> None:
    """A family name in the given name's field is found, and said."""
    why = ("exact", "Le nom et le prénom sont intervertis.")
    assert alike(person("De Souza / Ana"), person("ANA / Souza")) == why
    assert person("De Souza / Ana").names() == person("Ana / DESOUZA").names()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Lefèvre / Amélie", "Lefebvre / Amélie"),
        ("Durand / Paul", "Durant / Paul"),
        ("Durand / Paul", "Druand / Paul"),
        ("Durand / Paul", "Duran / Paul"),
        ("Da Silva / Paul", "Sliva / Paul"),
        ("Ba / Awa", "Bah / Awa"),
    ],
)
def test_one_typo_in_a_name_is_near(one: str, other: str) -> None:
    """A letter replaced, left out, put in, or two neighbours swapped, with the same birth date."""
    why = "Une lettre diffère ou deux sont interverties dans le {}."
    assert alike(person(one), person(other)) == ("near", why.format("nom"))
    turned = [" / ".join(reversed(names.split(" / "))) for names in (one, other)]
    if "Bah" not in other:
        assert alike(person(turned[0]), person(turned[1])) == ("near", why.format("prénom"))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Dupont-Morel / Anne", "Morel / Anne"),
        ("Dupont-Morel / Anne", "Morel-Dupont / Anne"),
        ("Le Goff Morel / Anne", "Goff / Anne"),
    ],
)
def test_a_part_of_a_double_name_may_be_missing(one: str, other: str) -> None:
    """A birth name without the married one, or the two the other way round."""
    why = "Une partie d’un nom composé manque ou a changé de place dans le nom."
    assert alike(person(one), person(other)) == ("near", why)


@pytest.mark.parametrize(
    ("other", "why"),
    [
        (date(1984, 5, 16), "Un chiffre de la date de naissance diffère."),
        (date(1994, 5, 17), "Un chiffre de la date de naissance diffère."),
        (date(1948, 5, 17), "Deux chiffres de la date de naissance sont intervertis."),
    ],
)
def test_a_slip_in_the_birth_date_is_near(other: date, why: str) -> None:
    """A wrong digit or two swapped, with the same names."""
    assert alike(person("Lefèvre / Amélie"), person("LEFEVRE / Amélie", other)) == ("near", why)
    assert alike(person("Lefèvre / Amélie"), person("Lefebvre / Amélie", other)) is None


def test_day_and_month_may_be_swapped() -> None:
    """As other countries write them."""
    one, other = person("Lefèvre / Amélie", date(1984, 5, 7)), person("Lefèvre / Amélie", date(1984, 7, 5))
    assert alike(one, other) == ("near", "Le jour et le mois de naissance sont intervertis.")


@pytest.mark.parametrize(
    ("other", "born"),
    [
        pytest.param("Lefèvre / Aurélie", BORN, id="twin"),
        pytest.param("Lefèvre / Camille", BORN, id="another twin"),
        pytest.param("Lefèvre / Amélie", date(1991, 12, 30), id="homonym"),
        pytest.param("Lefèvre / Amélie", date(1985, 6, 17), id="two digits"),
        pytest.param("Lefebvre / Ameli", BORN, id="two typos"),
        pytest.param("Lefebvres / Amélie", BORN, id="two typos in one name"),
        pytest.param("Morel / Amélie", BORN, id="same given name"),
    ],
)
def test_others_are_others(other: str, born: date) -> None:
    """Twins, homonyms, and whoever differs in two things."""
    assert alike(person("Lefèvre / Amélie"), person(other, born)) is None


def test_twins_with_short_names_stay_two() -> None:
    """One letter makes another name of three."""
    assert alike(person("Lefèvre / Léa"), person("Lefèvre / Léo")) is None


@pytest.mark.parametrize("other", ["Lefebvre / Amélie", "Lefèvre-Morel / Amélie", "Amélie / Lefèvre"])
def test_the_reasons_quote_nothing(other: str) -> None:
    """Neither spelling is in them."""
    found = people.likeness(person("Lefèvre / Amélie"), person(other))
    assert found is not None
    said = " ".join(found.why).casefold()
    assert not any(word in said for word in ("lef", "morel", "amélie"))
