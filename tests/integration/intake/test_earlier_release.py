"""What the earlier release wrote of cases is brought up to the present: how long they are kept, what was told."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from alembic import command
from sqlalchemy import text

from services.chassis.database import Database
from services.chassis.migrate import config_of, migrate
from services.intake import indexing, retention
from services.intake.tables import cases, visits
from tests.support.counter import SITE, Counter, somebody

# As the earlier release writes them.
_KEY = "INSERT INTO vault_keys (owner, wrapped) VALUES (:case, :wrapped)"
_CASE = """INSERT INTO cases (id, site, reference_index, reference_sealed, identity_index, identity_sealed, opened_at)
    VALUES (:case, 'fs-moreuil', :index, :reference, 'i', :identity, :at)"""
_VISIT = """INSERT INTO visits
    (site, visit_id, fingerprint, case_id, possible_matches, occurred_at, recorded_at, facts, free_text_sealed)
    VALUES ('fs-moreuil', :visit, 'f', :case, 0, :at, now(), '{}', :texts)"""
OPENED = datetime(2026, 1, 10, 9, 0, tzinfo=UTC)


@pytest.fixture
def counter(databases: Callable[[], dict[str, str]], tmp_path: Path) -> Iterator[Counter]:
    """Lend a counter on a database of the earlier release."""
    database = Database(databases()["intake"], "test")
    with database.begin() as connection:
        config = config_of("intake")
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
    yield Counter(database, tmp_path)
    database.close()


def met(counter: Counter, *days: datetime, **texts: str) -> UUID:
    """A case with a visit for each of these moments, at the last of which something was written."""
    case = uuid4()
    key, wrapped = counter.app.vault.new_key(case)
    identity = json.dumps({**somebody(), "phone": None, "email": None})
    values = {"case": case, "wrapped": wrapped, "index": case.bytes, "at": OPENED}
    values |= {"reference": key.seal("reference", "K7M2-Q4XD-AAAA"), "identity": key.seal("identity", identity)}
    with counter.app.database.begin() as connection:
        connection.execute(text(_KEY), values)
        connection.execute(text(_CASE), values)
        for at in days:
            visit = uuid4()
            written = key.seal(f"visit/{SITE}/{visit}", json.dumps(texts)) if texts and at == days[-1] else None
            connection.execute(text(_VISIT), {"case": case, "visit": visit, "at": at, "texts": written})
    return case


def test_a_case_is_kept_from_its_last_visit_on(counter: Counter) -> None:
    """By the day in Paris, whatever the visits' order; where nobody came, from the day it was opened.

    Until that is written down, from the day of the upgrade: nothing goes early.
    """
    came = met(counter, datetime(2023, 6, 30, 22, 30, tzinfo=UTC), datetime(2023, 5, 1, 9, 0, tzinfo=UTC))
    never = met(counter)
    migrate(counter.app.database, "intake")
    counter.clock.at = datetime.now(UTC)
    assert retention.due(counter.app)["cases"] == {}
    assert indexing.index_older_cases(counter.app) == 2
    kept = {row.id: row.last_contact_on for row in counter.rows(cases)}
    assert kept == {came: date(2023, 7, 1), never: OPENED.date()}
    assert retention.due(counter.app)["cases"]["2023-07"] == 1


def test_a_story_of_an_earlier_release_is_known_as_one(counter: Counter) -> None:
    """So that the next is told again; after a note alone it is the first. What cannot be opened stops nothing."""
    told, noted, altered = (met(counter, OPENED, **{kind: "dit"}) for kind in ("story", "needs/0/note", "story"))
    migrate(counter.app.database, "intake")
    with counter.app.work() as work:
        work.execute(text("UPDATE visits SET free_text_sealed = 'x' WHERE case_id = :case"), {"case": altered})
    assert [indexing.index_older_cases(counter.app, batch=2), indexing.index_older_cases(counter.app)] == [3, 0]
    assert {row.case_id: row.story for row in counter.rows(visits)} == {told: True, noted: False, altered: False}
    for case, again in ((told, True), (noted, False)):
        counter.record(case=str(case), story="dit encore")
        assert counter.told("VisitRecorded")[-1].data["retold"] is again
