"""Search in the service directory: by need, by public, by commune and its surroundings."""

import base64
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import pytest
from pydantic import ValidationError

from services.chassis.database import Database
from services.chassis.errors import Rejected
from services.chassis.migrate import migrate
from services.contracts.codes import Need
from services.orientation.directory import importing
from services.orientation.forms import FoundService, ServicesPage, ServicesQuery
from services.orientation.queries import list_services
from tests.support.offers import Row, as_list, service, structure

MOREUIL, ROYE, OTHER_ROYE, AMIENS = "80570", "80685", "70455", "80021"
# Without a place of its own, and without a zone: found by what the test gives it.
BARE: Row = {"latitude": None, "longitude": None, "zone_eligibilite": None, "code_insee": None}
Offer = Callable[..., None]


@pytest.fixture
def database(databases: Callable[[], dict[str, str]]) -> Iterator[Database]:
    """Orientation's own, migrated."""
    found = Database(databases()["orientation"], "test")
    migrate(found, "orientation")
    yield found
    found.close()


@pytest.fixture
def offer(database: Database, tmp_path: Path) -> Offer:
    """Return what makes these services, and these structures or one at Roye (Somme), the directory."""

    def take(*of_services: Row, structures: list[Row] | None = None) -> None:
        files = [
            as_list(tmp_path / "structures.json", structures or [structure()]),
            as_list(tmp_path / "services.json", of_services),
        ]
        with database.begin() as connection:
            report = importing.take_over(connection, files, date(2025, 10, 1))
        assert report.refused == []

    return take


def search(database: Database, **query: object) -> ServicesPage:
    """Ask as over HTTP, where everything is a text."""
    with database.begin() as connection:
        return list_services(ServicesQuery.model_validate({k: str(v) for k, v in query.items()}), connection)


def names(database: Database, **query: object) -> list[str]:
    """The names of what is found, in order."""
    return [each.name for each in search(database, **query).services]


def test_a_need_is_said_in_thematiques(database: Database, offer: Offer) -> None:
    """Its own or those of a whole category; `autre` finds whatever there is."""
    offer(
        service(1, nom="Emploi", thematiques=["preparer-sa-candidature--valoriser-ses-competences"]),
        service(2, nom="Dettes", thematiques=["difficultes-financieres--situation-dendettement-surendettement"]),
        service(3, nom="Sans thème", thematiques=None),
    )
    assert names(database, need="chercher-un-emploi") == ["Emploi"]
    assert names(database, need="endettement") == ["Dettes"]
    assert names(database, need="attendre-un-enfant") == []
    assert names(database, need="autre") == names(database) == ["Dettes", "Emploi", "Sans thème"]


def test_a_public_finds_its_own_and_what_is_for_anyone(database: Database, offer: Offer) -> None:
    """What says no public at all is not claimed to be for this one."""
    offer(
        service(1, nom="Jeunes", publics=["jeunes", "femmes"]),
        service(2, nom="Tous"),
        service(3, nom="Actifs", publics=["actifs"]),
        service(4, nom="Non dit", publics=None),
    )
    assert names(database, public="neet") == ["Jeunes", "Tous"]
    assert names(database, public="rsa") == ["Tous"]


@pytest.mark.parametrize(
    ("zone", "found"),
    [
        (MOREUIL, True),
        ("200070969", True),  # the communauté de communes Avre Luce Noye
        ("80", True),
        ("france", True),
        ("99100", True),
        (ROYE, False),
        ("200070977", False),  # Grand Roye
        ("60", False),
        (OTHER_ROYE, False),
    ],
)
def test_a_zone_covers_a_commune_by_its_code(database: Database, offer: Offer, zone: str, found: bool) -> None:  # noqa: FBT001
    """The commune's, its EPCI's, its département's, the country's; a service elsewhere that covers it is found."""
    offer(service(1, **BARE | {"zone_eligibilite": [OTHER_ROYE, zone], "code_insee": OTHER_ROYE}))
    assert names(database, commune=MOREUIL) == (["Service 1"] if found else [])


def test_a_commune_of_before_is_the_one_of_today(database: Database, offer: Offer) -> None:
    """In the question and in the zone: the first arrondissement of Paris is Paris."""
    offer(service(1, **BARE | {"zone_eligibilite": ["75101"], "modes_accueil": ["a-distance"]}))
    assert names(database, commune="75056") == names(database, commune="75120") == ["Service 1"]


def test_two_towns_of_one_name_do_not_see_each_other(database: Database, offer: Offer) -> None:
    """Roye in the Somme and Roye in Haute-Saône, by code: neither by zone nor by surroundings."""
    offer(
        service(1, nom="Somme", zone_eligibilite=[ROYE]),
        service(2, nom="Haute-Saône", zone_eligibilite=[OTHER_ROYE], **_at(OTHER_ROYE, None, None)),
        service(3, nom="Près de l’une", **BARE | {"code_insee": ROYE}),
        service(4, nom="Près de l’autre", **BARE | {"code_insee": OTHER_ROYE}),
    )
    assert set(names(database, commune=ROYE, within_km=100)) == {"Somme", "Près de l’une"}
    assert set(names(database, commune=OTHER_ROYE, within_km=100)) == {"Haute-Saône", "Près de l’autre"}


def _at(commune: str | None, latitude: float | None, longitude: float | None) -> Row:
    return {"code_insee": commune, "latitude": latitude, "longitude": longitude}


def test_the_surroundings_are_a_circle_around_the_commune(database: Database, offer: Offer) -> None:
    """Roye is 24 km from Moreuil: not within 20, within 25; the corner of the box around the circle is not in it."""
    offer(
        service(1, nom="Roye", **BARE | {"code_insee": ROYE}),
        service(2, nom="Coin", **BARE | {"latitude": 49.776 + 0.2, "longitude": 2.484 + 0.31}),
    )
    assert names(database, commune=MOREUIL) == []
    assert names(database, commune=MOREUIL, within_km=25) == ["Roye"]
    (found,) = search(database, commune=MOREUIL, within_km=25).services
    assert found.distance_km == pytest.approx(23.7, abs=0.5)
    assert names(database, commune=ROYE, within_km=0) == ["Roye"]
    assert names(database, commune=MOREUIL, within_km=40) == ["Roye", "Coin"]


def test_the_nearest_come_first_and_what_is_at_a_distance_last(database: Database, offer: Offer) -> None:
    """Then by name, as French is ordered; what has no place is found by its structure's."""
    offer(
        service(1, nom="À distance", modes_accueil=["a-distance"]),
        service(2, nom="Zèle à Roye"),
        service(3, nom="École à Roye"),
        service(4, nom="Amiens", **_at(AMIENS, None, None)),
        service(5, nom="Chez la structure", **_at(None, None, None)),
    )
    found = search(database, commune=MOREUIL)
    assert [each.name for each in found.services] == [
        "Amiens", "Chez la structure", "École à Roye", "Zèle à Roye", "À distance",
    ]  # fmt: skip
    distances = [each.distance_km for each in found.services]
    assert distances[-1] is None
    assert found.services[-1].remote
    assert all(each is not None and 15 < each < 30 for each in distances[:-1])


def test_pages_follow_each_other_and_end(database: Database, offer: Offer) -> None:
    """Each service once, in one order; the last page says that it is."""
    offer(*(service(number, nom=f"Nom {number % 3}", id=f"dora--{number:03}") for number in range(25)))
    whole = search(database, commune=MOREUIL, limit=100)
    assert (len(whole.services), whole.next) == (25, None)
    pages, after = list[FoundService](), ""
    for _ in range(5):
        page = search(database, commune=MOREUIL, limit=5, **({"after": after} if after else {}))
        pages += page.services
        after = page.next or ""
    assert (pages, after) == (whole.services, "")


def test_a_service_tells_how_to_get_there(database: Database, offer: Offer) -> None:
    """What it does not say itself is its structure's, as the schema has it."""
    offer(
        service(1, courriel="service@example.org", mobilisable_par=["usagers"], modes_mobilisation=["telephoner"]),
        structures=[structure(horaires_accueil="Mo-Fr 09:00-12:00", lien_source="https://example.org/s/1")],
    )
    (found,) = search(database, commune=MOREUIL).services
    assert found.structure.model_dump() == {
        "id": "dora--s1",
        "name": "Association 1",
        "link": "https://example.org/s/1",
    }
    assert (found.phone, found.email) == ("+33199001234", "service@example.org")
    assert found.opening_hours == "Mo-Fr 09:00-12:00"
    assert found.reach.model_dump() == {
        "by": ["usagers"], "how": ["telephoner"], "link": "https://example.org/rdv?de=roye", "details": None,
    }  # fmt: skip
    assert (found.source, found.updated, found.commune) == ("dora", date(2025, 10, 2), ROYE)


def test_what_is_gone_is_not_found(database: Database, offer: Offer) -> None:
    """Neither a service that its source has no more, nor one whose structure it has no more."""
    offer(service(1), service(2, structure_id="dora--s2"), structures=[structure(1), structure(2)])
    offer(service(1), structures=[structure(1)])
    assert names(database) == ["Service 1"]
    offer(service(3))
    assert names(database) == ["Service 3"]


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ({"commune": "80999"}, "/commune"),
        ({"after": "n’importe quoi"}, "/after"),
        ({"after": "eyJtZXRyZXMiOiAtMX0"}, "/after"),
        ({"after": base64.urlsafe_b64encode(b'{"metres":1,"sort_name":"\\u0000","id":""}').decode()}, "/after"),
    ],
)
def test_a_wrong_question_is_refused_by_name(database: Database, query: dict[str, str], pointer: str) -> None:
    """Without what was sent."""
    with pytest.raises(Rejected) as caught:
        search(database, **query)
    (error,) = caught.value.errors
    assert error["pointer"] == pointer
    assert query[pointer[1:]] not in error["detail"]


@pytest.mark.parametrize(
    "query",
    [{"need": "x"}, {"public": "x"}, {"commune": "Roye"}, {"within_km": "101"}, {"within_km": "nan"}, {"limit": "0"}],
)
def test_a_question_of_another_shape_is_none(query: dict[str, str]) -> None:
    """Codes, a distance from 0 to 100 km, a page from 1 to 100."""
    with pytest.raises(ValidationError):
        ServicesQuery.model_validate(query)


def test_every_need_can_be_asked_for(database: Database, offer: Offer) -> None:
    """And an empty directory answers, too."""
    offer(service(1))
    for need in Need:
        assert search(database, need=need.value, commune=MOREUIL).next is None
