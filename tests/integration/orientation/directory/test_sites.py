"""The official list in the database: what a list changes, and that the same list changes nothing."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date

import pytest
from data_inclusion.schema.v1 import Structure
from sqlalchemy import select

from services.chassis.database import Database
from services.chassis.migrate import migrate
from services.orientation.directory import Busy, OlderList
from services.orientation.directory.data_inclusion import structure
from services.orientation.directory.official_list import ListedSite
from services.orientation.directory.sites import Change, Taken, history, labelled, standing, standings, take_over
from services.orientation.tables import listed_sites, site_changes

JULY, AUGUST, OCTOBER = date(2024, 7, 1), date(2024, 8, 1), date(2024, 10, 1)
MORNINGS = ((("09:00", "12:00"),),) * 5 + ((),)
SITE = ListedSite(
    id="983",
    name="France services Avre Luce Noye",
    address="13 Rue Maurice Garin",
    complement=None,
    commune="80570",
    department="80",
    postcode="80110",
    town="Moreuil",
    latitude=49.771479,
    longitude=2.488779,
    emails=("moreuil@example.org",),
    phone="+33360122810",
    hours=MORNINGS,
    by_appointment=False,
    comment=None,
    branch=False,
    format="Fixe",
    group=None,
    labelled_on=date(2020, 9, 1),
)
SITES = [replace(SITE, id=str(number)) for number in range(100)]


@pytest.fixture
def database(databases: Callable[[], dict[str, str]]) -> Iterator[Database]:
    """Orientation's own, migrated."""
    found = Database(databases()["orientation"], "test")
    migrate(found, "orientation")
    yield found
    found.close()


def take(database: Database, sites: list[ListedSite], listed_on: date = AUGUST) -> Taken:
    """Take a list over in a transaction of its own."""
    with database.begin() as connection:
        return take_over(connection, sites, listed_on)


def rows(database: Database) -> list[object]:
    """Everything the directory holds."""
    with database.begin() as connection:
        return [*connection.execute(select(listed_sites).order_by("id")), *connection.execute(select(site_changes))]


def test_the_same_list_again_changes_nothing(database: Database) -> None:
    """Not a row, not a date."""
    assert take(database, SITES) == Taken(new=100, changed=0, gone=0, unchanged=0, changes=[])
    before = rows(database)
    assert take(database, SITES[::-1]) == Taken(new=0, changed=0, gone=0, unchanged=100, changes=[])
    assert rows(database) == before


def test_what_a_later_list_changes_is_kept_as_history(database: Database) -> None:
    """Hem's site moved after a fire: the address before it can still be told, with the date of the list that told."""
    take(database, SITES)
    moved = replace(SITES[7], address="2 Rue Neuve", hours=(MORNINGS[0], *MORNINGS[1:5], (("10:00", "12:00"),)))
    taken = take(database, [*SITES[:7], moved, *SITES[8:]], OCTOBER)
    assert (taken.new, taken.changed, taken.gone, taken.unchanged) == (0, 1, 0, 99)
    assert Change("7", "address", '"13 Rue Maurice Garin"', '"2 Rue Neuve"') in taken.changes
    assert {change.field for change in taken.changes} == {"address", "hours"}
    with database.begin() as connection:
        kept = connection.execute(select(site_changes).order_by("field")).all()
        assert dict(labelled(connection))[moved] == OCTOBER
    assert [(row.site, row.listed_on, row.field) for row in kept] == [
        ("7", OCTOBER, "address"),
        ("7", OCTOBER, "hours"),
    ]


def test_a_list_that_corrects_the_one_of_its_date_tells_both_as_one_change(database: Database) -> None:
    """Published twice on a day: the history has one change for that date, and none where the second undid the first."""
    take(database, SITES)
    wrong, right = (replace(SITES[7], address=address) for address in ("2 Rue Nueve", "2 Rue Neuve"))
    take(database, [wrong, *SITES[:7], *SITES[8:90]], OCTOBER)
    taken = take(database, [right, *SITES[:7], *SITES[8:]], OCTOBER)
    assert (taken.changed, taken.gone) == (11, 0)
    with database.begin() as connection:
        (row,) = connection.execute(select(site_changes))
    assert (row.site, row.field, row.before, row.after) == ("7", "address", '"13 Rue Maurice Garin"', '"2 Rue Neuve"')


def test_a_site_whose_row_is_refused_keeps_its_label(database: Database) -> None:
    """A slip in the list's row is no withdrawal: what was known of the site stays as it was."""
    take(database, SITES)
    with database.begin() as connection:
        taken = take_over(connection, SITES[1:90], OCTOBER, kept={"0"})
        listed = {site.id for site, _ in labelled(connection)}
    assert taken.gone == 10
    assert "0" in listed


def test_a_second_import_at_the_same_time_is_told_so(database: Database) -> None:
    """It waits for nobody and breaks nothing: whoever runs it tries again."""
    with database.begin() as first:
        take_over(first, SITES, AUGUST)
        with database.begin() as second, pytest.raises(Busy):
            take_over(second, SITES, AUGUST)
    assert take(database, SITES).unchanged == 100


def test_a_site_that_is_listed_no_more_lost_its_label_and_is_not_forgotten(database: Database) -> None:
    """It is told once; and should it come back, it has its label again."""
    take(database, SITES)
    taken = take(database, SITES[1:], OCTOBER)
    assert (taken.gone, taken.unchanged, taken.changes) == (1, 99, [Change("0", "label", "granted", "withdrawn")])
    assert take(database, SITES[1:], OCTOBER).gone == 0
    with database.begin() as connection:
        assert len(list(labelled(connection))) == 99
    back = take(database, SITES, date(2025, 1, 1))
    assert (back.new, back.changed, back.changes) == (0, 1, [Change("0", "label", "withdrawn", "granted")])
    with database.begin() as connection:
        assert len(list(labelled(connection))) == 100


def test_who_has_the_label_and_who_lost_it(database: Database) -> None:
    """Since the label's own date; since the first list without the site, which stays known as the last list had it."""
    take(database, SITES[:2])
    take(database, SITES[:1], OCTOBER)
    with database.begin() as connection:
        (there,), (lost,) = standings(connection), standings(connection, gone=True)
        assert standing(connection, "1") == lost
        assert standing(connection, "2") is None
    assert (there.site.id, there.label, there.since, there.listed_on) == ("0", "granted", SITE.labelled_on, OCTOBER)
    assert (lost.site.id, lost.label, lost.since, lost.listed_on) == ("1", "withdrawn", OCTOBER, AUGUST)


def test_sites_of_a_place(database: Database) -> None:
    """Of a département, overseas too, or of a commune of today by any code that became part of it."""
    places = {"80570": "80", "80685": "80", "97411": "974", "75056": "75"}
    take(database, [replace(SITE, id=code, commune=code, department=of) for code, of in places.items()])

    def found(**place: str) -> list[str]:
        with database.begin() as connection:
            return [each.site.id for each in standings(connection, **place)]  # type: ignore[arg-type]

    assert found() == ["75056", "80570", "80685", "97411"]
    assert found(department="80") == ["80570", "80685"]
    assert (found(department="974"), found(department="97")) == (["97411"], [])
    assert (found(commune="80685"), found(commune="75115")) == (["80685"], ["75056"])
    assert found(department="80", commune="97411") == []


def test_the_history_of_a_site_is_told_list_by_list(database: Database) -> None:
    """The oldest list first, its label before all else; only this site's, and only what changed."""
    take(database, SITES[:2])
    take(database, [replace(SITES[0], address="2 Rue Neuve"), SITES[1]], OCTOBER)
    gone, back = date(2024, 12, 1), date(2025, 1, 1)
    take(database, [replace(SITES[1], name="Autre")], gone)
    take(database, [replace(SITES[0], address="3 Rue Neuve", emails=())], back)
    with database.begin() as connection:
        told = history(connection, "0")
        assert history(connection, "2") == {}
    assert [(day, list(changes.items())) for day, changes in told.items()] == [
        (OCTOBER, [("address", ("13 Rue Maurice Garin", "2 Rue Neuve"))]),
        (gone, [("label", ("granted", "withdrawn"))]),
        (
            back,
            [
                ("label", ("withdrawn", "granted")),
                ("address", ("2 Rue Neuve", "3 Rue Neuve")),
                ("emails", (["moreuil@example.org"], [])),
            ],
        ),
    ]


def test_an_older_list_is_refused_and_changes_nothing(database: Database) -> None:
    """It would turn back what is known since."""
    take(database, SITES)
    before = rows(database)
    with pytest.raises(OlderList) as caught:
        take(database, SITES[:50], JULY)
    assert caught.value.newest == AUGUST
    assert rows(database) == before


def test_a_site_is_a_structure_as_data_inclusion_has_it(database: Database) -> None:
    """Its schema's own library takes what is exported, after a way through JSON; long names and all."""
    odd = replace(SITE, id="1", name="M" * 200 + ".", emails=(), phone=None, latitude=None, longitude=None)
    take(database, [SITE, odd])
    with database.begin() as connection:
        told = [structure(*each).model_dump(mode="json") for each in labelled(connection)]
    first, second = [Structure.model_validate(each) for each in json.loads(json.dumps(told))]
    assert (second.id, second.code_insee, second.date_maj) == ("france-services--983", "80570", AUGUST)
    assert second.horaires_accueil == "Mo-Fr 09:00-12:00"
    assert len(first.nom) == 150
