"""The keyed indexes by which a person is found again: coarse, so that a stolen database says little by them.

Who may be the same person is decided on what was opened with the cases' keys (docs/decisions/29-finding-again.md).
What an earlier release wrote is opened once: for its indexes, when the person was last met, which visits told a story.
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, bindparam, func, select, tuple_, update

from services.chassis import logs
from services.chassis.app import App, Work
from services.chassis.tables import vault_keys
from services.chassis.vault import Vault, VaultError
from services.contracts.paris import paris_day
from services.intake import told
from services.intake.domain import people
from services.intake.tables import cases, visits

_BATCH = 500
# Found by nobody: what cannot be opened is not asked for again.
_NOWHERE = b""
# A key that was destroyed leaves nothing to index. Replicas that index at once take others' rows.
_UNINDEXED = (
    select(cases.c.id, cases.c.identity_sealed, cases.c.opened_at, vault_keys.c.wrapped)
    .join(vault_keys, vault_keys.c.owner == cases.c.id)
    .where(cases.c.birth_index.is_(None), cases.c.identity_sealed.is_not(None))
    .limit(bindparam("batch"))
    .with_for_update(skip_locked=True, of=cases)
)


log = logs.get(__name__)


def indexes_of(vault: Vault, person: people.Person) -> dict[str, bytes]:
    """The three columns of a case: by names and birth date, by birth date, by names in whichever order."""
    names, born = person.names(), person.born.isoformat()
    return {
        "identity_index": vault.index("person", f"{names}|{born}"),
        "birth_index": vault.index("birth", born),
        "name_index": vault.index("names", names),
    }


def opened(vault: Vault, row: Row[Any]) -> people.Person | None:
    """Whom a row's `identity_sealed` tells of, opened with its `wrapped` key; None where that fails."""
    try:
        identity = json.loads(vault.open_key(row.id, row.wrapped).open("identity", row.identity_sealed))
    except VaultError:
        log.warning("an identity cannot be opened", case=str(row.id))
        return None
    born = date.fromisoformat(identity["birth_date"])
    return people.person(identity["family_name"], identity["given_name"], born)


def index_older_cases(app: App, batch: int = _BATCH) -> int:
    """Index the cases that an earlier release opened, a few hundred a transaction; how many there were.

    With that is written down when their persons were last met, which retention counts from, and which of their visits
    told a story, so that a next one is counted as told again.
    """
    total = 0
    while True:
        with app.work() as work:
            rows = work.execute(_UNINDEXED, {"batch": batch}).all()
            met = _last_visits(work, [row.id for row in rows])
            for row in rows:
                person = opened(app.vault, row)
                found = indexes_of(app.vault, person) if person else {"birth_index": _NOWHERE}
                met_on = paris_day(met.get(row.id, row.opened_at))
                work.execute(update(cases).where(cases.c.id == row.id).values(last_contact_on=met_on, **found))
            _mark_stories(work, {row.id: row.wrapped for row in rows}, app.vault)
        total += len(rows)
        if len(rows) < batch:
            return total


def _last_visits(work: Work, wanted: Sequence[UUID]) -> dict[UUID, datetime]:
    last = select(visits.c.case_id, func.max(visits.c.occurred_at).label("at")).where(visits.c.case_id.in_(wanted))
    return {row.case_id: row.at for row in work.execute(last.group_by(visits.c.case_id))}


def _mark_stories(work: Work, keys: Mapping[UUID, bytes], vault: Vault) -> None:
    """`keys`: cases, and what their keys are wrapped as. What cannot be opened is no story."""
    unmarked = select(visits.c.site, visits.c.visit_id, visits.c.case_id, visits.c.free_text_sealed)
    unmarked = unmarked.where(visits.c.case_id.in_(keys), visits.c.free_text_sealed.is_not(None), ~visits.c.story)
    stories = []
    for row in work.execute(unmarked):
        with suppress(VaultError):
            key = vault.open_key(row.case_id, keys[row.case_id])
            if "story" in json.loads(key.open(told.visit_field(row.site, row.visit_id), row.free_text_sealed)):
                stories.append((row.site, row.visit_id))
    if stories:
        work.execute(update(visits).where(tuple_(visits.c.site, visits.c.visit_id).in_(stories)).values(story=True))
