"""Needs and publics in the words of data·inclusion."""

from data_inclusion.schema.v1 import Categorie, Thematique
from data_inclusion.schema.v1 import Public as TheirPublic

from services.contracts.codes import Need, Public
from services.orientation.directory.thematiques import BETWEEN, EVERYBODY, publics_of, words


def test_every_need_and_public_has_a_line() -> None:
    """Only `autre` is not narrowed: nothing says what it is."""
    assert set(words().needs) == set(Need)
    assert set(words().publics) == set(Public)
    assert [need for need, wanted in words().needs.items() if not wanted] == [Need.AUTRE]
    assert all(words().publics.values())


def test_every_word_is_one_of_the_schema() -> None:
    """A thématique, or a whole category of them; a public."""
    known = {each.value for each in (*Thematique, *Categorie)}
    assert {word for wanted in words().needs.values() for word in wanted} <= known
    publics = {each.value for each in TheirPublic}
    assert {word for wanted in words().publics.values() for word in wanted} <= publics
    assert EVERYBODY in publics


def test_a_category_is_what_stands_before_the_dashes() -> None:
    """As the directory files a thématique under it."""
    assert {each.value.partition(BETWEEN)[0] for each in Thematique} == {each.value for each in Categorie}


def test_a_service_for_anyone_suits_every_public() -> None:
    """`tous-publics` is among the words of each."""
    assert all(EVERYBODY in publics_of(public) for public in Public)
