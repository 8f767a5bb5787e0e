"""What the first release wrote is still there."""

from collections.abc import Callable
from datetime import UTC, datetime
from uuid import uuid4

from alembic import command
from sqlalchemy import text

from services.chassis.database import Database
from services.chassis.migrate import config_of, migrate
from services.reporting import cases

NOON = datetime(2026, 11, 20, 11, 0, tzinfo=UTC)
FIRST_RELEASE = (
    (
        "INSERT INTO visits VALUES ('hem', :visit, :at, :day, 'live', 'desk', 'emploi', false, NULL, NULL, '59', NULL,"
        " '26-29', NULL, '{}')"
    ),
    "INSERT INTO needs VALUES ('hem', :visit, 0, 'logement', 'to-refer', NULL, NULL)",
    (
        "INSERT INTO proposals VALUES (gen_random_uuid(), 0, 'hem', :visit, :day, 'logement', 'housing', NULL, NULL,"
        " true, false, NULL)"
    ),
    "INSERT INTO referral_steps (referral_id, step, state, at, \"case\") VALUES (:referral, 3, 'accepted', :at, :case)",
    "INSERT INTO case_sites VALUES (:case, 'hem', :visit)",
    "INSERT INTO timeline VALUES (:case, :at, '1', 'visit', 'hem', '{}')",
    (
        "INSERT INTO timeline SELECT :case, :at, '2', 'orientation', 'hem',"
        " json_build_object('visit_id', CAST(:visit AS uuid))"
    ),
    (
        "INSERT INTO timeline SELECT :case, :at, '3', 'referral-accepted', NULL, json_build_object('from_state',"
        " 'received', 'referral_id', CAST(:referral AS uuid), 'appointment_day', '2026-12-01')"
    ),
)


def test_a_timeline_written_by_the_first_release_is_kept(databases: Callable[[], dict[str, str]]) -> None:
    """What it kept in tables of their own is found in the facts after the migration: who knows the case, when, what."""
    database = Database(databases()["reporting"], "test")
    case, referral_id, visit_id = uuid4(), uuid4(), uuid4()
    same = {"case": case, "referral": referral_id, "visit": visit_id, "at": NOON, "day": NOON.date()}
    with database.begin() as connection:
        config = config_of("reporting")
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        for statement in FIRST_RELEASE:
            connection.execute(text(statement), same)
    migrate(database, "reporting")
    with database.begin() as connection:
        told = cases.case_timeline(connection, case, "hem", {})
        apart = connection.execute(text("SELECT max(written_on) < CURRENT_DATE FROM visits")).scalar()
    assert apart, "in the index new visits are not among those of before"
    assert [entry.kind for entry in told.timeline] == ["visit", "orientation", "referral-accepted"]
    assert told.timeline[0].codes["needs"] == [{"code": "logement", "outcome": "to-refer"}]
    assert told.timeline[1].codes["proposals"][0]["rule"] == "housing"
    assert told.timeline[2].codes["from_state"] == "received"
    assert told.timeline[2].codes["appointment_day"] == "2026-12-01"
    database.close()
