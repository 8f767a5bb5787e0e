"""To whom a person agrees: given, withdrawn, objected to, restricted. Each step is logged, and told inside.

Cases that agents joined are decided for together: a row and an event for each.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import date, datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import bindparam, func, select, update
from sqlalchemy.dialects import postgresql

from services.chassis.app import Work
from services.chassis.errors import FieldError, Rejected
from services.chassis.tables import vault_keys
from services.chassis.vault import Vault
from services.contracts.codes import CATEGORY_LABELS, Category
from services.contracts.intake import AgreementGiven, AgreementWithdrawn
from services.contracts.paris import paris_day
from services.intake import decided, opening, queries
from services.intake.accesses import log
from services.intake.call import Call
from services.intake.case_forms import AgreementPut, AgreementsView, AgreementView
from services.intake.decided import Standing
from services.intake.domain import days
from services.intake.forms import AgreementForm, VisitForm
from services.intake.tables import agreements, cases, visits
from services.network import Network

Reason = Literal["withdrawn", "objection", "restriction"]
CATEGORIES = frozenset(Category)
# A form may be signed before the person first comes, and not long before.
_BEFORE_THE_FIRST_VISIT = timedelta(days=31)
_TICK = timedelta(microseconds=1)
_STOPS = {"objection": cases.c.objected_at, "restriction": cases.c.restricted_at}
_STANDS = {
    "objection": "La personne s’oppose au traitement de ses données : aucun accord ne peut être noté. Si elle y"
    " renonce, levez d’abord l’opposition.",
    "restriction": "La personne a demandé la limitation du traitement : aucun accord ne peut être noté. Si elle y"
    " renonce, levez d’abord la limitation.",
}
_GUARDIAN = (
    "La personne a moins de 15 ans : l’accord est donné avec un titulaire de l’autorité parentale (loi 78-17, art. 45)."
    " Indiquez « guardian » s’il l’a donné."
)
_IDENTITIES = (
    select(cases.c.id, cases.c.identity_sealed, vault_keys.c.wrapped)
    .join(vault_keys, vault_keys.c.owner == cases.c.id)
    .where(cases.c.id.in_(bindparam("members", expanding=True)), cases.c.identity_sealed.is_not(None))
)
_UNKNOWN = f"Ni une catégorie ({', '.join(Category)}) ni un partenaire des fichiers de réseau."
_AHEAD = "L’accord est dans le futur."


def listed(case: UUID, call: Call) -> AgreementsView:
    """What was decided. Raises Rejected (404)."""
    with call.app.work(call.traceparent) as work:
        queries.known_and_held(work, case, call.caller.org)
        log(work, case, call.caller, "agreements-read")
        return _view(case, work, call.network)


def give(case: UUID, recipient: str, form: AgreementPut, call: Call) -> AgreementsView:
    """Agree. Raises Rejected: 404; 422; 409 while the person objects, or when it has decided otherwise since."""
    with call.app.work(call.traceparent) as work:
        acting(case, call, work)
        standing = decided.standing_of(work.connection, case)
        if errors := list(_errors(recipient, form, standing, work, call)):
            raise Rejected("invalid", errors[0]["detail"], errors=errors)
        if standing.stopped:
            detail = _STANDS["objection" if standing.objected else "restriction"]
            raise Rejected("conflict", detail, status=409)
        if _is_given_already(recipient, form, standing):
            if _tell(recipient, standing, work):
                log(work, case, call.caller, "agreement-given")
            return _view(case, work, call.network)
        at = form.given_at or _moment(standing, work)
        last = standing.decisions.get(recipient)
        if last and (last.at, not last.given) >= (at, False):
            detail = "Une décision plus récente de la personne est déjà notée pour ce destinataire."
            raise Rejected("conflict", detail, status=409)
        for member in sorted(standing.members):
            _give(work, member, recipient, at, form, told=True)
        log(work, case, call.caller, "agreement-given")
        return _view(case, work, call.network)


def withdraw(case: UUID, recipient: str, call: Call) -> AgreementsView:
    """Agree no more, or never: a refusal counts against an agreement with the category. Raises Rejected: 404, 422."""
    with call.app.work(call.traceparent) as work:
        acting(case, call, work)
        standing = decided.standing_of(work.connection, case)
        if recipient not in standing.last and not _is_recipient(recipient, call.network):
            raise Rejected("invalid", _UNKNOWN, errors=[{"pointer": "/recipient", "detail": _UNKNOWN}])
        if not _is_refused(recipient, standing):
            _withdraw([recipient], "withdrawn", standing, work)
            log(work, case, call.caller, "agreement-withdrawn")
        return _view(case, work, call.network)


def stop(case: UUID, kind: str, call: Call) -> AgreementsView:
    """Object, or restrict: every agreement ends, and none is noted meanwhile. Raises Rejected (404)."""
    with call.app.work(call.traceparent) as work:
        acting(case, call, work)
        standing = decided.standing_of(work.connection, case)
        if not (standing.objected if kind == "objection" else standing.restricted):
            _stop(kind, standing, work)
            log(work, case, call.caller, kind)
        return _view(case, work, call.network)


def resume(case: UUID, kind: str, call: Call) -> AgreementsView:
    """No more; nothing is agreed to by that. Raises Rejected (404)."""
    column = _STOPS[kind]
    with call.app.work(call.traceparent) as work:
        group = acting(case, call, work)
        stood = update(cases).where(cases.c.id.in_(group.members), column.is_not(None)).values({column: None})
        if work.execute(stood).rowcount:
            log(work, case, call.caller, f"{kind}-ended")
        return _view(case, work, call.network)


def joined(case: UUID, call: Call, work: Work) -> None:
    """Cases become one person's: where any was objected to or restricted, all are, and what stands there ends.

    So does what a child agreed to alone where another age was noted.
    """
    standing = decided.standing_of(work.connection, case)
    for kind, stands in (("objection", standing.objected), ("restriction", standing.restricted)):
        if stands:
            _stop(kind, standing, work)
    recount_ages(case, call, work)


def at_visit(form: VisitForm, case: UUID, standing: Standing, work: Work) -> tuple[str, ...]:
    """Note what was agreed to at a visit; to whom the person agrees by it.

    What it took back since, or has objected to, counts no more. What ends an earlier withdrawal is told: others compare
    it with the withdrawal's moment, which the visit's own need not be after. Noted, and told, is it of the
    case alone that the visit names: what is joined to it is as it was once they are parted.
    """
    if form.agreement is None or standing.stopped:
        return ()
    at, agreed = form.agreement.given_at or form.occurred_at, []
    last = standing.decisions
    for recipient in dict.fromkeys(form.agreement.recipients):
        before = last.get(recipient)
        if before and not before.given and before.at >= at:
            continue
        agreed.append(recipient)
        if form.case is None:
            work.insert(agreements, case_id=case, recipient=recipient, **_values(at, form.agreement))
            continue
        _give(work, case, recipient, at, form.agreement, told=before is not None and not before.given)
    return tuple(agreed)


def problems_at_visit(
    form: VisitForm, births: Mapping[tuple[str, UUID], list[date]], now: datetime, network: Network
) -> Iterator[FieldError]:
    """A misspelt recipient would keep a referral waiting for ever; a date to come would outlive a withdrawal."""
    agreement = form.agreement
    if agreement is None:
        return
    for place, recipient in enumerate(agreement.recipients):
        if not _is_recipient(recipient, network):
            yield {"pointer": f"/agreement/recipients/{place}", "detail": _UNKNOWN}
    if agreement.given_at and agreement.given_at > now + days.AHEAD:
        yield {"pointer": "/agreement/given_at", "detail": _AHEAD}
    if _alone(form):
        known = births.get((form.site, form.case), []) if form.case else []
        known = [form.person.birth_date, *known] if form.person else known
        if _any_needs_guardian(known, paris_day(form.occurred_at)):
            yield {"pointer": "/agreement/by", "detail": _GUARDIAN}


def births_wanted(
    forms: Iterable[VisitForm], standings: Mapping[UUID, Standing], work: Work, vault: Vault
) -> dict[tuple[str, UUID], list[date]]:
    """By site and the case that it may name and names: the birth dates that are stored, where one agrees alone."""
    wanted = {(form.site, form.case) for form in forms if form.case in standings and _alone(form)}
    members = {(site, case): standings[case].members for site, case in wanted if case}
    births = _births({member for group in members.values() for member in group}, work, vault)
    return {named: [births[member] for member in group & births.keys()] for named, group in members.items()}


def acting(case: UUID, call: Call, work: Work) -> queries.Group:
    """The group of a case whose person acts at the counter: a contact, and of two acts the second sees the first.

    Raises Rejected (404).
    """
    group = queries.known_and_held(work, case, call.caller.org, to_change=True)
    opening.met_again(work, {case: paris_day(work.now)})
    return group


def recount_ages(case: UUID, call: Call, work: Work) -> None:
    """A birth date is another, or is joined by one: what somebody under 15 has agreed to alone ends; logged."""
    standing = decided.standing_of(work.connection, case)
    births = _births(standing.members, work, call.app.vault).values()
    alone = [
        recipient
        for recipient, row in standing.last.items()
        if not row.withdrawn_at and row.by == "person" and _any_needs_guardian(births, paris_day(row.given_at))
    ]
    if alone:
        _withdraw(alone, "withdrawn", standing, work)
        log(work, case, call.caller, "agreement-withdrawn")


def _alone(form: VisitForm) -> bool:
    """Whether the person agrees by itself to anything."""
    return form.agreement is not None and bool(form.agreement.recipients) and form.agreement.by == "person"


def _errors(recipient: str, form: AgreementPut, standing: Standing, work: Work, call: Call) -> Iterator[FieldError]:
    if not _is_recipient(recipient, call.network):
        yield {"pointer": "/recipient", "detail": _UNKNOWN}
    if form.given_at and form.given_at > work.now + days.AHEAD:
        yield {"pointer": "/given_at", "detail": _AHEAD}
    if form.given_at:
        earliest = select(func.min(visits.c.occurred_at)).where(visits.c.case_id.in_(standing.members))
        first = work.execute(earliest).scalar()
        if first and form.given_at < first - _BEFORE_THE_FIRST_VISIT:
            yield {"pointer": "/given_at", "detail": "L’accord est antérieur de plus de 31 jours à la première visite."}
    births = _births(standing.members, work, call.app.vault) if form.by == "person" else {}
    if _any_needs_guardian(births.values(), paris_day(form.given_at or work.now)):
        yield {"pointer": "/by", "detail": _GUARDIAN}


def _births(members: Collection[UUID], work: Work, vault: Vault) -> dict[UUID, date]:
    """The birth dates known of cases. Raises VaultError."""
    found = {}
    for row in work.execute(_IDENTITIES, {"members": list(members)}) if members else ():
        identity = json.loads(vault.open_key(row.id, row.wrapped).open("identity", row.identity_sealed))
        found[row.id] = date.fromisoformat(identity["birth_date"])
    return found


def _any_needs_guardian(births: Iterable[date], day: date) -> bool:
    return any(days.needs_guardian(birth, day) for birth in births)


def _is_recipient(recipient: str, network: Network) -> bool:
    return recipient in CATEGORIES or network.partner(recipient) is not None


def _is_given_already(recipient: str, form: AgreementPut, standing: Standing) -> bool:
    """Whether this very agreement stands, for every member, and nothing has been refused since."""
    row = standing.last.get(recipient)
    if row is None or row.withdrawn_at or not all((member, recipient) in standing.rows for member in standing.members):
        return False
    same = (row.sensitive, row.form, row.by) == (form.sensitive, form.form, form.by)
    nothing_since = all(each.given or each.at < row.given_at for each in standing.decisions.values())
    return same and form.given_at in {None, row.given_at} and nothing_since


def _is_refused(recipient: str, standing: Standing) -> bool:
    """Whether that was said already, by every member, and nothing has been agreed to since."""
    said = [standing.rows.get((member, recipient)) for member in standing.members]
    refused_at = [row.withdrawn_at for row in said if row is not None and row.withdrawn_at]
    if len(refused_at) < len(said):
        return False
    return all(not each.given or each.at < min(refused_at) for each in standing.decisions.values())


def _moment(standing: Standing, work: Work) -> datetime:
    """Now, and later than all that was decided or told before, by whatever clock: the last to be said counts."""
    latest = select(func.max(visits.c.occurred_at)).where(visits.c.case_id.in_(standing.members))
    moments = [each.at for each in standing.decisions.values()]
    if visit := work.execute(latest).scalar():
        moments.append(visit)
    return max([work.now, *(moment + _TICK for moment in moments)])


def _stop(kind: str, standing: Standing, work: Work) -> None:
    everybody = [*Category, *(name for name in standing.last if name not in CATEGORIES)]
    wanted = [name for name in everybody if not _is_refused(name, standing)]
    _withdraw(wanted, "objection" if kind == "objection" else "restriction", standing, work)
    column = _STOPS[kind]
    all_of_them = update(cases).where(cases.c.id.in_(standing.members), column.is_(None))
    work.execute(all_of_them.values({column: work.now}))


def _withdraw(recipients: Iterable[str], reason: Reason, standing: Standing, work: Work) -> None:
    at = _moment(standing, work)
    for member in sorted(standing.members):
        for recipient in recipients:
            new = {"sensitive": False, "given_at": None, "form": "oral", "by": "person"}
            withdrawn = {"withdrawn_at": at, "withdrawn_for": reason}
            row = postgresql.insert(agreements).values(case_id=member, recipient=recipient, **new, **withdrawn)
            work.execute(row.on_conflict_do_update(index_elements=["case_id", "recipient"], set_=withdrawn))
            work.emit(AgreementWithdrawn(case=member, recipient=recipient, at=at, reason=reason))


def _give(  # noqa: PLR0913 - what an agreement is made of
    work: Work, case: UUID, recipient: str, at: datetime, form: AgreementForm | AgreementPut, *, told: bool
) -> None:
    """Note it, if it is newer than what is noted; `told`: as the case's, so that it counts for every visit."""
    values = {**_values(at, form), "told": told}
    statement = postgresql.insert(agreements).values(case_id=case, recipient=recipient, **values)
    statement = statement.on_conflict_do_update(
        index_elements=["case_id", "recipient"],
        set_={**values, "withdrawn_at": None, "withdrawn_for": None},
        where=decided.is_older_than(at),
    )
    work.execute(statement)
    if told:
        work.emit(AgreementGiven(case=case, recipient=recipient, sensitive=form.sensitive, at=at))


def _tell(recipient: str, standing: Standing, work: Work) -> bool:
    """Said again after the visit: what only visits told becomes the case's, as it stands; whether there was any."""
    its = (agreements.c.recipient == recipient) & agreements.c.case_id.in_(standing.members)
    untold = agreements.c.told.is_(False) & agreements.c.withdrawn_at.is_(None)
    rows = work.execute(update(agreements).where(its, untold).values(told=True).returning(*agreements.c)).all()
    for row in rows:
        work.emit(AgreementGiven(case=row.case_id, recipient=recipient, sensitive=row.sensitive, at=row.given_at))
    return bool(rows)


def _values(at: datetime, form: AgreementForm | AgreementPut) -> dict[str, Any]:
    return {"sensitive": form.sensitive, "given_at": at, "form": form.form, "by": form.by}


def _view(case: UUID, work: Work, network: Network) -> AgreementsView:
    work.flush()
    standing = decided.standing_of(work.connection, case)
    views = []
    for recipient, row in sorted(standing.last.items()):
        partner = network.partner(recipient)
        label = CATEGORY_LABELS[Category(recipient)] if recipient in CATEGORIES else recipient
        views.append(
            AgreementView(
                recipient=recipient,
                name=partner.name if partner else label,
                basis=partner.basis if partner else None,
                given=row.withdrawn_at is None and not standing.stopped,
                sensitive=row.sensitive,
                given_at=row.given_at,
                form=row.form,
                by=row.by,
                withdrawn_at=row.withdrawn_at,
                withdrawn_for=row.withdrawn_for,
            )
        )
    return AgreementsView(case=case, objected=standing.objected, restricted=standing.restricted, agreements=views)
