"""Rows of data·inclusion v1: taken as they are, or refused with a field and a reason in French."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from data_inclusion.schema.v1 import Service, Structure
from hypothesis import given
from hypothesis import strategies as st

from services.orientation.directory import row_files
from services.orientation.directory.data_inclusion import (
    CODES,
    FIELDS,
    MANY,
    MODELS,
    Kind,
    Problem,
    as_csv,
    as_json,
    entry,
    id_of,
    kind_of,
)
from services.orientation.directory.row_files import Unreadable
from tests.support.offers import service, structure

PAGE = Path(__file__).parents[4] / "docs" / "directory.md"


def refusals(kind: Kind, row: object) -> list[Problem]:
    """Why a row is refused; fails if it is not."""
    found = entry(kind, row)
    assert isinstance(found, list), found
    return found


def taken(kind: Kind, row: object) -> dict[str, Any]:
    """What the directory keeps of a row; fails if it is refused."""
    found = entry(kind, row)
    assert isinstance(found, dict), found
    return found


@pytest.mark.parametrize(
    ("row", "field", "words"),
    [
        (service(nom=None), "nom", "champ obligatoire"),
        (service(nom=""), "nom", "champ obligatoire"),
        (service(nom="ab"), "nom", "au moins 3 caractères"),
        (service(nom="a" * 151), "nom", "au plus 150 caractères"),
        (service(nom=12), "nom", "un texte est attendu"),
        (service(nom="Ate\0lier"), "nom", "caractère interdit (NUL)"),
        (service(nom="Ate\ud800lier"), "nom", "caractères illisibles"),
        (service(id="x" * 501), "id", "au plus 500 caractères"),
        (service(date_maj="31/12/2025"), "date_maj", "une date est attendue (AAAA-MM-JJ)"),
        (service(date_maj="2999-01-01"), "date_maj", "futur"),
        (service(thematiques=["jardinage"]), "thematiques", "valeur inconnue « jardinage »"),
        (service(thematiques="jardinage"), "thematiques", "une liste est attendue"),
        (service(publics=["tous-publics", "femmes"]), "publics", "tous-publics"),
        (service(zone_eligibilite=["la Somme"]), "zone_eligibilite", "code de commune"),
        (service(code_insee="80999"), "code_insee", "aucune commune"),
        (service(code_insee="8068"), "code_insee", "cinq caractères"),
        (service(latitude=149.0), "latitude", "hors des limites"),
        (service(latitude="NaN"), "latitude", "un nombre est attendu"),
        (service(longitude="est"), "longitude", "un nombre est attendu"),
        (service(volume_horaire_hebdomadaire=float("inf")), "volume_horaire_hebdomadaire", "un nombre est attendu"),
        (service(nombre_semaines=0), "nombre_semaines", "au moins 1"),
        (service(lien_mobilisation="rdv"), "lien_mobilisation", "une adresse web"),
        (service(courriel="chez moi"), "courriel", "adresse électronique"),
        (Unreadable("pas du JSON valable"), "ligne", "pas du JSON"),
        (["nom"], "ligne", "un objet est attendu"),
        (None, "ligne", "un objet est attendu"),
    ],
)
def test_a_wrong_row_is_refused_by_field_and_reason(row: object, field: str, words: str) -> None:
    """One problem, in the field that is wrong, in French."""
    (problem,) = refusals("services", row)
    assert problem.field == field
    assert words in problem.reason


@pytest.mark.parametrize(
    ("field", "sent", "ending"),
    [
        ("frais", "gratui", "« gratui » ; valeurs possibles : gratuit, payant"),
        ("modes_accueil", ["Chez Zoé"], "valeur inconnue ; valeurs possibles : a-distance, en-presentiel"),
        ("thematiques", ["numerique--acquerir-equipement"], " ; les plus proches : numerique--acquerir-un-equipement"),
        ("thematiques", ["Chez Zoé"], "valeur inconnue"),
    ],
)
def test_an_unknown_code_is_told_with_those_that_exist(field: str, sent: object, ending: str) -> None:
    """All of a short list; of a long one the nearest."""
    (problem,) = refusals("services", service() | {field: sent})
    assert problem.reason.endswith(ending)


def test_a_category_alone_is_told_with_its_thematiques() -> None:
    """All of them and no other's; a word that is near nothing, with the categories."""
    (problem,) = refusals("services", service(thematiques=["logement-hebergement"]))
    every = {str(each.value) for each in CODES["thematiques"]}
    of_category = {each for each in every if each.startswith("logement-hebergement--")}
    assert set(problem.reason.partition(" ; les plus proches : ")[2].split(", ")) == of_category
    (problem,) = refusals("services", service(thematiques=["jardinage"]))
    categories = {each.partition("--")[0] for each in every}
    assert set(problem.reason.partition(" ; catégories : ")[2].split(", ")) == categories
    (problem,) = refusals("structures", structure(reseaux_porteurs=["zzz"]))
    assert problem.reason == "valeur inconnue « zzz »"


@pytest.mark.parametrize("kind", FIELDS)
def test_every_list_of_codes_is_known(kind: Kind) -> None:
    """A field of which the schema tells codes is one whose codes a reason can tell."""
    row = (structure() if kind == "structures" else service()) | {name: ["x"] for name in CODES}
    schema = MODELS[kind].model_json_schema()
    with_codes = {name for name, field in schema["properties"].items() if '"$ref"' in json.dumps(field)}
    assert {each.field for each in refusals(kind, row)} == with_codes == CODES.keys() & set(FIELDS[kind])


def test_the_guide_names_what_a_list_needs() -> None:
    """Every required field, every code of a short list, how many a long one has."""
    page = PAGE.read_text(encoding="utf-8")
    of = {
        name: (where, values)
        for name, where, values in re.findall(r"^\| `(\w+)` \| ([^|]+) \| ([^|]+) \|$", page, re.MULTILINE)
    }
    required = {kind: {name for name, f in MODELS[kind].model_fields.items() if f.is_required()} for kind in MODELS}
    assert {name for name, (where, _) in of.items() if where == "both"} == required["structures"]
    assert of.keys() == required["structures"] | required["services"]
    cells = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \|$", page, re.MULTILINE))
    for name, codes in CODES.items():
        values = {str(each.value) for each in codes}
        if len(values) > MANY:
            assert f"the {len(values)} in" in cells[name]
        else:
            assert set(re.findall(r"`([^`]+)`", cells[name])) == values


def test_every_wrong_field_is_told_once() -> None:
    """Also one with several wrong values, each of which the schema tells in five ways."""
    row = service(nom=None, zone_eligibilite=["la Somme", "Oi" * 5], thematiques=["x", "y"], date_maj="hier")
    assert sorted(each.field for each in refusals("services", row)) == [
        "date_maj", "nom", "thematiques", "zone_eligibilite",
    ]  # fmt: skip


def test_contact_data_is_not_quoted() -> None:
    """A reason goes to a terminal and to a log: no address, number or name that was sent stands in it."""
    row = service(
        courriel="zoe.exemple@", telephone=["+33199001234"], contact_nom_prenom=["Zoé Exemple"], publics=["Zoé Exemple"]
    )
    told = str(refusals("services", row))
    assert "courriel" in told
    assert not any(word in told for word in ("zoe", "Zoé", "Exemple", "99001234"))


def test_what_the_schema_does_not_know_is_left_out() -> None:
    """The published files have a score of quality, of which Relais keeps nothing."""
    assert "score" not in taken("services", service(score_qualite=0.4))["document"]


def test_the_same_content_is_the_same_document() -> None:
    """Whatever the order of fields and of sets, whether a field is empty or absent, told by JSON or by CSV."""
    row = service()
    same = {name: row[name] for name in reversed(row)} | {"thematiques": row["thematiques"][::-1], "adresse": ""}
    cells = {name: str(value) for name, value in row.items()} | {"nombre_semaines": "3.0"}
    as_json_cells = cells | {"publics": json.dumps(row["publics"])}
    epoch = row | {"date_maj": 1759363200000}  # as pandas writes 2025-10-02 in JSON
    documents = {taken("services", each)["document"] for each in (row, same, cells, as_json_cells, epoch)}
    assert len(documents) == 1


def test_what_is_searched_is_told_by_the_codes_of_today() -> None:
    """A merged commune of the zone is the commune it is part of; a thématique is of its category, too."""
    found = taken("services", service(zone_eligibilite=["75101", "2A", "france"], latitude=None, modes_accueil=None))
    assert found["zones"] == ["2A", "75056", "france"]
    assert {"numerique", "numerique--acquerir-un-equipement", "trouver-un-emploi"} <= set(found["thematiques"])
    assert found["remote"] is False
    assert 49.6 < found["latitude"] < 49.8  # the middle of its commune, since it says no place of its own


def test_a_service_at_a_distance_without_a_zone_is_for_the_whole_country() -> None:
    """One that is also offered at a counter is not at a distance only, and without a zone it is for whoever is near."""
    far = taken("services", service(modes_accueil=["a-distance"], zone_eligibilite=None))
    both = taken("services", service(modes_accueil=["a-distance", "en-presentiel"], zone_eligibilite=None))
    assert (far["remote"], far["zones"]) == (True, ["99100", "france"])
    assert (both["remote"], both["zones"]) == (False, [])


def test_the_fields_tell_what_rows_are() -> None:
    """A field that only services have, in any of the rows; nothing else is data·inclusion's."""
    assert kind_of([structure()]) == "structures"
    assert kind_of([None, service(structure_id=None)]) == "services"
    assert kind_of([{"id_fs": "1", "adresse": "Rue Vide"}]) is None
    assert kind_of(["id", Unreadable("")]) is None


@pytest.mark.parametrize("kind", FIELDS)
def test_what_is_written_is_read_again_as_it_was(kind: Kind) -> None:
    """As JSON and as CSV, and the schema's own library takes it."""
    rows = [structure(1), structure(2, telephone=None)] if kind == "structures" else [service(1), service(2)]
    documents = [taken(kind, row)["document"] for row in rows]
    told = json.loads("".join(as_json(documents)))
    assert [taken(kind, row)["document"] for row in told] == documents
    model = Structure if kind == "structures" else Service
    assert [model.model_validate(row).id for row in told] == [row["id"] for row in rows]
    assert json.loads("".join(as_json([]))) == []
    assert "".join(as_csv(kind, [])).strip() == ",".join(FIELDS[kind])


@pytest.mark.parametrize("text", ["a\rb", "a\r\nb\nc", 'a "b", c; d', "=1+1", "'a'", "[a]"])
def test_our_csv_is_read_as_it_was_written(tmp_path: Path, text: str) -> None:
    """Line ends of any system, quotes and separators inside a cell come back as they were."""
    row = taken("structures", structure() | {"adresse": text})
    file = tmp_path / "structures.csv"
    file.write_text("".join(as_csv("structures", [row["document"]])), encoding="utf-8", newline="")
    (again,) = row_files.read(file)
    assert taken("structures", again.value) == row


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.dates().map(str),
    lambda each: st.lists(each, max_size=3) | st.dictionaries(st.text(max_size=5), each, max_size=3),
    max_leaves=5,
)


def _spoilt(kind: Kind) -> st.SearchStrategy[dict[str, Any]]:
    """A row that is right but for some fields, of which any may be anything, or nothing."""
    right = structure() if kind == "structures" else service()
    changes = st.dictionaries(st.sampled_from(FIELDS[kind]) | st.text(max_size=10), _VALUES, max_size=4)
    return changes.map(lambda change: right | change)


@pytest.mark.parametrize("kind", FIELDS)
@given(data=st.data())
def test_any_row_is_taken_or_refused_by_name(kind: Kind, data: st.DataObject) -> None:
    """Never a crash, whatever is sent; what is taken, PostgreSQL takes, and is the same when it is read again."""
    row = data.draw(_spoilt(kind) | st.dictionaries(st.text(max_size=10), _VALUES, max_size=5) | _VALUES)
    found = entry(kind, row)
    if isinstance(found, list):
        assert found
        assert all(each.field in (*FIELDS[kind], "ligne") and each.reason for each in found)
        assert id_of(row) is None or isinstance(id_of(row), str)
    else:
        document = found["document"]
        document.encode()
        again = json.loads(document, parse_constant=pytest.fail)
        assert taken(kind, again) == found
