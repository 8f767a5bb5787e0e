"""What the earlier release wrote is still there, and a referral toward a site has its place beside it."""

from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest
from alembic import command
from sqlalchemy import exc, select, text

from services.chassis.database import Database
from services.chassis.migrate import config_of, migrate
from services.referral.tables import referrals

_COLUMNS = (
    "site, need, partner, category, department, fallbacks, reason, state, step, opened_at, changed_at"
    ") VALUES ({}, 'fs-roye', 'logement', 'p', 'local', '80', '[]', 'r', 'sent', 1, now(), now())"
)
# As the earlier release writes it, and may go on writing it beside the new one.
OF_A_VISIT = "INSERT INTO referrals (id, orientation_id, proposal, visit_id, case_id, " + _COLUMNS.format(
    ":id, :id, 0, :id, :id"
)
TOWARD_A_SITE = "INSERT INTO referrals (id, sender, fingerprint, " + _COLUMNS.format(":id, 'siavic', ''")


@pytest.fixture
def database(databases: Callable[[], dict[str, str]]) -> Iterator[Database]:
    """Make a database of the earlier release with one referral in it."""
    made = Database(databases()["referral"], "test")
    with made.begin() as connection:
        config = config_of("referral")
        config.attributes["connection"] = connection
        command.upgrade(config, "0002")
        connection.execute(text(OF_A_VISIT), {"id": uuid4()})
    yield made
    made.close()


def test_both_kinds_stand_side_by_side(database: Database) -> None:
    """What there was is kept, what an earlier replica still writes is taken, and so is a referral without a visit."""
    migrate(database, "referral")
    with database.begin() as connection:
        connection.execute(text(OF_A_VISIT), {"id": uuid4()})
        connection.execute(text(TOWARD_A_SITE), {"id": uuid4()})
        found = connection.execute(select(referrals.c.sender, referrals.c.case_id).order_by(referrals.c.change))
        assert [(row.sender, row.case_id is None) for row in found] == [(None, False), (None, False), ("siavic", True)]


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(OF_A_VISIT.replace("0, :id, :id", "0, :id, NULL"), id="of a visit, no case"),
        pytest.param(TOWARD_A_SITE.replace("''", "NULL"), id="of a sender, no fingerprint"),
    ],
)
def test_what_each_kind_must_say_stays_required(database: Database, wrong: str) -> None:
    """A visit's referral without its case, or a partner's without its fingerprint, is refused by the database."""
    migrate(database, "referral")
    with pytest.raises(exc.IntegrityError, match="from_a_visit_or_a_sender"), database.begin() as connection:
        connection.execute(text(wrong), {"id": uuid4()})
