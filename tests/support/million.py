"""Very many cases at once, at intake, sealed as it seals them, and at reporting: written by COPY."""

import json
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple
from uuid import UUID, uuid4

import psycopg

from services.chassis.clock import Ids
from services.chassis.database import Database
from services.chassis.keyring import open_vault
from services.chassis.settings import Settings
from services.chassis.vault import Vault
from services.contracts.references import new_reference
from services.intake.domain import people
from services.intake.indexing import indexes_of
from tests.support.population import Population, Someone

SITE = "fs-moreuil"
STORY = "Elle a quitté le lycée en mars et cherche une formation de cuisine."
_CHUNK = 20_000
_INDEXES = ("identity_index", "birth_index", "name_index")
_CASES = (
    "COPY cases (id, site, reference_index, reference_sealed, identity_sealed, opened_at, last_contact_on,"
    " identity_index, birth_index, name_index) FROM STDIN"
)
_VISITS = (
    "COPY visits (site, visit_id, fingerprint, case_id, possible_matches, occurred_at, recorded_at, facts,"
    " free_text_sealed, story) FROM STDIN"
)
_REPORTED = {
    "visits": "site, visit_id, occurred_at, day, mode, channel, visit_class, spie, department, age_band, publics,"
    ' "case"',
    "needs": "site, visit_id, position, code, outcome",
    "proposals": "orientation_id, position, site, visit_id, day, need, rule, partner, category, desk_first, unmet,"
    ' "case", at',
    "referral_steps": 'referral_id, step, state, at, "case", sent_day, site, visit_id, need, partner, category,'
    " department",
}
_FACTS = {
    "site": SITE, "occurred_at": "2026-10-20T09:30:00Z", "channel": "desk", "age_band": "unknown", "charter": None,
    "spie": False, "department": "80", "needs": [{"code": "logement", "outcome": "resolved"}],
}  # fmt: skip


class Stored(NamedTuple):
    """Somebody who has a case."""

    someone: Someone
    case: UUID


class _Row(NamedTuple):
    case: UUID
    visit: UUID
    wrapped: bytes
    in_cases: tuple[object, ...]
    in_visits: tuple[object, ...]


def store(intake: str, reporting: str, state: Path, total: int) -> list[Stored]:
    """Have so many cases, each of one visit with a story, a proposal and a referral; every hundredth of them.

    The databases, by their URLs, are migrated; the keys are those of the services whose state that folder holds.
    """
    chunks = [
        (intake, reporting, state, number, min(_CHUNK, total - start))
        for number, start in enumerate(range(0, total, _CHUNK))
    ]
    # Not by fork, which eventlet warns of once any test has imported it.
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        stored = [one for some in pool.map(_store, chunks) for one in some]
    for url in (intake, reporting):
        with psycopg.connect(_dsn(url), autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE")
    return stored


def _store(chunk: tuple[str, str, Path, int, int]) -> list[Stored]:
    url, reporting, state, number, size = chunk
    database = Database(url, "test")
    vault = open_vault(Settings(state=state), database, "intake")
    database.close()
    crowd = Population(f"million {number}").people(size)
    rows = list(_rows(vault, crowd))
    with psycopg.connect(_dsn(url)) as connection, connection.cursor() as cursor:
        for statement, lines in (
            (_CASES, [row.in_cases for row in rows]),
            (_VISITS, [row.in_visits for row in rows]),
            ("COPY vault_keys (owner, wrapped) FROM STDIN", [(row.case, row.wrapped) for row in rows]),
        ):
            with cursor.copy(statement) as copy:
                for line in lines:
                    copy.write_row(line)
    with psycopg.connect(_dsn(reporting)) as connection, connection.cursor() as cursor:
        for table, lines in _reported(rows).items():
            with cursor.copy(f"COPY {table} ({_REPORTED[table]}) FROM STDIN") as copy:
                for line in lines:
                    copy.write_row(line)
    return [Stored(crowd[place], rows[place].case) for place in range(0, size, 100)]


def _rows(vault: Vault, crowd: list[Someone]) -> Iterator[_Row]:
    ids, at = Ids(), datetime.now(UTC) - timedelta(days=30)
    for someone in crowd:
        case, visit, reference = ids.new(), uuid4(), new_reference(uuid4().bytes)
        key, wrapped = vault.new_key(case)
        person = people.person(someone.family_name, someone.given_name, someone.birth_date)
        indexes = indexes_of(vault, person)
        identity = json.dumps({**someone.form(), "phone": None, "email": None})
        told = key.seal(f"visit/{SITE}/{visit}", json.dumps({"story": STORY}))
        facts = json.dumps({**_FACTS, "visit_id": str(visit), "case": str(case)})
        in_cases = (
            case, SITE, vault.index("reference", reference.replace("-", "")), key.seal("reference", reference),
            key.seal("identity", identity), at, at.date(), *(indexes[name] for name in _INDEXES),
        )  # fmt: skip
        yield _Row(case, visit, wrapped, in_cases, (SITE, visit, visit.bytes, case, 0, at, at, facts, told, True))


def _reported(rows: list[_Row]) -> dict[str, list[tuple[object, ...]]]:
    """What reporting has of them."""
    at = datetime.now(UTC) - timedelta(days=30)
    day, ids, to = at.date(), Ids(), ("mission-locale-santerre", "local")
    return {
        "visits": [
            (SITE, row.visit, at, day, "live", "desk", "complementaire", False, "80", "unknown", [], row.case)
            for row in rows
        ],
        "needs": [(SITE, row.visit, 0, "logement", "to-refer") for row in rows],
        "proposals": [
            (ids.new(), 0, SITE, row.visit, day, "logement", "05-logement", *to, False, False, row.case, at)
            for row in rows
        ],
        "referral_steps": [
            (ids.new(), 1, "sent", at, row.case, day, SITE, row.visit, "logement", *to, "80") for row in rows
        ],
    }


def _dsn(url: str) -> str:
    return url.replace("postgresql+psycopg://", "postgresql://")
