"""All that is held of a person, to be handed over."""

from collections.abc import Sequence
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import Row, or_, select

from services.chassis.app import Work
from services.chassis.errors import Rejected
from services.chassis.http import Answer, Request
from services.contracts.codes import CATEGORY_LABELS, Category
from services.contracts.keeping import CASE_YEARS
from services.intake import accesses as log
from services.intake import told
from services.intake.call import Call
from services.intake.case_forms import PersonView
from services.intake.export_forms import (
    Export,
    ExportQuery,
    HeldAgreement,
    HeldCase,
    HeldMerge,
    HeldReferral,
    HeldVisit,
)
from services.intake.printing import printed
from services.intake.queries import Group, known_and_held
from services.intake.rights import accesses_in, name_of
from services.intake.tables import agreements, cases, merges, sent_referrals
from services.network import Network

_DECIDED = ("recipient", "sensitive", "given_at", "form", "by", "withdrawn_at", "withdrawn_for")
_TYPES = {"json": "application/json", "pdf": "application/pdf"}
_KEPT = [
    "Le dossier est conservé deux ans après le dernier contact, puis effacé.",
    "La liste des accès et des échanges est conservée 36 mois (CRPA, art. R. 114-9-1 et suivants).",
]
_ELSEWHERE = [
    "Le détail des orientations, les réponses des partenaires et leurs notes\u00a0: demandez le suivi à l’agent.",
    "Ce que chaque partenaire conserve dans son propre logiciel\u00a0: adressez-vous à lui.",
    "Des comptages sans nom ni numéro de dossier, qui ne permettent plus de retrouver personne.",
]


def export(case: UUID, request: Request, call: Call) -> Answer:
    """As JSON or PDF. Raises Rejected: 404, 406."""
    kind = _kind(request.query(ExportQuery).format, request.accept)
    held = _held(case, call)
    body = held.model_dump_json(indent=2) if kind == "json" else printed(held)
    # A name or a number in the file's name would stay in a list of downloads at the counter.
    headers = {"Content-Disposition": f'attachment; filename="donnees-conservees.{kind}"'}
    return Answer(body, content_type=_TYPES[kind], headers=headers)


def _kind(wanted: str | None, accept: str) -> str:
    """`json` or `pdf`. Raises Rejected (406)."""
    if wanted is None:
        wanted = max(_TYPES, key=lambda kind: _liking(accept, _TYPES[kind]))
        if _liking(accept, _TYPES[wanted]) <= 0:
            wanted = None
    if wanted not in _TYPES:
        raise Rejected("not-acceptable", f"Formats disponibles : {', '.join(_TYPES.values())}.", status=406)
    return wanted


def _liking(accept: str, kind: str) -> float:
    """How much an `Accept` header likes a media type: the `q` of the narrowest range that holds it (RFC 9110)."""
    ranges = {"*/*": 0, f"{kind.partition('/')[0]}/*": 1, kind: 2}
    found = (-1, 0.0)
    for each in accept.lower().split(","):
        name, *parameters = (part.strip() for part in each.split(";"))
        if name in ranges:
            quality = next((one.removeprefix("q=") for one in parameters if one.startswith("q=")), "1")
            found = max(found, (ranges[name], _number(quality)))
    return found[1]


def _number(quality: str) -> float:
    try:
        return float(quality)
    except ValueError:
        return 0.0


def _held(case: UUID, call: Call) -> Export:
    with call.app.work(call.traceparent) as work:
        group = known_and_held(work, case, call.caller.org)
        held = Export(
            exported_at=work.now,
            person=told.identity_of(work, group.case),
            cases=_cases(work, group, call.network),
            visits=_visits(work, group, call.network),
            agreements=_agreements(work, group, call.network),
            referrals=_referrals(work, group, call.network),
            merges=_merges(work, group, call.network),
            accesses=accesses_in(work.connection, group, call.network),
            kept=_KEPT,
            elsewhere=_ELSEWHERE,
        )
        log.log(work, group.case, call.caller, "exported")
    return held


def _cases(work: Work, group: Group, network: Network) -> list[HeldCase]:
    rows = work.execute(select(cases).where(cases.c.id.in_(group.members)).order_by(cases.c.opened_at)).all()
    return [
        HeldCase(
            case=row.id,
            reference=work.key(row.id).open("reference", row.reference_sealed),
            opened_at=row.opened_at,
            site=row.site,
            site_name=name_of(network, row.site),
            person=told.identity_of(work, row.id) if row.identity_sealed else None,
            objected_at=row.objected_at,
            restricted_at=row.restricted_at,
            kept_until=_years_later(max(each.last_contact_on for each in rows)),
        )
        for row in rows
    ]


def _years_later(day: date) -> date:
    try:
        return day.replace(year=day.year + CASE_YEARS)
    except ValueError:  # 29 February
        return date(day.year + CASE_YEARS, 3, 1)


def _visits(work: Work, group: Group, network: Network) -> list[HeldVisit]:
    return [
        HeldVisit(
            case=each.case,
            site=each.site,
            site_name=name_of(network, each.site),
            visit_id=each.visit_id,
            occurred_at=each.occurred_at,
            facts={name: value for name, value in each.facts.items() if name not in {"needs", "case", "visit_id"}},
            needs=each.needs,
            story=each.texts.get("story"),
            person=PersonView.model_validate_json(each.texts["person"]) if "person" in each.texts else None,
        )
        for each in told.visits_of(work, group.members)
    ]


def _agreements(work: Work, group: Group, network: Network) -> list[HeldAgreement]:
    wanted = select(agreements).where(agreements.c.case_id.in_(group.members))
    return [
        HeldAgreement(
            case=row.case_id,
            name=_recipient(row.recipient, network),
            basis=_bases(row.recipient, network),
            **{name: getattr(row, name) for name in _DECIDED},
        )
        for row in work.execute(wanted.order_by(agreements.c.recipient, agreements.c.given_at))
    ]


def _recipient(recipient: str, network: Network) -> str:
    if recipient in set(Category):
        return f"{CATEGORY_LABELS[Category(recipient)]} (catégorie)"
    return name_of(network, recipient)


def _bases(recipient: str, network: Network) -> list[str]:
    """Of a partner its basis, of a category those of its partners."""
    return sorted({each.basis for each in network.partners if recipient in {each.id, each.category}})


def _referrals(work: Work, group: Group, network: Network) -> list[HeldReferral]:
    wanted = select(sent_referrals).where(sent_referrals.c.case_id.in_(group.members)).order_by(sent_referrals.c.step)
    steps: dict[UUID, list[Row[Any]]] = {}
    for row in work.execute(wanted):
        steps.setdefault(row.referral_id, []).append(row)
    return sorted((_referral(rows, network) for rows in steps.values()), key=lambda each: each.changed_at)


def _referral(steps: Sequence[Row[Any]], network: Network) -> HeldReferral:
    sent, last = next((row for row in steps if row.partner), None), steps[-1]
    return HeldReferral(
        referral_id=last.referral_id,
        case=last.case_id,
        need=sent.need if sent else None,
        recipient=sent.partner if sent else None,
        recipient_name=name_of(network, sent.partner) if sent else None,
        sender=sent.sender if sent else None,
        sent_at=sent.at if sent else None,
        state=last.state,
        changed_at=last.at,
    )


def _merges(work: Work, group: Group, network: Network) -> list[HeldMerge]:
    ours = or_(merges.c.case_id.in_(group.members), merges.c.merged.in_(group.members))
    return [
        HeldMerge(
            case=row.case_id,
            merged=row.merged,
            at=row.at,
            org=row.org,
            name=name_of(network, row.org),
        )
        for row in work.execute(select(merges).where(ours, merges.c.undone_at.is_(None)).order_by(merges.c.number))
    ]
