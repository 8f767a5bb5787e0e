"""Cases as visits need them: opened for a new person, named by a site that may, met again."""

import secrets
from collections.abc import Mapping, Sequence
from datetime import date
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import text

from services.chassis.app import Work
from services.chassis.vault import Vault
from services.contracts.paris import paris_day
from services.contracts.references import new_reference
from services.intake import indexing, queries
from services.intake.domain import people
from services.intake.forms import VisitForm
from services.intake.tables import cases

# Rows are locked in one order, so that two batches that meet the same persons do not wait for each other.
_MET = text(
    """
    WITH met AS (
        SELECT cases.id, days.day
        FROM cases JOIN unnest(CAST(:ids AS uuid[]), CAST(:days AS date[])) AS days (id, day) USING (id)
        WHERE last_contact_on < days.day ORDER BY cases.id FOR NO KEY UPDATE OF cases
    )
    UPDATE cases SET last_contact_on = greatest(last_contact_on, met.day) FROM met WHERE met.id = cases.id
    """
)
# The day that each case was met on.
Contacts = dict[UUID, date]


class NamedCase(NamedTuple):
    """A case that a visit is recorded under, the reference printed for the person, and the case that it is read with.

    `told`: any that is read with it has a story already.
    """

    case: UUID
    reference: str
    head: UUID
    told: bool = False


def indexes_of(vault: Vault, form: VisitForm) -> dict[str, bytes]:
    """By what the person of a visit will be found again."""
    assert form.person is not None
    person = form.person
    return indexing.indexes_of(vault, people.person(person.family_name, person.given_name, person.birth_date))


def named_cases(work: Work, forms: Sequence[VisitForm]) -> dict[tuple[str, UUID], NamedCase]:
    """By site and the case that it names: those that it may name."""
    wanted = {(form.site, form.case) for form in forms if form.case}
    found = queries.nameable(work.connection, wanted, work.now) if wanted else ()
    return {
        (row.site, row.id): NamedCase(
            row.id, work.key(row.id).open("reference", row.reference_sealed), row.head, told=row.told
        )
        for row in found
    }


def open_case(work: Work, vault: Vault, form: VisitForm, indexes: Mapping[str, bytes]) -> NamedCase:
    """Open a case for the person of a visit."""
    case, reference = work.ids.new(), new_reference(secrets.token_bytes(7))
    assert form.person is not None
    key = work.new_key(case)
    work.insert(
        cases,
        id=case,
        site=form.site,
        reference_index=vault.index("reference", reference.replace("-", "")),
        reference_sealed=key.seal("reference", reference),
        identity_sealed=key.seal("identity", form.person.model_dump_json()),
        opened_at=work.now,
        last_contact_on=paris_day(form.occurred_at),
        **indexes,
    )
    return NamedCase(case, reference, case)


def met_again(work: Work, contacts: Contacts) -> None:
    """Retention counts from the last contact; a visit recorded late does not set it back."""
    if contacts:
        work.execute(_MET, {"ids": list(contacts), "days": list(contacts.values())})
